"""The metrics of a result, and how they are computed from the values of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import intervals


class Metric(NamedTuple):
    """A number in the results: `aggregate`, applied to the documents' values with the key `of`."""

    of: str
    aggregate: Callable[[Sequence], float]
    higher_is_better: bool | None = None


def with_error(
    name: str, of: str | None = None, *, higher: bool | None = None, interval: bool = False
) -> dict[str, Metric]:
    """A mean, its standard error and optionally its interval. The names are those by which lm_eval pairs the first two.

    Args:
        name: the metric's name.
        of: the key of the documents' values, if it differs from `name`.
        higher: whether higher is better.
        interval: whether to report the 95 % interval too.
    """
    of = of or name
    metrics = {name: Metric(of, intervals.mean, higher), f"{name}_stderr": Metric(of, intervals.stderr)}
    if interval:
        metrics |= {f"{name}_ci_low": Metric(of, intervals.low), f"{name}_ci_high": Metric(of, intervals.high)}
    return metrics


def aggregate(metrics: Mapping[str, Metric], rows: Sequence[Mapping]) -> dict[str, float]:
    """All metrics over all documents."""
    return {name: metric.aggregate([row[metric.of] for row in rows]) for name, metric in metrics.items()}
