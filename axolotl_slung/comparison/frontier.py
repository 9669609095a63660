"""The Pareto frontier of a plane, and whether noise decides who is on it."""

from __future__ import annotations

from dataclasses import dataclass

from .evaluations import Estimate, Evaluations, Method

Metric = tuple[str, str]
"""A task and a metric of it."""


@dataclass(frozen=True)
class Point:
    """A method in a plane of a metric that should be low and one that should be high, or low too.

    `best` says whether the method is on the Pareto frontier, and `noise` whether that is within noise.
    """

    method: Method
    low: Estimate
    high: Estimate
    best: bool
    noise: bool

    @property
    def said(self) -> str:
        """Whether the method is on the frontier, in words."""
        return f"{'yes' if self.best else 'no'}{' (within noise)' if self.noise else ''}"


def points(evaluations: Evaluations, low: Metric, high: Metric, sign: int = 1) -> list[Point]:
    """The methods that have both metrics. A method is best if no other method beats both of its means.

    Tuned models and pretrained ones have a frontier each.

    Args:
        evaluations: the methods.
        low: the metric that should be low.
        high: the metric that should be high.
        sign: -1 if `high` should be low too, as a loss.
    """
    both = [(method, method.estimate(*low), method.estimate(*high)) for method in evaluations.methods]
    known = [(method, x, y) for method, x, y in both if x and y]
    found = []
    for method, x, y in known:
        beside = [each for each in known if each[0].tuned == method.tuned]
        beating = [other for other, *its in beside if _beats(its, (x, y), sign)]
        if beating:
            noise = all(_is_close(evaluations, method, other, low, high, sign) for other in beating)
        else:
            noise = any(
                _only_noise(evaluations, method, other, low, high, sign) for other, *_ in beside if other is not method
            )
        found.append(Point(method, x, y, not beating, noise))
    return found


def _beats(one, other, sign: int) -> bool:
    one, other = ((low.mean, sign * high.mean) for low, high in (one, other))
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def _is_close(evaluations: Evaluations, method: Method, other: Method, low: Metric, high: Metric, sign: int) -> bool:
    """Whether both differences of a method to one that beats it are within noise."""
    return (
        _better(evaluations, other, method, low, -1) is False
        and _better(evaluations, other, method, high, sign) is False
    )


def _only_noise(evaluations: Evaluations, method: Method, other: Method, low: Metric, high: Metric, sign: int) -> bool:
    """Whether a method of the frontier is there by noise: another is better in one metric, and not worse in the other."""
    for first, its_sign, second, its in ((low, -1, high, sign), (high, sign, low, -1)):
        if (
            _better(evaluations, other, method, first, its_sign)
            and _better(evaluations, method, other, second, its) is False
        ):
            return True
    return False


def _better(evaluations: Evaluations, one: Method, other: Method, metric: Metric, sign: int) -> bool | None:
    """Whether `one` is better beyond noise; None if noise is not known."""
    interval = evaluations.comparer.interval(one, other, *metric)
    if interval is None or interval.is_noise is None:
        return None
    return not interval.is_noise and sign * interval.difference > 0
