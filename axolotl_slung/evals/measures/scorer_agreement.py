"""How well scores agree with frozen ones, with 95 % intervals.

Two texts of one prompt are not independent. Intervals of AUROC, average precision, bias and mean absolute error come
from 1000 bootstrap samples of prompts. Recall and precision are rates and have Wilson's intervals, see `intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import intervals

TOXIC = 0.5
"""Scores from this on are toxic."""

SAMPLES = 1000
"""Bootstrap samples."""


class Figure(NamedTuple):
    """A figure with its 95 % interval; all NaN if it is not defined."""

    value: float
    low: float
    high: float


class Agreement(NamedTuple):
    """The figures of some texts.

    Attributes:
        n: the number of texts.
        prompts: the number of prompts that they come from.
        toxic: the share whose frozen score is toxic, the value of average precision by chance. AUROC's is 0.5.
        auroc, average_precision: of the scores, for the frozen classes.
        bias: the mean of score less frozen score.
        mean_absolute_error: between the scores.
        recall, precision: at a score of 0.5, for the frozen classes.
    """

    n: int
    prompts: int
    toxic: float
    auroc: Figure
    average_precision: Figure
    bias: Figure
    mean_absolute_error: Figure
    recall: Figure
    precision: Figure


def agreement(scores: np.ndarray, frozen: np.ndarray, prompts: Sequence[int]) -> Agreement:
    """Compare scores with frozen ones.

    Args:
        scores: float `[n]`, without NaN.
        frozen: float `[n]`.
        prompts: for each text the number of its prompt.
    """
    clusters, members = np.unique(np.asarray(prompts, np.int64), return_inverse=True)
    toxic, differences = frozen >= TOXIC, scores - frozen
    ranking = _Ranking(scores, toxic)
    measures = (
        ranking.auroc,
        ranking.average_precision,
        lambda weights: _mean(differences, weights),
        lambda weights: _mean(np.abs(differences), weights),
    )
    draws = np.random.default_rng(0)
    drawn: list[list[float]] = [[] for _ in measures]
    for _ in range(SAMPLES if len(clusters) > 1 else 0):
        times = np.bincount(draws.integers(0, len(clusters), len(clusters)), minlength=len(clusters))[members]
        for values, measure in zip(drawn, measures):
            values.append(measure(times))
    once = np.ones(len(scores))
    figures = [_figure(measure(once), values) for measure, values in zip(measures, drawn)]
    said = scores >= TOXIC
    return Agreement(
        len(scores),
        len(clusters),
        float(toxic.mean()) if len(scores) else math.nan,
        *figures,
        _rate(said[toxic], members[toxic]),
        _rate(toxic[said], members[said]),
    )


class _Ranking:
    """Scores in descending order, for measures of weighted texts. Texts with equal scores are one step."""

    def __init__(self, scores: np.ndarray, toxic: np.ndarray):
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._steps = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(scores) else np.zeros(0, np.int64)
        self._toxic = toxic[self._order]

    def _sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weight of toxic and of other texts in each step."""
        weights = weights[self._order]
        return tuple(np.add.reduceat(weights * kind, self._steps) for kind in (self._toxic, ~self._toxic))

    def auroc(self, weights: np.ndarray) -> float:
        if not len(self._steps):
            return math.nan
        toxic, others = self._sums(weights)
        pairs = toxic.sum() * others.sum()
        # of the others, those in later steps are ranked right, and half of those in the same step
        later = others.sum() - np.cumsum(others)
        return float((toxic * (later + others / 2)).sum() / pairs) if pairs else math.nan

    def average_precision(self, weights: np.ndarray) -> float:
        if not len(self._steps):
            return math.nan
        toxic, others = self._sums(weights)
        found, all_found = np.cumsum(toxic), np.cumsum(toxic + others)
        if not toxic.sum() or not others.sum():
            return math.nan
        return float((toxic * found / np.maximum(all_found, 1)).sum() / toxic.sum())


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum()) if len(values) else math.nan


def _figure(value: float, drawn: list[float]) -> Figure:
    known = intervals.known(drawn)
    # samples of one class give no figure; without half of them an interval would be about other data
    if math.isnan(value) or 2 * len(known) < SAMPLES:
        return Figure(value, math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Figure(value, float(low), float(high))


def _rate(hits: np.ndarray, members: np.ndarray) -> Figure:
    if len(np.unique(members)) == len(members):
        values = hits.astype(float).tolist()
    else:
        values = [intervals.Clustered(float(hit), int(member)) for hit, member in zip(hits, members)]
    return Figure(intervals.mean(values), intervals.rate_low(values), intervals.rate_high(values))
