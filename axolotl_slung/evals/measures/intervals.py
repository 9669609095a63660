"""Means with their standard errors and 95 % intervals, without NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev


def known(values: Sequence[float]) -> list[float]:
    """The values that are not NaN."""
    return [value for value in values if not math.isnan(value)]


def mean(values: Sequence[float]) -> float:
    """The mean of the known values; NaN if there are none."""
    values = known(values)
    return fmean(values) if values else math.nan


def stderr(values: Sequence[float]) -> float:
    """The standard error of the mean of the known values; NaN if there are fewer than two."""
    values = known(values)
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def low(values: Sequence[float]) -> float:
    """The lower end of the mean's 95 % interval by Student's t; NaN if there are fewer than two known values."""
    return mean(values) - _half(values)


def high(values: Sequence[float]) -> float:
    """The upper end of the mean's 95 % interval; see `low`."""
    return mean(values) + _half(values)


def none_of(samples: int) -> float:
    """The upper end of the exact 95 % interval (Clopper and Pearson) of a share, if none of the samples has it."""
    return 1 - 0.025 ** (1 / samples)


def _half(values: Sequence[float]) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, max(len(known(values)) - 1, 1))) * stderr(values)
