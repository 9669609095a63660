"""Numbers as reports write them."""

from __future__ import annotations


def count(number: float) -> str:
    """A whole number with its thousands set apart."""
    return f"{number:,.0f}"


def share(part: float | None) -> str:
    """A share as a percentage; None reads `n/a`. Neither 0% nor 100% is said of anything but nothing and all."""
    if part is None:
        return "n/a"
    percent = 100 * part
    if 0 < percent < 0.1:
        return f"{percent:.2g}%" if percent >= 1e-4 else "<0.0001%"
    return f"{_not_quite(percent, 100, 1)}%"


def decimal(number: float | None) -> str:
    """A number from 0 to 1 in three digits, or in more where they would say 1 and it is less; None reads `n/a`."""
    return "n/a" if number is None else _not_quite(number, 1, 3)


def _not_quite(number: float, whole: int, digits: int) -> str:
    while digits < 7 and number < whole == round(number, digits):
        digits += 1
    return f"{number:.{digits}f}"


def short(score: float) -> str:
    """A score in few characters: 1e-6, 0.0001, 0.999999."""
    return f"{score:.12g}".replace("e-0", "e-")


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, None where there is no whole."""
    return part / whole if whole else None
