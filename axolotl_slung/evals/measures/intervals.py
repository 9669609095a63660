"""Means with their standard errors and 95 % intervals, without NaN.

Values of documents that share an author, for example, are not independent. `Clustered` values say to which cluster they
belong, and errors and intervals then come from the clusters' sums (Liang and Zeger 1986).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev
from statistics import median as middle


class Clustered(float):
    """A value that knows its cluster, such as the document's author. lm_eval's samples show it as a number."""

    cluster: object

    def __new__(cls, value: float, cluster: object) -> Clustered:
        made = super().__new__(cls, value)
        made.cluster = cluster
        return made

    def __getnewargs__(self):
        return float(self), self.cluster


def known(values: Sequence[float]) -> list[float]:
    """The values that are not NaN."""
    return [value for value in values if not math.isnan(value)]


def mean(values: Sequence[float]) -> float:
    """The mean of the known values; NaN if there are none."""
    values = known(values)
    return fmean(values) if values else math.nan


def median(values: Sequence[float]) -> float:
    """The median of the known values; NaN if there are none."""
    values = known(values)
    return float(middle(values)) if values else math.nan


def stderr(values: Sequence[float]) -> float:
    """The standard error of the mean of the known values; NaN if there are fewer than two values or clusters."""
    values = known(values)
    groups = _groups(values)
    if groups is None:
        return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    if len(groups) < 2:
        return math.nan
    center = fmean(values)
    sums = [sum(group) - center * len(group) for group in groups]
    return math.sqrt(sum(s * s for s in sums) * len(sums) / (len(sums) - 1)) / len(values)


def low(values: Sequence[float]) -> float:
    """The lower end of the mean's 95 % interval by Student's t; NaN if there are fewer than two values or clusters."""
    return mean(values) - _quantile(values) * stderr(values)


def high(values: Sequence[float]) -> float:
    """The upper end of the mean's 95 % interval; see `low`."""
    return mean(values) + _quantile(values) * stderr(values)


_NEAR = 0.01
"""A share this near to 0 or 1 counts as that in `share_low` and `share_high`."""


def share_low(values: Sequence[float]) -> float:
    """The lower end of the 95 % interval of a mean of values from 0 to 1, at least 0; see `low`.

    If all values are almost 0, or all almost 1, their spread says nothing. It is then a rate's, which varies more than any
    other such value.
    """
    return rate_low(values) if _at_an_end(values) else clipped(low(values))


def share_high(values: Sequence[float]) -> float:
    """The upper end of the 95 % interval of a mean of values from 0 to 1, at most 1; see `share_low`."""
    return rate_high(values) if _at_an_end(values) else clipped(high(values))


def _at_an_end(values: Sequence[float]) -> bool:
    values = known(values)
    return bool(values) and (max(values) <= _NEAR or min(values) >= 1 - _NEAR)


def positive_low(values: Sequence[float]) -> float:
    """The lower end of the 95 % interval of a mean of values from 0 on, at least 0; see `low`."""
    value = low(values)
    return value if math.isnan(value) else max(value, 0.0)


def rate_low(values: Sequence[float]) -> float:
    """The lower end of the 95 % interval of a rate, whose values are 0 or 1; NaN without known values.

    It is Wilson's interval, which has a width for 0 of n too. For clustered values, n is the number of independent
    values with the same standard error, and Student's t replaces the normal quantile (Korn and Graubard 1998).
    """
    return _wilson(values, -1)


def rate_high(values: Sequence[float]) -> float:
    """The upper end of a rate's 95 % interval; see `rate_low`."""
    return _wilson(values, 1)


def exact(successes: int, number: int) -> tuple[float, float]:
    """The exact 95 % interval (Clopper and Pearson 1934) of a share of `number` independent trials; (0, 1) of none."""
    from scipy.stats import binomtest

    if number == 0:
        return 0.0, 1.0
    interval = binomtest(successes, number).proportion_ci(0.95, "exact")
    return float(interval.low), float(interval.high)


def exact_low(values: Sequence[float]) -> float:
    """The lower end of the exact 95 % interval of a rate (Clopper and Pearson 1934); NaN without known values.

    For clustered values, n is the number of independent values with the same standard error, and less for few clusters
    (Korn and Graubard 1998).
    """
    return _exact(values, -1)


def exact_high(values: Sequence[float]) -> float:
    """The upper end of the exact 95 % interval of a rate; see `exact_low`."""
    return _exact(values, 1)


def _exact(values: Sequence[float], side: int) -> float:
    from scipy.stats import beta, t

    values = known(values)
    if not values:
        return math.nan
    rate, number = fmean(values), _independent(values)
    if _groups(values) is not None:
        number *= (float(t.ppf(0.975, max(len(values) - 1, 1))) / _quantile(values)) ** 2
    if not number:
        return (1 + side) / 2  # one cluster says nothing about others
    if rate == (1 + side) / 2:
        return rate
    events = rate * number
    upper = side > 0
    return float(beta.ppf(0.975 if upper else 0.025, events + upper, number - events + (not upper)))


def _independent(values: Sequence[float]) -> float:
    """The number of independent values of a rate with the same standard error; 0 if there is one cluster."""
    rate, number = fmean(values), len(values)
    if _groups(values) is None:
        return number
    error, independent = stderr(values), math.sqrt(rate * (1 - rate) / number)
    if math.isnan(error):
        return 0
    return number * (independent / error) ** 2 if error > independent > 0 else number


def _wilson(values: Sequence[float], side: int) -> float:
    values = known(values)
    if not values:
        return math.nan
    rate, number, quantile = fmean(values), _independent(values), 1.959963984540054
    if not number:
        return (1 + side) / 2  # one cluster says nothing about others
    if _groups(values) is not None:
        quantile = _quantile(values)
    return wilson(rate, number, quantile, side)


def wilson(rate: float, number: float, quantile: float, side: int) -> float:
    """An end of Wilson's interval of a rate of `number` independent values: the lower one if `side` is -1, else 1."""
    if rate == (1 + side) / 2:
        return rate  # rounding would miss it by a hair
    square = quantile**2 / number
    center, half = rate + square / 2, quantile * math.sqrt(rate * (1 - rate) / number + square / (4 * number))
    return clipped((center + side * half) / (1 + square))


def _groups(values: Sequence[float]) -> list[list[float]] | None:
    """The values by cluster; None if they are independent."""
    if not any(isinstance(value, Clustered) for value in values):
        return None
    groups: dict[object, list[float]] = defaultdict(list)
    for place, value in enumerate(values):
        groups[("of", value.cluster) if isinstance(value, Clustered) else place].append(value)
    return list(groups.values())


def _quantile(values: Sequence[float]) -> float:
    from scipy.stats import t

    values = known(values)
    groups = _groups(values)
    return float(t.ppf(0.975, max(len(values if groups is None else groups) - 1, 1)))


def clipped(value: float) -> float:
    """The value, at least 0 and at most 1; NaN stays NaN."""
    return value if math.isnan(value) else min(max(value, 0.0), 1.0)
