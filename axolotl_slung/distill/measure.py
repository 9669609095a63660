"""How good a student is on held-out documents, and the cuts that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import SlungError
from ..label_stats.qa import GoldDocument, LabelerQuality, qa_report
from ..labeling.student.file import Student
from ..labeling.student.model import scores_of, spans_of
from ..labeling.student.words import Words
from ..labels.buckets import preset
from .rows import Document

GOLD = 0.5
"""A span with a score counts as marked from this score on."""

PRECISION = 2 / 3
"""The second cut is the lowest score from which so many of the characters are marked."""

_GRID = [number / 100 for number in range(1, 100)]
_BOUNDS = (_GRID[24], _GRID[74])
"""Of buckets, which the report asks for. They are on the grid, so that they add no point to it."""


class HeldOut(NamedTuple):
    """The figures of a student.

    Attributes:
        cuts: the scores where a method's safe and doubtful spans end: that of the best F1, and that of `PRECISION`.
        card: the figures for the card.
    """

    cuts: tuple[float, float]
    card: dict


def measured(documents: Sequence[Document], words: Words, student: Student) -> HeldOut:
    """Measure a student.

    Args:
        documents: held out.
        words: those of the documents.
        student: its card needs only a `floor`.

    Raises:
        SlungError: it finds nothing.
    """
    spans = spans_of(words, scores_of(words, student), student.card["floor"])
    gold = [[span for span in one.spans if span.score >= GOLD] for one in documents]
    marked = [number for number, of_one in enumerate(gold) if of_one]
    quality = _quality(documents, gold, spans, words)
    points = quality.characters.points
    if quality.characters.best is None:
        raise SlungError("DATA: the student finds nothing in the held-out documents; give more documents with spans")
    # the last point has none above it for the high cut
    highest = max(point.f1 or 0.0 for point in points[:-1])
    equal = [point for point in points[:-1] if (point.f1 or 0.0) == highest]
    low = equal[len(equal) // 2]  # the lowest would also mark words of other texts that are hardly risky
    above = [point for point in points if point.threshold > low.threshold]
    high = next((point for point in above if (point.precision or 0) >= PRECISION), above[len(above) // 2])
    best = max(points, key=lambda point: point.mean_f1 or 0.0)
    with_spans = _quality(*([of_all[number] for number in marked] for of_all in (documents, gold, spans)))
    assert quality.tokens is not None
    at = {}
    for title, point in (("low cut", low), ("high cut", high), ("best mean_f1", best)):
        place = points.index(point)
        at[title] = {
            "threshold": point.threshold,
            "precision": _short(point.precision),
            "recall": _short(point.recall),
            "f1": _short(point.f1),
            "mean_f1": _short(point.mean_f1),
            "mean_f1_with_spans": _short(with_spans.characters.points[place].mean_f1),
            "f1_of_words": _short(quality.tokens.points[place].f1),
        }
    card = {
        "documents": len(documents),
        "with_spans": len(marked),
        "average_precision": _short(quality.characters.average_precision),
        "at": at,
    }
    return HeldOut((low.threshold, high.threshold), card)


def _quality(documents, gold, spans, words: Words | None = None) -> LabelerQuality:
    """The quality of characters and, with the documents' words, of words, at each threshold of `_GRID`."""
    offsets = [None] * len(documents)
    if words is not None:
        places = np.stack([words.starts, words.ends], 1)
        of_each = zip(words.firsts[:-1].tolist(), words.firsts[1:].tolist(), words.bounds.tolist())
        offsets = [places[first:last] - begin for first, last, begin in of_each]
    rows = (GoldDocument(one.text, *rest) for one, *rest in zip(documents, gold, spans, offsets))
    return qa_report(rows, preset("masked", _BOUNDS), thresholds=_GRID, words=0).combined


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
