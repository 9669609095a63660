"""How values of documents become the numbers of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import intervals


class Metric(NamedTuple):
    """A number in the results: `aggregate` over the values that documents have under `of`."""

    of: str
    aggregate: Callable[[Sequence], float]
    higher_is_better: bool | None = None


def with_error(
    name: str, of: str | None = None, *, higher: bool | None = None, interval: bool = False
) -> dict[str, Metric]:
    """A mean, its standard error (which lm_eval prints beside it, by its name) and perhaps its 95 % interval.

    Args:
        name: the metric's.
        of: what it is the mean of, where that has another name.
        higher: whether higher is better.
        interval: whether to report the interval too.
    """
    of = of or name
    metrics = {name: Metric(of, intervals.mean, higher), f"{name}_stderr": Metric(of, intervals.stderr)}
    if interval:
        metrics |= {f"{name}_ci_low": Metric(of, intervals.low), f"{name}_ci_high": Metric(of, intervals.high)}
    return metrics


def aggregate(metrics: Mapping[str, Metric], rows: Sequence[Mapping]) -> dict[str, float]:
    """All metrics of all documents."""
    return {name: metric.aggregate([row[metric.of] for row in rows]) for name, metric in metrics.items()}
