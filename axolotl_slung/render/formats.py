"""Number formats of the reports."""

from __future__ import annotations


def count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{number:,.0f}"


def share(part: float | None) -> str:
    """A share as a percentage; None gives `n/a`. Only exactly 0 gives 0%, and only exactly 1 gives 100%."""
    if part is None:
        return "n/a"
    percent = 100 * part
    if 0 < percent < 0.1:
        return f"{percent:.2g}%" if percent >= 1e-4 else "<0.0001%"
    return f"{_not_quite(percent, 100, 1)}%"


def decimal(number: float | None) -> str:
    """A number from 0 to 1 with three decimals; None gives `n/a`. It has more decimals if three would round to 1."""
    return "n/a" if number is None else _not_quite(number, 1, 3)


def _not_quite(number: float, whole: int, digits: int) -> str:
    while digits < 7 and number < whole == round(number, digits):
        digits += 1
    return f"{number:.{digits}f}"


def short(score: float) -> str:
    """A score in as few characters as possible: 1e-6, 0.0001, 0.999999."""
    return f"{score:.12g}".replace("e-0", "e-")


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`; None if `whole` is 0."""
    return part / whole if whole else None
