"""Place names beside the points of a picture, with as little overlap as possible."""

from __future__ import annotations

from collections.abc import Sequence

# where a name can stand around its point, and its distance from it in typographic points (1/72 inch)
_AROUND = (
    *((across, up, 8, 3) for up in (1, -1) for across in (1, -1)),
    *((0, up, 0, 7) for up in (1, -1)),
    *((across, 0, 13, 0) for across in (1, -1)),
)
_MARK = 6

Place = tuple[float, float]
"""A position in the units of the axes."""


def name_points(
    axes, names: Sequence[tuple[Place, str, str]], marks: Sequence[Place], lines: Sequence[tuple[Place, Place]]
):
    """Write each name beside its place. Names avoid marks and other names if possible, and then lines.

    Args:
        axes: matplotlib axes with everything drawn but the names, and with final limits.
        names: `(place, text, color)` each.
        marks: positions of all points.
        lines: straight lines, as pairs of ends.
    """
    from matplotlib.transforms import Bbox

    axes.figure.draw_without_rendering()
    pixels, frame = axes.transData.transform, axes.bbox
    taken = [Bbox.from_extents(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in map(pixels, marks)]
    drawn = [(pixels(start), pixels(end)) for start, end in lines]
    for place, words, color in names:
        name = axes.annotate(words, place, (0, 0), textcoords="offset points", ha="center", va="center", fontsize=9)
        name.set(color=color, zorder=4, in_layout=False)
        choices = []
        box = name.get_window_extent()
        wide, tall = (72 / axes.figure.dpi * length / 2 for length in (box.width, box.height))
        for far in (1.0, 1.6, 2.4, 4.0):
            for across, up, beside, above in _AROUND:
                name.xyann = (across * (wide + beside * far), up * (tall + above * far))
                box = name.get_window_extent()
                hidden = 10 * sum(box.overlaps(other) for other in taken) + sum(_crosses(box, *line) for line in drawn)
                inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
                choices.append((hidden + 100 * (not inside) + 2 * far, name.xyann, box))
        _, name.xyann, box = min(choices, key=lambda choice: choice[0])
        taken.append(box)


def _crosses(box, start: Place, end: Place) -> bool:
    """Whether a straight line crosses a box, checked at 25 positions of the line."""
    steps = [n / 24 for n in range(25)]
    return any(box.contains(*(a + step * (b - a) for a, b in zip(start, end))) for step in steps)
