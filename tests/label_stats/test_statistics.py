"""The risk report against slow counts."""

import json
import math
import weakref
from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from helpers.counts import KEPT, SCORES, bucket_of, corpora, slow_actions, slow_counts
from helpers.pages import EVERY_ACTION, THREE, labeled
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.label_stats.batches import Batches
from axolotl_slung.label_stats.estimate import STEP_TIME, Sample, estimate
from axolotl_slung.label_stats.scale import BINS, bin_floors, bin_names, bins_of
from axolotl_slung.label_stats.statistics import risk_report
from axolotl_slung.labeling import Span
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.documents import document


@pytest.mark.parametrize("buckets", [THREE, EVERY_ACTION], ids=["three", "every_action"])
@settings(max_examples=150, deadline=None)
@given(documents=corpora())
def test_every_number_is_that_of_a_slow_count(buckets, documents):
    report = risk_report(iter(documents), buckets)
    assert (report.documents, report.tokens) == (len(documents), sum(len(one.tokens) for one in documents))
    assert report.partial == sum(int(flag) for one in documents for flag in one.partial)
    for counts, scores_of in [
        (report.combined, lambda one: one.score),
        *((report.labelers[n], lambda one, n=n: one.scores.get(n, [0.0] * len(one.tokens))) for n in report.labelers),
    ]:
        assert [counts.documents, counts.tokens, counts.trainable] == slow_counts(documents, scores_of, buckets)
    assert set(report.labelers) == {name for one in documents for name in one.scores}
    assert list(risk_report(documents, buckets, labelers=["silent"]).found.items())[:1] == [("silent", (0, 0))]
    for name, found in report.found.items():
        touched = [sum(score > 0 for score in one.scores.get(name, ())) for one in documents]
        assert found == (sum(map(bool, touched)), sum(touched))

    trained = [[a for a, t in zip(slow_actions(one, buckets), one.trainable) if t] for one in documents]
    totals = Counter(action for actions in trained for action in actions)
    assert {action: number for action, number in report.outcomes.items() if number} == dict(totals)
    kept = [sum(action in KEPT for action in actions) for actions in trained]
    assert report.loss_tokens == sum(kept)
    assert report.without_loss == kept.count(0)
    assert report.fully_masked == sum(not number and bool(actions) for number, actions in zip(kept, trained))
    assert report.dropped == sum("drop_document" in slow_actions(one, buckets) for one in documents)

    runs = {}
    for one in documents:
        for action, run in groupby(buckets[bucket_of(score, buckets)].action.value for score in one.score):
            runs.setdefault(action, []).append(len(list(run)))
    runs.pop("train", None)
    assert {action: [r.runs, r.tokens, r.longest] for action, r in report.runs.items()} == {
        action: [len(lengths), sum(lengths), max(lengths)] for action, lengths in runs.items()
    }
    for action, run in report.runs.items():
        of_bin = Counter(int(math.log2(length)) for length in runs[action])
        assert run.histogram == [of_bin[place] for place in range(len(run.histogram))]

    shares = Counter()
    for one in documents:
        risky = [buckets[bucket_of(score, buckets)].action is not Action.TRAIN for score in one.score]
        tenth = 10 * sum(risky) // max(len(risky), 1)
        shares[0 if not any(risky) else 11 if all(risky) else tenth + 1] += 1
    assert report.shares == [shares[place] for place in range(12)]
    assert sum(report.combined_scores) == report.tokens
    assert all(sum(histogram) == report.tokens for histogram in report.scores.values())
    json.loads(json.dumps(report.to_json(), allow_nan=False))


def test_a_histograms_bins_hold_what_their_names_say():
    assert len(bin_names()) == len(bin_floors()) == BINS
    place = dict(zip(SCORES, bins_of(np.array(SCORES)).tolist()))
    named = {score: bin_names()[index] for score, index in place.items()}
    assert named[0.0] == "exactly 0" and named[1.0] == "exactly 1"
    assert named[1e-7] == "0 to 1e-6" and named[1e-6] == "1e-6 to 3e-6"
    assert named[0.99e-4] == "3e-5 to 0.0001" and named[1e-4] == "0.0001 to 0.0003"
    assert named[0.98999] == "0.97 to 0.99" and named[0.99] == "0.99 to 0.997"
    assert all(floor <= score for score, floor in ((s, bin_floors()[i]) for s, i in place.items()))
    assert place == dict(sorted(place.items()))


def test_documents_are_not_kept():
    made, gone, most = [0], [], []

    def many():
        for _ in range(200):
            one = labeled([" word"] * 50, {"first": [0.5] * 50})
            made[0] += 1
            weakref.finalize(one.score, gone.append, 1)
            most.append(made[0] - len(gone))
            yield one

    assert risk_report(many(), THREE, sequence_len=16).documents == 200
    assert max(most) <= 3


# batches


def slow_batches(documents, sequence_len, sequences, packing):
    """Fill lists of tokens; a batch's loss tokens, for the full ones."""
    filled, current = [], []
    for loss in documents:
        for start in range(0, len(loss), sequence_len):
            piece = loss[start : start + sequence_len]
            if current and (not packing or len(current) + len(piece) > sequence_len):
                filled.append(current)
                current = []
            current = current + piece
            if len(current) == sequence_len:
                filled.append(current)
                current = []
    groups = [filled[start : start + sequences] for start in range(0, len(filled), sequences)]
    return [[sum(map(len, group)), sum(map(sum, group))] for group in groups if len(group) == sequences]


@settings(max_examples=200, deadline=None)
@given(
    documents=st.lists(st.lists(st.booleans(), max_size=12), max_size=40),
    sequence_len=st.integers(1, 8),
    sequences=st.integers(1, 4),
    packing=st.booleans(),
)
def test_batches_are_filled_in_order(documents, sequence_len, sequences, packing):
    batches = Batches(sequence_len, sequences, packing)
    for loss in documents:
        batches.add(np.ones(len(loss), dtype=bool), np.array(loss, dtype=bool))
    spread, expected = batches.spread(), slow_batches(documents, sequence_len, sequences, packing)
    if not expected:
        assert spread is None
        return
    losses = np.array([loss for _, loss in expected])
    assert spread.batches == len(expected)
    assert spread.tokens == spread.trainable == pytest.approx(np.mean([size for size, _ in expected]))
    assert (spread.mean, spread.deviation) == (pytest.approx(losses.mean()), pytest.approx(losses.std(), abs=1e-9))
    assert spread.without_loss == (losses == 0).sum() and spread.lowest == losses.min()
    assert [spread.p5, spread.p95] == np.percentile(losses, [5, 95], method="inverted_cdf").tolist()


def test_percentiles_are_of_batches_that_occur():
    batches = Batches(20, 1)
    for loss in range(1, 21):
        batches.add(np.ones(20, dtype=bool), np.arange(20) < loss)
    spread = batches.spread()
    assert (spread.batches, spread.lowest, spread.p5, spread.p95) == (20, 1, 1, 19)


def test_dropped_tokens_fill_no_batch():
    drops = (Bucket("fine", 0.5, Action.TRAIN), Bucket("bad", None, Action.DROP_SPAN))
    documents = [labeled(["a"] * 4, score=[0, 1, 0, 1]), labeled(["a"] * 4, score=[1, 1, 0, 0])]
    batch = risk_report(documents, drops, sequence_len=4).batch
    assert (batch.batches, batch.tokens, batch.mean) == (1, 4, 4)
    drops = (Bucket("fine", 0.5, Action.TRAIN), Bucket("bad", None, Action.DROP_DOCUMENT))
    report = risk_report(documents, drops, sequence_len=4)
    assert report.batch is None and report.dropped == report.without_loss == report.fully_masked == 2


@pytest.mark.parametrize("sizes", [(0, 1), (8, 0)])
def test_a_batch_that_holds_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match="use 1 or more"):
        risk_report([], THREE, sequence_len=sizes[0], sequences_per_batch=sizes[1])


def test_from_spans_to_the_report():
    """Through the maker of documents, with a character that two tokens share."""
    text = "You idiot 🙂 go"
    offsets = [(0, 3), (3, 6), (6, 9), (9, 11), (10, 11), (11, 14)]
    spans = [Span(4, 9, 1.0, "words"), Span(10, 11, 0.5, "faces")]
    report = risk_report([document("one", text, offsets, spans, THREE, "any")], THREE)
    assert report.labelers["words"].tokens == [4, 0, 2] and report.labelers["faces"].tokens == [4, 2, 0]
    assert report.combined.tokens == [2, 2, 2] and report.partial == 2
    assert report.words["frequent"] == [{"word": "idiot", "risky": 1, "total": 1}]


# estimates


def test_an_estimate_is_in_proportion():
    report = risk_report([labeled(["a"] * 10, score=[0] * 5 + [0.5] * 3 + [1] * 2)], THREE)
    sample = Sample(documents=100, bytes=1_000_000, seconds=36.0, cores=2, labeled_bytes=1_500_000)
    found = estimate(report, sample, total_bytes=500_000_000, total_documents=7, cores=4)
    assert (found.times, found.by, found.disk_bytes) == (500.0, "bytes", 750_000_000)
    assert found.core_hours == pytest.approx(36 * 2 * 500 / 3600) and found.hours == pytest.approx(found.core_hours / 4)
    assert found.loss_share == pytest.approx(0.7)
    assert found.step_time == pytest.approx(
        0.5 * STEP_TIME["train"] + 0.3 * STEP_TIME["mask"] + 0.2 * STEP_TIME["unlikelihood"]
    )
    assert estimate(report, sample, total_documents=50).times == 0.5
    assert estimate(report, sample).times == 1
    nothing = estimate(risk_report([], THREE), sample)
    assert nothing.step_time is None and nothing.loss_share is None


def test_a_sample_of_nothing_is_no_sample():
    report, empty = risk_report([], THREE), Sample(0, 0, 0.0, 1, 0)
    with pytest.raises(ValueError, match="no bytes in it, so the whole cannot be estimated"):
        estimate(report, empty, total_bytes=10)
    with pytest.raises(ValueError, match="no documents in it"):
        estimate(report, empty, total_documents=10)
