"""Thresholds against slow counts."""

import json
import math

import pytest
from helpers.counts import SCORES, corpora, slow_actions, slow_counts
from helpers.pages import EVERY_ACTION, THREE, labeled
from helpers.shown import printed
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.label_stats.statistics import risk_report
from axolotl_slung.label_stats.sweep import CURVE, GRID, sweep
from axolotl_slung.label_stats.sweep_view import sections
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.render.sections import to_page

bounds = st.lists(st.sampled_from([s for s in SCORES if s > 0]), min_size=2, max_size=2, unique=True).map(sorted)


def moved(buckets, at):
    return tuple(Bucket(b.name, low, b.action, token=b.token) for b, low in zip(buckets, (*at, None)))


@settings(max_examples=150, deadline=None)
@given(documents=corpora(), asked=st.lists(st.one_of(bounds, st.sampled_from([(0.125,), (1.0,), (0.3,)])), max_size=3))
def test_every_threshold_is_that_of_a_slow_count(documents, asked):
    found = sweep(iter(documents), THREE, asked)
    assert (found.documents, found.tokens) == (len(documents), sum(len(one.tokens) for one in documents))
    assert found.trainable == sum(int(flag) for one in documents for flag in one.trainable)
    singles = {at[0] for at in asked if len(at) == 1}
    assert found.asked == sorted({*GRID, 1e-4, 0.99, *singles})
    assert found.thresholds == sorted({*found.asked, *CURVE})
    for above, scores_of in [
        (found.combined, lambda one: one.score),
        *((found.labelers[n], lambda one, n=n: one.scores.get(n, [0.0] * len(one.tokens))) for n in found.labelers),
    ]:
        for place in range(0, len(found.thresholds), 7):
            risky = [[score >= found.thresholds[place] for score in scores_of(one)] for one in documents]
            assert above.tokens[place] == sum(map(sum, risky))
            assert above.documents[place] == sum(map(any, risky))
            trained = sum(r and t for one, flags in zip(documents, risky) for r, t in zip(flags, one.trainable))
            assert above.trainable[place] == trained
    pairs = list(dict.fromkeys([(1e-4, 0.99), *(tuple(at) for at in asked if len(at) == 2)]))
    assert [cut.bounds for cut in found.cuts] == pairs
    for cut in found.cuts:
        check(cut, documents, moved(THREE, cut.bounds))
    json.loads(json.dumps(found.to_json(), allow_nan=False))


def check(cut, documents, buckets):
    documents_and_tokens = slow_counts(documents, lambda one: one.score, buckets)[:2]
    assert [cut.documents, cut.tokens] == documents_and_tokens
    trained = [a for one in documents for a, t in zip(slow_actions(one, buckets), one.trainable) if t]
    assert {action: n for action, n in cut.outcomes.items() if n} == {a: trained.count(a) for a in trained}


@settings(max_examples=60, deadline=None)
@given(documents=corpora())
def test_every_action_with_its_bounds_moved(documents):
    at = tuple((k / len(EVERY_ACTION)) ** 2 for k in range(1, len(EVERY_ACTION)))
    found = sweep(documents, EVERY_ACTION, [at])
    assert [cut.bounds for cut in found.cuts] == [tuple(b.below for b in EVERY_ACTION[:-1]), at]
    for cut in found.cuts:
        check(cut, documents, moved(EVERY_ACTION, cut.bounds))


def test_the_configs_own_cut_is_the_reports():
    documents = [labeled(["a"] * 6, score=[0, 1e-4, 0.5, 0.99, 1, 0.98], trainable=[1, 1, 0, 1, 1, 1])] * 3
    cut, report = sweep(documents, THREE).cuts[0], risk_report(documents, THREE)
    assert (cut.documents, cut.tokens) == (report.combined.documents, report.combined.tokens)
    assert cut.outcomes == report.outcomes


@pytest.mark.parametrize("at", [(0.0,), (1.1,), (math.nan,), (-1,), (0.5, 0.5), (0.9, 0.1), (0.1, 0.2, 0.3), ()])
def test_thresholds_that_are_none(at):
    with pytest.raises(
        ValueError, match="thresholds: .*: (expected 1 number|expected numbers above 0|not in ascending order)"
    ):
        sweep([], THREE, [at])


def test_two_buckets_have_one_bound():
    two = (Bucket("low", 0.5, Action.TRAIN), Bucket("high", None, Action.MASK))
    documents = [labeled(["a", "b", "c"], score=[0.2, 0.5, 0.9])]
    found = sweep(documents, two, [(0.9,), (0.2,)])
    assert [cut.bounds for cut in found.cuts] == [(0.5,), (0.9,), (0.2,)]
    assert [cut.outcomes["mask"] for cut in found.cuts] == [2, 1, 3]
    at = found.thresholds.index(0.9)
    assert found.combined.tokens[at] == found.cuts[1].outcomes["mask"]


def test_it_is_shown():
    documents = [labeled(["a"] * 4, {"names": [0, 0, 1, 1], "words": [0, 0.2, 0.2, 0.95]}, trainable=[1, 1, 1, 0])]
    found = sweep(documents, THREE, [(0.3, 0.9)])
    shown, page = " ".join(printed(found, sections).split()), to_page("t", sections(found))
    # from 0.9: 2 of 4 tokens; 1 of 3 trainable ones; names alone 2, words alone 1
    assert "0.9 1 100.0% 2 50.0% 33.3% 50.0% 25.0%" in shown
    assert "0.3, 0.9: 0.0% of the trainable tokens lose their loss, 33.3% get unlikelihood" in shown
    assert page.count("<polyline") == 6


@pytest.mark.parametrize("documents", [[], [labeled([])], [labeled(["a"])]])
def test_nothing_risky(documents):
    found = sweep(documents, THREE)
    assert set(found.combined.tokens) == set(found.combined.documents) == {0}
    assert "nan" not in to_page("t", sections(found)) + printed(found, sections)
    json.dumps(found.to_json(), allow_nan=False)
