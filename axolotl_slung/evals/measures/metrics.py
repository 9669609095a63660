"""The metrics of a result, and how they are computed from the values of documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import intervals


class Metric(NamedTuple):
    """A number in the results: `aggregate`, applied to the documents' values with the key `of`."""

    of: str
    aggregate: Callable[[Sequence], float]
    higher_is_better: bool | None = None


def with_error(
    name: str, of: str | None = None, *, higher: bool | None = None, rate: bool = False, most: float = 1
) -> dict[str, Metric]:
    """A mean of values from 0 on, its standard error and its 95 % interval. lm_eval pairs the first two by name.

    Args:
        name: the metric's name.
        of: the key of the documents' values, if it differs from `name`.
        higher: whether higher is better.
        rate: whether the values are 0 or 1, so that the interval is one of a rate.
        most: no value is above it; infinity if values have no bound.
    """
    of = of or name
    if rate:
        low, high = intervals.rate_low, intervals.rate_high
    elif math.isinf(most):
        low, high = intervals.positive_low, intervals.high
    else:
        low, high = _up_to(most, intervals.share_low), _up_to(most, intervals.share_high)
    return {
        name: Metric(of, intervals.mean, higher),
        f"{name}_stderr": Metric(of, intervals.stderr),
        f"{name}_ci_low": Metric(of, low),
        f"{name}_ci_high": Metric(of, high),
    }


def _up_to(most: float, end: Callable[[Sequence], float]) -> Callable[[Sequence], float]:
    """An end of an interval of shares, for values from 0 to `most`."""
    return end if most == 1 else lambda values: most * end([value / most for value in values])


def exact_rate(name: str, of: str | None = None, higher: bool | None = None) -> dict[str, Metric]:
    """A rate of zeros and ones with its exact 95 % interval (Clopper and Pearson 1934) and the number of its values.

    Args:
        name: the metric's name.
        of: the key of the documents' values, if it differs from `name`. NaN is left out.
        higher: whether higher is better.
    """
    of = of or name
    return {
        name: Metric(of, intervals.mean, higher),
        f"{name}_ci_low": Metric(of, intervals.exact_low),
        f"{name}_ci_high": Metric(of, intervals.exact_high),
        f"{name}_n": Metric(of, lambda values: len(intervals.known(values))),
    }


def aggregate(metrics: Mapping[str, Metric], rows: Sequence[Mapping]) -> dict[str, float]:
    """All metrics over all documents."""
    return {name: metric.aggregate([row[metric.of] for row in rows]) for name, metric in metrics.items()}
