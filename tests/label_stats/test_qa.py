"""Labels against the truth, against slow counts of sets."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from helpers.pages import THREE
from helpers.shown import Reader, printed
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.label_stats import tally
from axolotl_slung.label_stats.qa import GoldDocument, qa_report
from axolotl_slung.label_stats.qa_view import sections
from axolotl_slung.labeling import Span
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.render.sections import to_page

SCORES = [1e-5, 1e-4, 0.3, 0.5, 0.98, 0.99, 1.0]


@st.composite
def documents(draw):
    """A text of `x`, gold and predicted spans, and tokens that tile it or leave some out."""
    size = draw(st.integers(0, 12))

    def spans(labelers):
        found = []
        for _ in range(draw(st.integers(0, 4)) if size else 0):
            start = draw(st.integers(0, size - 1))
            end = draw(st.integers(start + 1, size))
            found.append(Span(start, end, draw(st.sampled_from(SCORES)), draw(st.sampled_from(labelers))))
        return found

    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=6)))
    return GoldDocument("x" * size, spans([""]), spans(["a", "b"]), list(pairwise(cuts)))


corpora = st.lists(documents(), max_size=6)


def units_of(document, labeler, kind, overlap="any"):
    """Each character's, or token's, gold flag and score, one by one."""

    def score(position):
        mine = [s for s in document.predicted if labeler in (None, s.labeler) and s.start <= position < s.end]
        return max((s.score for s in mine), default=0.0)

    def gold(position):
        return any(s.start <= position < s.end for s in document.gold)

    if kind == "characters":
        return [(gold(i), score(i)) for i in range(len(document.text))]
    found = []
    for start, end in document.offsets:
        inside = sorted(score(i) for i in range(start, end))
        if inside:
            of_token = {"any": inside[-1], "all": inside[0], "majority": inside[(len(inside) - 1) // 2]}[overlap]
            found.append((any(map(gold, range(start, end))), of_token))
    return found


def slow_point(units, threshold):
    """Precision, recall, F1, mean F1 of sets, by their definitions."""
    predicted = [[score >= threshold for _, score in one] for one in units]
    gold = [[flag for flag, _ in one] for one in units]
    both = [[p and g for p, g in zip(*pair)] for pair in zip(predicted, gold)]
    p, g, hits = (sum(map(sum, flags)) for flags in (predicted, gold, both))
    each = []
    for says, is_, hit in zip(predicted, gold, both):
        if not any(is_):
            each.append(0.0 if any(says) else 1.0)
        elif not any(hit):
            each.append(0.0)
        else:
            precision, recall = sum(hit) / sum(says), sum(hit) / sum(is_)
            each.append(2 * precision * recall / (precision + recall))
    return {
        "predicted": p,
        "found": hits,
        "precision": hits / p if p else None,
        "recall": hits / g if g else None,
        "f1": 2 * hits / (p + g) if p + g else None,
        "mean_f1": sum(each) / len(each) if each else None,
    }


def check_quality(quality, units, thresholds):
    assert quality.gold == sum(flag for one in units for flag, _ in one)
    assert [point.threshold for point in quality.points] == sorted(thresholds)
    for point in quality.points:
        for name, expected in slow_point(units, point.threshold).items():
            assert getattr(point, name) == pytest.approx(expected, abs=1e-12), name
    scores = sorted({score for one in units for _, score in one if score > 0}, reverse=True)
    if not quality.gold:
        assert quality.average_precision is None and quality.best is None
        return
    area, reached = 0.0, 0.0
    for score in scores:
        point = slow_point(units, score)
        area += (point["recall"] - reached) * point["precision"]
        reached = point["recall"]
    assert quality.average_precision == pytest.approx(area, abs=1e-12)
    if scores:
        best = max(scores, key=lambda score: (slow_point(units, score)["f1"], score))
        assert quality.best.threshold == best
        assert quality.best.mean_f1 == pytest.approx(slow_point(units, best)["mean_f1"], abs=1e-12)
    else:
        assert quality.best is None


@settings(max_examples=200, deadline=None)
@given(corpus=corpora, overlap=st.sampled_from(["any", "majority", "all"]))
def test_every_number_is_that_of_sets(corpus, overlap):
    report = qa_report(iter(corpus), THREE, overlap=overlap, thresholds=[0.5, 1.0])
    names = {span.labeler for one in corpus for span in one.predicted}
    assert set(report.labelers) == names
    assert (report.documents, report.characters) == (len(corpus), sum(len(one.text) for one in corpus))
    assert report.tokens == (sum(len(units_of(one, None, "tokens")) for one in corpus) if corpus else None)
    assert report.gold_documents == sum(1 for one in corpus if one.gold)
    for labeler, quality in [(None, report.combined), *report.labelers.items()]:
        for kind in ("characters", "tokens") if corpus else ():
            units = [units_of(one, labeler, kind, overlap) for one in corpus]
            check_quality(getattr(quality, kind), units, [1e-4, 0.5, 0.99, 1.0])
        check_calibration(quality.calibration, corpus, labeler)
    json.loads(json.dumps(report.to_json(), allow_nan=False))


def check_calibration(calibration, corpus, labeler):
    bins = [[] for _ in range(10)]
    for one in corpus:
        for span in one.predicted:
            if labeler in (None, span.labeler):
                right = any(g.start < span.end and span.start < g.end for g in one.gold)
                bins[min(int(span.score * 10), 9)].append((span.score, right))
    assert calibration.spans == [len(pairs) for pairs in bins]
    apart = 0.0
    for pairs, score, right in zip(bins, calibration.score, calibration.right):
        means = [None, None] if not pairs else np.mean(pairs, axis=0).tolist()
        assert [score, right] == pytest.approx(means)
        apart += abs(means[0] - means[1]) * len(pairs) if pairs else 0
    total = sum(map(len, bins))
    assert calibration.error == (pytest.approx(apart / total) if total else None)


@pytest.mark.parametrize(
    ("gold", "predicted", "mean_f1"),
    [
        ([], [], 1.0),
        ([(0, 2)], [], 0.0),
        ([], [(0, 2)], 0.0),
        ([(0, 2)], [(0, 2)], 1.0),
        ([(0, 2)], [(1, 3)], 0.5),
        ([(0, 2)], [(2, 4)], 0.0),
    ],
)
def test_the_toxic_spans_tasks_conventions(gold, predicted, mean_f1):
    spans = [[Span(*span, 1.0, "a") for span in spans] for spans in (gold, predicted)]
    report = qa_report([GoldDocument("abcd", *spans)], THREE)
    assert [point.mean_f1 for point in report.combined.characters.points] == [mean_f1, mean_f1]
    assert report.tokens is None and report.combined.tokens is None


def test_rounded_scores_leave_the_thresholds_exact(monkeypatch):
    rng = np.random.default_rng(1)
    asked = [1e-7, 3.3e-5, 0.123456, 0.98765432]
    corpus = []
    for _ in range(60):
        scores = 10 ** rng.uniform(-8, 0, 20)
        scores = np.where(rng.random(20) < 0.5, scores, 1 - scores)
        scores[:5] = rng.choice([*asked, 1e-4, 0.99, 1.0], 5)
        spans = [Span(i, i + 1, float(score), "a") for i, score in enumerate(scores)]
        gold = [Span(i, i + 1, 1.0) for i in np.flatnonzero(rng.random(20) < scores).tolist()]
        corpus.append(GoldDocument("x" * 20, gold, spans))
    units = [units_of(one, None, "characters") for one in corpus]
    exact = qa_report(corpus, THREE, thresholds=asked).combined.characters
    check_quality(exact, units, [*asked, 1e-4, 0.99])
    assert exact.exact
    monkeypatch.setattr(tally, "EXACT_SCORES", 50)
    rounded = qa_report(corpus, THREE, thresholds=asked).combined.characters
    assert not rounded.exact
    for one, other in zip(rounded.points, exact.points, strict=True):
        assert one.__dict__ == pytest.approx(other.__dict__, abs=1e-12)
    assert rounded.average_precision == pytest.approx(exact.average_precision, abs=5e-3)
    assert rounded.best.f1 == pytest.approx(exact.best.f1, abs=5e-3)
    assert "to 1e-4" in to_page("t", sections(qa_report(corpus, THREE)))


def test_the_curve_is_short_and_ends_where_the_scores_do():
    spans = [Span(i, i + 1, (i + 1) / 2000, "a") for i in range(1000)]
    report = qa_report([GoldDocument("x" * 2000, [Span(0, 2000, 1.0)], spans)], THREE)
    curve = report.combined.characters.curve
    assert 100 <= len(curve) <= tally.CURVE_POINTS
    assert curve[-1] == (0.5, 1.0) and curve == sorted(curve)


def test_where_they_differ():
    text = "you stupid fool, fine day"
    gold = [Span(4, 10, 1.0), Span(11, 15, 1.0)]
    predicted = [Span(4, 10, 0.9, "a"), Span(17, 21, 0.5, "a"), Span(22, 25, 0.1, "b")]
    buckets = (Bucket("low", 0.05, Action.TRAIN), Bucket("mid", 0.4, Action.TRAIN), Bucket("high", None, Action.MASK))
    report = qa_report([GoldDocument(text, gold, predicted)], buckets)
    assert report.judged_at == 0.4
    assert [row["word"] for row in report.missed] == ["fool"]
    assert [row["word"] for row in report.false] == ["fine"]
    silent = qa_report([GoldDocument(text, gold, predicted)], buckets, words=0)
    assert silent.missed is None and silent.false is None
    for shown in (json.dumps(silent.to_json()), to_page("t", sections(silent)), printed(silent, sections)):
        assert "fool" not in shown and "fine" not in shown


@pytest.mark.parametrize("threshold", [0.0, 1.5, -1, float("nan")])
def test_a_threshold_has_to_be_one(threshold):
    with pytest.raises(ValueError, match="expected numbers above 0 and at most 1"):
        qa_report([], THREE, thresholds=[threshold])


def test_offsets_for_all_or_for_none():
    mixed = [GoldDocument("ab", [], [], [(0, 2)]), GoldDocument("ab", [], [])]
    for order in (mixed, mixed[::-1]):
        with pytest.raises(ValueError, match="to all documents or to none"):
            qa_report(order, THREE)


def test_it_is_shown_whatever_the_labelers_are_called():
    name = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
    documents = [GoldDocument("bad\x1b[2J words", [Span(0, 3, 1.0)], [Span(0, 3, 0.9, name), Span(8, 13, 0.5, "b")])]
    report = qa_report(documents, THREE)
    page = to_page("t", sections(report))
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and not {"img", "script"} & {tag for tag, _ in reader.tags}
    shown = printed(report, sections, 80)
    assert "\x1b" not in page + shown and "\u202e" not in page + shown
    # combined, from 0.0001: 3 of 8 predicted characters are right, all gold is found
    assert re.search(r"0\.0001 +0\.375 +1\.000 +0\.545 +0\.545 +8\n", shown)
    for empty in (qa_report([], THREE), qa_report([GoldDocument("", [], [])], THREE)):
        assert "nan" not in to_page("t", sections(empty)).replace("SemEval", "")
        json.dumps(empty.to_json(), allow_nan=False)
