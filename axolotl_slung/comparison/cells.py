"""Estimates as text in tables."""

from __future__ import annotations

from .evaluations import Estimate


def cell(estimate: Estimate | None, digits: int, scale: float = 1, unit: str = "") -> str:
    """A mean with its standard error; n/a if there is none.

    If no value differs from another, an error of 0 would look certain: the other end of the 95 % interval is shown.
    """
    if estimate is None:
        return "n/a"

    def text(value: float) -> str:
        return f"{scale * value:.{digits}f}"

    error = "" if estimate.stderr is None else f" ± {text(estimate.stderr)}"
    if estimate.stderr == 0 and estimate.low is not None and estimate.high is not None and estimate.low < estimate.high:
        at_bottom = estimate.high - estimate.mean > estimate.mean - estimate.low
        error = f" (at most {text(estimate.high)}{unit})" if at_bottom else f" (at least {text(estimate.low)}{unit})"
    return f"{text(estimate.mean)}{unit}{error}"


def percent(estimate: Estimate | None) -> str:
    """A share as a percentage with its standard error."""
    return cell(estimate, 1, 100, "%")


def interval(estimate: Estimate | None, digits: int, scale: float = 1, unit: str = "") -> str:
    """A mean with its 95 % interval in brackets; n/a if there is none."""
    if estimate is None:
        return "n/a"
    mean = f"{scale * estimate.mean:.{digits}f}{unit}"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{scale * estimate.low:.{digits}f}, {scale * estimate.high:.{digits}f}]"
