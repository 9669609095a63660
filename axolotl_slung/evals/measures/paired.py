"""The difference of two methods that answered the same documents: its 95 % interval, and a p-value.

Documents are shared, so what makes one hard for both methods cancels. Documents of one cluster, such as the questions about
one author, are not independent. Runs of a method (seeds) are not either, since they share the documents. Three parts add up
to the variance of a difference:

- clusters: how the difference varies between clusters of documents (Liang and Zeger 1986);
- runs: how a method's value varies between its runs;
- less what both count: a run's own noise on documents.

Of a mean, the interval comes from a bootstrap over clusters and runs. Of a rate, whose values are 0 or 1, it is the interval
of Bonett and Price (2012), which has a width without any event too. Both are as wide as Student's t asks. Each part of the
variance has its own t (Graybill and Wang 1980), since three runs say little about how runs vary. Degrees of freedom from the
sum of the parts (Satterthwaite 1946) covered 90 % only: where the runs happen to be alike, their few degrees count little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .intervals import wilson

REPLICATES = 10_000
_AT_ONCE = 500
_NORMAL = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Values:
    """The values of one metric for all runs of one method.

    A run's metric is the sum of `tops` over the sum of `bottoms`, or the exponential of that. A mean has bottoms of 1, or
    of 0 where a value is missing.

    Attributes:
        tops: float64 `(runs, documents)`, 0 where a value is missing.
        bottoms: float64 `(runs, documents)`.
        power: whether the metric is the exponential of the ratio, as a perplexity is.
    """

    tops: np.ndarray
    bottoms: np.ndarray
    power: bool = False

    def of_sums(self, tops: np.ndarray, bottoms: np.ndarray) -> np.ndarray:
        """The metric, from sums over documents; NaN without any value."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratios = tops / bottoms
            return np.exp(ratios) if self.power else ratios

    @cached_property
    def of_runs(self) -> np.ndarray:
        """float64 `(runs,)`: the metric of each run."""
        return self.of_sums(self.tops.sum(1), self.bottoms.sum(1))

    @cached_property
    def parts(self) -> np.ndarray:
        """float64 `(runs, documents)`: what each document adds to its run's metric, to first order; each row sums to 0."""
        ratios = self.tops.sum(1, keepdims=True) / self.bottoms.sum(1, keepdims=True)
        slopes = np.exp(ratios) if self.power else 1.0
        return slopes * (self.tops - ratios * self.bottoms) / self.bottoms.sum(1, keepdims=True)

    @property
    def is_rate(self) -> bool:
        """Whether all values are 0 or 1."""
        return not self.power and bool(np.isin(self.tops, (0, 1)).all() and (self.bottoms == 1).all())


@dataclass(frozen=True)
class Found:
    """A difference, the ends of its 95 % interval, its p-value, and whether the p-value is McNemar's."""

    difference: float
    low: float
    high: float
    p: float
    exact: bool = False


class Clusters:
    """The clusters of a task's documents, and bootstrap samples of them, which all comparisons share.

    Args:
        of_documents: the cluster of each document.
        seed: of the random numbers.
    """

    def __init__(self, of_documents: Sequence, seed: int = 0):
        numbers: dict[object, int] = {}
        self.of_documents = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in of_documents])
        self.count, self.seed = len(numbers), seed
        self._replicates: dict[Values, np.ndarray] = {}

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the documents of each cluster: `(runs, documents)` to `(runs, clusters)`."""
        return np.stack([np.bincount(self.of_documents, row, self.count) for row in values])

    @cached_property
    def times(self) -> np.ndarray:
        """uint8 `(REPLICATES, clusters)`: how often each bootstrap sample contains a cluster."""
        draw, rows = np.random.default_rng(self.seed), []
        for _ in range(0, REPLICATES, _AT_ONCE):
            drawn = draw.integers(self.count, size=(_AT_ONCE, self.count))
            drawn += self.count * np.arange(_AT_ONCE)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=_AT_ONCE * self.count)
            rows.append(counts.reshape(_AT_ONCE, self.count).astype(np.uint8))
        return np.concatenate(rows)

    def replicates(self, values: Values) -> np.ndarray:
        """float64 `(REPLICATES,)`: the metric, its mean over runs, of each bootstrap sample of clusters."""
        if values not in self._replicates:
            tops, bottoms = self.sums(values.tops).T, self.sums(values.bottoms).T
            rows = []
            for start in range(0, REPLICATES, _AT_ONCE):
                times = self.times[start : start + _AT_ONCE].astype(float)
                rows.append(values.of_sums(times @ tops, times @ bottoms).mean(1))
            self._replicates[values] = np.concatenate(rows)
        return self._replicates[values]


def difference(one: Values, other: Values, clusters: Clusters) -> Found:
    """`one` less `other`, over the same documents in the same order.

    Args:
        one, other: the values of two methods.
        clusters: of the documents.
    """
    whole = float(one.of_runs.mean() - other.of_runs.mean())
    both = one, other
    if clusters.count < 2 or not math.isfinite(whole):
        return Found(whole, math.nan, math.nan, math.nan)
    of_clusters = clusters.sums((one.parts.mean(0) - other.parts.mean(0))[None])[0]
    runs = _variance_of_runs(both, clusters)
    if one.is_rate and other.is_rate:
        return _of_rates(whole, one, other, clusters, of_clusters, runs)
    variance = _of_clusters(of_clusters)
    freedom = _freedom_of_parts([(variance, clusters.count - 1), (runs.variance, runs.freedom)])
    wide = _quantile(freedom) / _NORMAL
    moved = (clusters.replicates(one) - clusters.replicates(other) - whole) * math.sqrt(
        clusters.count / (clusters.count - 1)
    )
    draw = np.random.default_rng(clusters.seed + 1)
    for values in both:
        moved = moved + _moved_by_runs(values, runs.share, draw)
    moved = moved[np.isfinite(moved)]
    low, high = whole + wide * np.quantile(moved, (0.025, 0.975))
    return Found(whole, float(low), float(high), _p_of_replicates(whole, moved, freedom))


class Level(NamedTuple):
    """A mean over runs, its standard error and the ends of its 95 % interval."""

    mean: float
    stderr: float
    low: float
    high: float


def level(values: Values, clusters: Clusters) -> Level:
    """The mean over runs of one method, with the variance of documents and of runs.

    A rate has Wilson's interval, for the number of independent values with the same standard error. A rate of 0 or 1 tells
    nothing of it: the number is then that of the documents, which all runs share. Any other mean has the bootstrap's interval.
    """
    mean = float(values.of_runs.mean())
    if clusters.count < 2 or not math.isfinite(mean):
        return Level(mean, math.nan, math.nan, math.nan)
    runs = _variance_of_runs([values], clusters)
    variance = _of_clusters(clusters.sums(values.parts.mean(0)[None])[0])
    error = math.sqrt(variance + runs.variance)
    if values.is_rate:
        documents = len(clusters.of_documents)
        number = min(mean * (1 - mean) / error**2, values.tops.size) if error else documents
        quantile = _quantile(_freedom_of_parts([(variance, clusters.count - 1), (runs.variance, runs.freedom)]))
        ends = (wilson(mean, number, quantile, side) for side in (-1, 1))
    else:
        none = Values(np.zeros((1, values.tops.shape[1])), np.ones((1, values.tops.shape[1])))
        found = difference(values, none, clusters)
        ends = found.low, found.high
    return Level(mean, error, *ends)


class _Runs(NamedTuple):
    """What runs add to the variance of a difference, its degrees of freedom, and its share of the variance over runs."""

    variance: float
    freedom: float
    share: float


def _variance_of_runs(both: Sequence[Values], clusters: Clusters) -> _Runs:
    """The variance over runs of both means, without what clusters count already."""
    parts, noise = [], 0.0
    for values in both:
        runs = len(values.of_runs)
        if runs > 1:
            parts.append((float(np.var(values.of_runs, ddof=1)) / runs, runs - 1))
            of_clusters = clusters.sums(values.parts)
            squares = ((of_clusters - of_clusters.mean(0)) ** 2).sum() * clusters.count / (clusters.count - 1)
            noise += float(squares) / (runs - 1) / runs
    whole = sum(variance for variance, _ in parts)
    variance = max(whole - noise, 0.0)
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return _Runs(variance, whole**2 / below if below else math.inf, variance / whole if whole else 0.0)


def _of_clusters(parts: np.ndarray) -> float:
    return float((parts**2).sum() * len(parts) / (len(parts) - 1))


def _freedom_of_parts(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom at which t's 97.5 % quantile is right for a sum of variances.

    The squared quantile of the sum is the mean of the parts' own squared ones, weighted by their variances.
    """
    from scipy.optimize import brentq

    parts = [(variance, freedom) for variance, freedom in parts if variance]
    freedoms = {freedom for _, freedom in parts}
    if len(freedoms) < 2:
        return freedoms.pop() if freedoms else math.inf
    whole = sum(variance for variance, _ in parts)
    wide = math.sqrt(sum(variance * _quantile(freedom) ** 2 for variance, freedom in parts) / whole)
    return brentq(lambda freedom: _quantile(freedom) - wide, min(freedoms), min(max(freedoms), 1e6))


def _quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom)) if math.isfinite(freedom) else _NORMAL


def _moved_by_runs(values: Values, share: float, draw: np.random.Generator) -> np.ndarray | float:
    """How far bootstrap samples of runs move the mean, with this share of the variance over runs."""
    runs = len(values.of_runs)
    if runs < 2 or not share:
        return 0.0
    moves = values.of_runs - values.of_runs.mean()
    return moves[draw.integers(runs, size=(REPLICATES, runs))].mean(1) * math.sqrt(share * runs / (runs - 1))


def _p_of_replicates(whole: float, moved: np.ndarray, freedom: float) -> float:
    """Twice the share of replicates on the other side of 0, as Student's t sees it.

    If there are fewer than 20, their standard deviation says how far away 0 is.
    """
    from scipy.stats import norm

    if not moved.any():
        return 1.0 if whole == 0 else 0.0
    across = int((whole + moved <= 0).sum() if whole > 0 else (whole + moved >= 0).sum())
    if across < 20:
        return _two_sided(-abs(whole) / float(moved.std()), freedom)
    return _two_sided(float(norm.ppf(min((1 + across) / (1 + len(moved)), 0.5))), freedom)


def _two_sided(quantile: float, freedom: float) -> float:
    from scipy.stats import norm, t

    return float(2 * (t.cdf(quantile, freedom) if math.isfinite(freedom) else norm.cdf(quantile)))


def _of_rates(whole, one: Values, other: Values, clusters: Clusters, of_clusters: np.ndarray, runs: _Runs) -> Found:
    """Bonett and Price's interval: as if two more documents differed, one in each direction.

    With clusters, the number of documents is that of independent ones with the same standard error.
    """
    differences = one.tops.mean(0) - other.tops.mean(0)
    number, squares = len(differences), float((differences**2).sum())
    independent = (squares / number - whole**2) / (number - 1)
    # few clusters give a noisy ratio, which Student's t allows for: cut at 1, intervals would be too wide on average
    effect = max(_of_clusters(of_clusters) / independent, 0.5) if independent > 0 else 1.0
    more = number + 2 * effect
    center = float(differences.sum()) / more
    # with several runs a document may differ in one of them only
    size = squares / float(np.abs(differences).sum()) if squares else 1.0
    variance = ((squares + 2 * effect * size**2) / more - center**2) / (more / effect)
    freedom = _freedom_of_parts([(variance, clusters.count - 1), (runs.variance, runs.freedom)])
    error = math.sqrt(variance + runs.variance)
    half = _quantile(freedom) * error
    low, high = max(center - half, -1.0), min(center + half, 1.0)
    if len(one.tops) == len(other.tops) == 1 and clusters.count == number:
        return Found(whole, low, high, mcnemar(int((differences > 0).sum()), int((differences < 0).sum())), True)
    return Found(whole, low, high, _two_sided(-abs(center) / error, freedom))


def mcnemar(only_one: int, only_other: int) -> float:
    """The p-value of McNemar's exact test: of documents that differ, each direction is equally likely."""
    from scipy.stats import binomtest

    return float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """The p-values, adjusted for their number (Holm 1979). NaN is not counted, and stays NaN."""
    order = sorted((place for place, value in enumerate(p) if not math.isnan(value)), key=lambda place: p[place])
    adjusted, largest = list(p), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[place]))
        adjusted[place] = largest
    return adjusted
