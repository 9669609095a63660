"""Estimates as text in tables."""

from __future__ import annotations

from .evaluations import Estimate


def cell(estimate: Estimate | None, digits: int, scale: float = 1, unit: str = "") -> str:
    """A mean with its standard error; n/a if there is none."""
    if estimate is None:
        return "n/a"
    error = "" if estimate.stderr is None else f" ± {scale * estimate.stderr:.{digits}f}"
    return f"{scale * estimate.mean:.{digits}f}{unit}{error}"


def percent(estimate: Estimate | None) -> str:
    """A share as a percentage with its standard error."""
    return cell(estimate, 1, 100, "%")
