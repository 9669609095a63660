"""Small charts written as SVG: bars, lines and stacked shares.

Colors come from classes in the page's style sheet (`report.css`), so charts follow light and dark mode. Each chart is
an image with a title for screen readers. Each mark shows its value when you point at it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..visible import visible
from .formats import count, share

WIDTH, HEIGHT = 720, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 12, 42


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, with `ticks` (`(value, text)`) and the name `label`."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str = ""

    def place(self, value: float) -> float:
        """The position of a value: 0 at `low`, 1 at `high`, clipped to this range."""
        return min(max((value - self.low) / ((self.high - self.low) or 1), 0.0), 1.0)


def text(value) -> str:
    """Escape any text for HTML, including attributes."""
    return escape(visible(str(value)))


def linear(high: int, label: str = "") -> Axis:
    """An axis of counts, from 0 to a round number that is at least `high`."""
    step = 10 ** math.floor(math.log10(max(high, 1)))
    step = max(next(step * factor for factor in (0.2, 0.5, 1, 2) if high <= 5 * step * factor), 1)
    ticks = [step * n for n in range(max(math.ceil(high / step), 1) + 1)]
    return Axis(0, ticks[-1], [(tick, count(tick)) for tick in ticks], label)


def logarithmic(high: float, label: str = "") -> Axis:
    """An axis for `log10` of counts, up to `high`. It begins a little below 1, so that a count of 1 is visible."""
    top = max(math.log10(max(high, 1)), 0.5)
    powers = range(math.floor(top) + 1)
    return Axis(-0.3, top, [(p, count(10**p)) for p in powers if len(powers) <= 6 or p % 2 == 0], label)


def bars(
    title: str,
    values: Sequence[int],
    names: Sequence[str],
    ticks: Sequence[tuple[float, str]],
    *,
    label: str,
    unit: str,
    kinds: Sequence[str] | None = None,
    marks: Sequence[tuple[float, str]] = (),
    log: bool = False,
) -> str:
    """A histogram.

    Args:
        title: what it shows.
        values: counts, one per bar.
        names: what each bar counts, shown when you point at it.
        ticks: positions and their texts. Bar `i` reaches from `i` to `i + 1`.
        label: the name of the horizontal axis.
        unit: what is counted, and the name of the vertical axis.
        kinds: each bar's class, for its color.
        marks: positions and texts of vertical lines.
        log: whether heights are logarithmic.
    """
    unit_label = f"{unit} (log scale)" if log else unit
    across = Axis(0, len(values), ticks, label)
    up = logarithmic(max(values, default=0), unit_label) if log else linear(max(values, default=0), unit_label)
    parts = []
    for index, value in enumerate(values):
        left, right = _x(across, index) + 1, _x(across, index + 1) - 1
        kind = "" if kinds is None else f" k-{kinds[index]}"
        hint = f"<title>{text(names[index])}: {count(value)} {text(unit)}</title>"
        if value:
            top = _y(up, math.log10(value) if log else value)
            height = _y(up, up.low) - top
            parts.append(
                f'<rect class="bar{kind}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                f'height="{height:.1f}">{hint}</rect>'
            )
    return _chart(title, across, up, parts + _uprights(across, marks))


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    across: Axis,
    up: Axis,
    *,
    marks: Sequence[tuple[float, str]] = (),
    diagonal: bool = False,
    dots: bool = False,
) -> str:
    """One line per series, with a legend. The first of several is drawn broad, so that lines on top of it are visible.

    Args:
        title: what it shows.
        series: for each name, its points in the units of the axes.
        across, up: the axes.
        marks: positions on `across` and texts of vertical lines.
        diagonal: whether to draw the diagonal.
        dots: whether to draw each point.
    """
    parts = _uprights(across, marks)
    if diagonal:
        ends = f'x1="{_x(across, across.low):.1f}" y1="{_y(up, up.low):.1f}"'
        parts.append(f'<line class="diagonal" {ends} x2="{_x(across, across.high):.1f}" y2="{_y(up, up.high):.1f}"/>')
    legend = []
    for index, (name, points) in enumerate(series.items()):
        places = [(_x(across, x), _y(up, y)) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        broad = " broad" if index == 0 and len(series) > 1 else ""
        parts.append(
            f'<polyline class="line s{index % 8}{broad}" points="{line}"><title>{text(name)}</title></polyline>'
        )
        if dots:
            parts += [f'<circle class="dot s{index % 8}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        legend.append(f'<li class="s{index % 8}">{text(name)}</li>')
    return _chart(title, across, up, parts, f'<ul class="legend">{"".join(legend)}</ul>' if len(series) > 1 else "")


def shares(title: str, parts: Sequence[tuple[str, int, str]], unit: str) -> str:
    """One bar cut into shares, `(name, number, kind)` each, with a legend that gives all numbers."""
    whole = sum(number for _, number, _ in parts) or 1
    pieces, legend, left = [], [], 0.0
    for name, number, kind in parts:
        width = 100 * number / whole
        says = f"{text(name)}: {count(number)} {text(unit)}, {share(number / whole)}"
        pieces.append(
            f'<rect class="bar k-{kind}" x="{left:.3f}%" y="0" width="{width:.3f}%" height="26">'
            f"<title>{says}</title></rect>"
        )
        legend.append(f'<li class="k-{kind}">{says}</li>')
        left += width
    image = (
        f'<svg class="shares" role="img" width="100%" height="26"><title>{text(title)}</title>{"".join(pieces)}</svg>'
    )
    return f'<figure><figcaption>{text(title)}</figcaption>{image}<ul class="legend">{"".join(legend)}</ul></figure>'


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.place(value) * (HEIGHT - _BOTTOM - _TOP)


def _uprights(across: Axis, marks) -> list[str]:
    drawn = []
    for value, says in marks:
        x = _x(across, value)
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"'
        drawn.append(f'<line class="mark" {ends}><title>{text(says)}</title></line>')
    return drawn


def _chart(title: str, across: Axis, up: Axis, parts: Sequence[str], legend: str = "") -> str:
    """A chart with grid, ticks and names of the axes."""
    bottom, middle = HEIGHT - _BOTTOM, (HEIGHT - _BOTTOM + _TOP) / 2
    grid = []
    for value, says in up.ticks:
        y = _y(up, value)
        grid.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        grid.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{text(says)}</text>')
    axis = [f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>']
    for value, says in across.ticks:
        x = _x(across, value)
        axis.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        axis.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{text(says)}</text>')
    middle_x = (WIDTH + _LEFT - _RIGHT) / 2
    axis.append(f'<text class="name" x="{middle_x}" y="{HEIGHT - 6}" text-anchor="middle">{text(across.label)}</text>')
    turned = f'transform="translate(13 {middle}) rotate(-90)" text-anchor="middle"'
    axis.append(f'<text class="name" {turned}>{text(up.label)}</text>')
    inside = "".join([*grid, *parts, *axis])
    image = f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{text(title)}</title>{inside}</svg>'
    return f"<figure><figcaption>{text(title)}</figcaption>{legend}{image}</figure>"
