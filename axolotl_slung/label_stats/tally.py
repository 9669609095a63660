"""Precision, recall and F1 at all thresholds at once, from counts by score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..render.formats import ratio

EXACT_SCORES = 10_000
"""Most distinct scores that are counted exactly. If there are more, scores are rounded down to 1e-4, and more finely
near 0 and 1. Rounding never moves a score below a requested threshold."""

CURVE_POINTS = 200
"""Most points of a precision-recall curve."""


@dataclass(frozen=True)
class Point:
    """Quality if everything with a score of at least `threshold` is predicted.

    Attributes:
        threshold: the score.
        predicted, found: number predicted, and how many of these are gold.
        precision, recall, f1: over all documents together; None for 0 / 0.
        mean_f1: mean of the documents' F1, which is 1 if nothing is gold and nothing is predicted. It is the measure of
            SemEval-2021 Task 5, Toxic Spans Detection (Pavlopoulos et al. 2021). None without documents.
    """

    threshold: float
    predicted: int
    found: int
    precision: float | None
    recall: float | None
    f1: float | None
    mean_f1: float | None


@dataclass(frozen=True)
class Quality:
    """Quality of characters, or of tokens.

    Attributes:
        gold: number of gold characters or tokens.
        average_precision: the mean of precision over recall, in steps. Units without a score above 0 are never found.
            None without gold.
        best: the point with the highest F1, at the highest such threshold. None if nothing is predicted or gold.
        points: the points at the requested thresholds.
        curve: recall and precision, from high thresholds to low.
        exact: False if scores were rounded (see `EXACT_SCORES`). `points` are exact in any case.
    """

    gold: int
    average_precision: float | None
    best: Point | None
    points: list[Point]
    curve: list[tuple[float, float]]
    exact: bool


class Tally:
    """Counts what is gold and what is not, by score.

    Args:
        thresholds: the thresholds to report, in (0, 1].
    """

    def __init__(self, thresholds: Sequence[float]):
        self._thresholds = sorted(thresholds)
        self._cells: dict[float, list] = {}  # score to [gold, not gold, change of mean_f1]
        self._edges: np.ndarray | None = None
        self._documents = 0
        self._empty = 0  # documents without gold: their F1 is 1 while nothing is predicted

    def add(self, scores: np.ndarray, gold: np.ndarray) -> None:
        """Count a document.

        Args:
            scores: float64 `[units]`; a score of 0 is never predicted.
            gold: bool `[units]`.
        """
        if self._edges is not None:
            scores = self._rounded(scores)
        values, place = np.unique(scores, return_inverse=True)
        of_value = np.bincount(place, minlength=len(values)).tolist()
        gold_of_value = np.bincount(place[gold], minlength=len(values)).tolist()
        wanted = int(gold.sum())
        self._documents += 1
        self._empty += not wanted
        before, predicted, found = float(not wanted), 0, 0
        for value, number, right in zip(values.tolist()[::-1], of_value[::-1], gold_of_value[::-1]):
            cell = self._cells.setdefault(value, [0, 0, 0.0])
            cell[0] += right
            cell[1] += number - right
            if value > 0:
                predicted, found = predicted + number, found + right
                f1 = 2 * found / (predicted + wanted)
                cell[2] += f1 - before
                before = f1
        if self._edges is None and len(self._cells) > EXACT_SCORES:
            self._round()

    def quality(self) -> Quality:
        """The quality, from the counts so far."""
        values = np.array(sorted((value for value in self._cells if value > 0), reverse=True))
        cells = np.array([self._cells[value] for value in values.tolist()]).reshape(-1, 3)
        found = cells[:, 0].cumsum()
        predicted = found + cells[:, 1].cumsum()
        gains = cells[:, 2].cumsum()
        gold = sum(cell[0] for cell in self._cells.values())

        def point(threshold: float) -> Point:
            last = int((values >= threshold).sum()) - 1
            right, said, gain = (found[last], predicted[last], gains[last]) if last >= 0 else (0, 0, 0.0)
            return Point(
                threshold=threshold,
                predicted=int(said),
                found=int(right),
                precision=ratio(float(right), float(said)),
                recall=ratio(float(right), gold),
                f1=ratio(2 * float(right), float(said) + gold),
                mean_f1=ratio(self._empty + float(gain), self._documents),
            )

        best, average, curve = None, None if gold == 0 else 0.0, []
        if gold and len(values):
            best = point(float(values[np.argmax(2 * found / (predicted + gold))]))
            recall, precision = found / gold, found / predicted
            average = float((np.diff(recall, prepend=0) * precision).sum())
            shown = np.unique(np.searchsorted(recall, np.linspace(0, recall[-1], CURVE_POINTS)))
            curve = list(zip(recall[shown].tolist(), precision[shown].tolist()))
        points = [point(threshold) for threshold in self._thresholds]
        return Quality(gold, average, best, points, curve, self._edges is None)

    def _round(self) -> None:
        small = 10.0 ** -np.arange(4, 12, 0.1)
        smallest = math.nextafter(0, 1)
        self._edges = np.unique([0, smallest, *np.arange(1, 10_001) / 10_000, *small, *(1 - small), *self._thresholds])
        cells, self._cells = self._cells, {}
        for value, lower in zip(cells, self._rounded(np.array(list(cells))).tolist()):
            cell = self._cells.setdefault(lower, [0, 0, 0.0])
            for column, number in enumerate(cells[value]):
                cell[column] += number

    def _rounded(self, scores: np.ndarray) -> np.ndarray:
        return self._edges[np.searchsorted(self._edges, scores, side="right") - 1]
