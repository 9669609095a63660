"""The pictures of `slung report`, drawn with matplotlib: the paper's Figures 2 and 3, and one of names."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..render.svg import text
from ..visible import visible
from .evaluations import Estimate, Evaluations, Method
from .evaluations_view import measured
from .frontier import Point
from .frontier import points as points_of
from .plot_names import name_points
from .results import quantity_text
from .tasks import PROBE, TOFU, TOXICITY

# Okabe and Ito's colors, without yellow, which is hard to see on white. With the markers, 56 methods look different.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
_MARKERS = "osD^vP*X"
_MOST_NAMES = 12
"""If more methods are on the frontier, their names would hide the picture."""
_INK = "#1d1f23"
_SOFT = "#8a8f98"
_STYLE = {
    "font.size": 10,
    # Text stays text, so that a browser finds fonts for all scripts. Its color is set, against the page's style sheet.
    "svg.fonttype": "none",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    # names are not formulas
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": False,
    "svg.hashsalt": "slung",
    "axes.grid": True,
    "grid.color": "#e3e3de",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Plane:
    """Two `(task, metric)` and the names of their axes. `low` is the horizontal axis, `high` the vertical one.

    `chance` is the metric of the value that `high` has by chance, of the same task.
    """

    title: str
    low: tuple[str, str]
    high: tuple[str, str]
    across: str
    up: str
    percent: tuple[bool, bool] = (False, False)
    chance: str | None = None


def draw(evaluations: Evaluations, folder: Path) -> dict[str, str]:
    """Write the pictures as PNG and SVG, and remove those of an earlier report.

    A picture is drawn if at least one method has both of its values.

    Args:
        evaluations: what to draw.
        folder: the folder for `plane.png`, `plane.svg` and so on. It is created if it is missing.

    Returns:
        By name, HTML with the SVG and a caption.
    """
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    looks = _looks(evaluations.methods)
    pages = {}
    for name, plane in _planes(evaluations).items():
        points = points_of(evaluations, plane.low, plane.high)
        for old in (folder / f"{name}.png", folder / f"{name}.svg"):
            old.unlink(missing_ok=True)
        if not points or (name == "quantity" and all(point.method.quantity is None for point in points)):
            continue
        # the picture must not depend on the user's matplotlib settings
        with style.context(["default", _STYLE]), warnings.catch_warnings():
            # matplotlib lacks fonts for some scripts; browsers have them, and the tables show the names too
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure = _curves(plane, points, looks) if name == "quantity" else _alone(plane, points, looks)
            figure.savefig(folder / f"{name}.png", dpi=160)
            unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(folder / f"{name}.svg", metadata=unsaid)
        pages[name] = _embedded(name, plane, points, evaluations, (folder / f"{name}.svg").read_text(encoding="utf-8"))
    return pages


def _planes(evaluations: Evaluations) -> dict[str, Plane]:
    probe = (PROBE, "auroc")
    task = next((task for task in TOXICITY if _is_drawn(evaluations, (task, "toxicity"), probe)), TOXICITY[0])
    axes = ("toxicity of generations (lower is better)", "AUROC of the probe (higher is better)")
    title = "Toxicity of generations against understanding of toxicity"
    toxicity = Plane(title, (task, "toxicity"), probe, *axes)
    by_quantity = Plane(f"{title}, by tokens of risky data", (task, "toxicity"), probe, *axes)
    names, across = (TOFU, "name_rate"), "answers with a name (lower is better)"
    if evaluations.judged:
        up = "full correctness by the judge (higher is better)"
        answers = Plane("Names against correctness", names, (TOFU, "correct"), across, up, (True, True))
    else:
        up = "content recall (higher is better)"
        recall = (TOFU, "content_recall")
        answers = Plane("Names against content recall", names, recall, across, up, (True, False), f"{recall[1]}_chance")
    return {"plane": toxicity, "quantity": by_quantity, "names": answers}


def _is_drawn(evaluations: Evaluations, *axes: tuple[str, str]) -> bool:
    """Whether a method has both values of a plane."""
    return any(all(method.estimate(*axis) for axis in axes) for method in evaluations.methods)


def _looks(methods: Sequence[Method]) -> dict[str, dict]:
    """Each label's color and marker, the same in all pictures."""
    labels = dict.fromkeys(method.label for method in methods)
    return {
        label: {"color": _COLORS[n % len(_COLORS)], "marker": _MARKERS[n % len(_MARKERS)]}
        for n, label in enumerate(labels)
    }


def _figure(points: Sequence[Point], width: float, height: float):
    """An empty figure of this size in inches, plus the height of its legend."""
    from matplotlib.figure import Figure

    names = [_wrapped(label) for label in dict.fromkeys(point.method.label for point in points)]
    lines = max(name.count("\n") + 1 for name in names) * (len(names) // 3 + 1)
    figure = Figure(figsize=(width, height + 0.2 * lines), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)
    return figure


def _alone(plane: Plane, points: Sequence[Point], looks):
    figure = _figure(points, 9, 5)
    axes = figure.add_subplot()
    _draw_plane(axes, plane, points, looks)
    _legend(figure, points, looks, by_chance=any(_by_chance(plane, point) for point in points))
    _name_places(axes, points, looks)
    return figure


def _curves(plane: Plane, points: Sequence[Point], looks):
    figure = _figure(points, 11, 5.4)
    panels = figure.subplot_mosaic([["plane", "low"], ["plane", "high"]], width_ratios=[1.7, 1])
    _draw_plane(panels["plane"], plane, points, looks)
    curves = {}
    for point in points:
        curves.setdefault(point.method.label, []).append(point)
    for label, of_label in curves.items():
        amounts = [point for point in of_label if point.method.quantity is not None]
        line = {"color": looks[label]["color"], "linewidth": 1.6, "zorder": 2}
        panels["plane"].plot([p.low.mean for p in amounts], [p.high.mean for p in amounts], **line)
        for side in ("low", "high"):
            panel, estimates = panels[side], [getattr(point, side) for point in amounts]
            quantities, means = [point.method.quantity for point in amounts], [estimate.mean for estimate in estimates]
            _errorbar(panel, quantities, means, looks[label], up=estimates, linewidth=1.6, markersize=5, capsize=2)
            for point in of_label:
                if point.method.quantity is None:
                    panel.axhline(getattr(point, side).mean, color=looks[label]["color"], linestyle=":", linewidth=1.6)
    quantities = sorted({point.method.quantity for point in points if point.method.quantity is not None})
    for side, name in (("low", plane.across), ("high", plane.up)):
        panels[side].set_xscale("log")
        panels[side].set_xticks(_sparse(quantities), [quantity_text(q) for q in _sparse(quantities)])
        panels[side].set_xticks([], minor=True)
        panels[side].set_ylabel(name.replace(" (", "\n("), fontsize=9)
    panels["low"].tick_params(labelbottom=False)
    panels["high"].set_xlabel("tokens of risky data")
    _legend(figure, points, looks)
    _name_places(panels["plane"], points, looks)
    return figure


def _sparse(quantities: Sequence[int]) -> list[int]:
    """About eight of the ascending quantities at most, at least a factor of 1.5 apart, so that their names fit."""
    kept = []
    least = max((quantities[-1] / quantities[0]) ** (1 / 8), 1.5)
    for quantity in quantities:
        if not kept or quantity >= kept[-1] * least * 0.99:
            kept.append(quantity)
    return kept


def _draw_plane(axes, plane: Plane, points: Sequence[Point], looks) -> None:
    from matplotlib.ticker import PercentFormatter

    beneath = _beneath(points)
    for point in points:
        x, y, look = [point.low.mean], [point.high.mean], looks[point.method.label]
        # of points at one place the first is the largest, and is seen around the others
        size = 7 + 5 * min(beneath[point], 6)
        _errorbar(axes, x, y, look, across=[point.low], up=[point.high], markersize=size, capsize=3, zorder=3)
        if by_chance := _by_chance(plane, point):
            axes.plot(x, [by_chance.mean], linestyle="", color=look["color"], marker="_", markersize=14)
    axes.set_xlabel(plane.across)
    axes.set_ylabel(plane.up)
    for axis, percent in zip((axes.xaxis, axes.yaxis), plane.percent):
        if percent:
            axis.set_major_formatter(PercentFormatter(1))
    axes.margins(0.08)
    axes.autoscale_view()
    left, right, bottom, top = *axes.get_xlim(), *axes.get_ylim()
    best = sorted((point.low.mean, point.high.mean) for point in points if point.best)
    # the frontier: the highest value reached with at most this much of the low metric
    steps = [(best[0][0], bottom), *best, (right, best[-1][1])]
    axes.plot(*zip(*steps), drawstyle="steps-post", color=_SOFT, linestyle="--", linewidth=1.3, zorder=1)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _beneath(points: Sequence[Point]) -> dict[Point, int]:
    """For each point, how many later ones would hide it, since they are at its place as far as the eye can see."""
    spans = [max(values) - min(values) for values in zip(*((p.low.mean, p.high.mean) for p in points))]

    def is_near(one: Point, other: Point) -> bool:
        moves = abs(one.low.mean - other.low.mean), abs(one.high.mean - other.high.mean)
        return all(move <= 0.01 * span for move, span in zip(moves, spans))

    return {point: sum(is_near(point, other) for other in points[place + 1 :]) for place, point in enumerate(points)}


def _by_chance(plane: Plane, point: Point) -> Estimate | None:
    return point.method.estimate(plane.high[0], plane.chance) if plane.chance else None


def _ends(estimate: Estimate) -> tuple[float, float]:
    """The ends of the error bar, clipped to 0 and 1. Without an interval, both are the mean."""
    if estimate.low is None or estimate.high is None:
        return estimate.mean, estimate.mean
    return min(max(estimate.low, 0.0), estimate.mean), max(min(estimate.high, 1.0), estimate.mean)


def _errorbar(axes, x: Sequence[float], y: Sequence[float], look, *, across=None, up, **more) -> None:
    """Points with the error bars of the estimates `across` and `up`."""

    def lengths(estimates):
        if estimates is None:
            return None
        ends = [(*_ends(estimate), estimate.mean) for estimate in estimates]
        return [[mean - low for low, _, mean in ends], [high - mean for _, high, mean in ends]]

    drawn = axes.errorbar(x, y, xerr=lengths(across), yerr=lengths(up), elinewidth=1, **look, **more)
    for part in (*drawn[1], *drawn[2]):
        part.set_alpha(0.6)


def _legend(figure, points: Sequence[Point], looks, by_chance: bool = False) -> None:
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(point.method.label for point in points))
    handles = [Line2D([], [], linestyle="", markersize=7, **looks[label]) for label in labels]
    handles.append(Line2D([], [], color=_SOFT, linestyle="--", linewidth=1.3))
    names = [*map(_wrapped, labels), "Pareto frontier"]
    if by_chance:
        handles.append(Line2D([], [], linestyle="", color=_SOFT, marker="_", markersize=14))
        names.append("by chance")
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9)


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(visible(label), 24, max_lines=3, placeholder=" …")) or "…"


def _name_places(axes, points: Sequence[Point], looks) -> None:
    """Write quantities beside their points, and the names of the frontier's members, unless there are too many."""
    places, lines, last = {}, [], {}
    best = [point for point in points if point.best]
    for point in points:
        x, y = place = point.low.mean, point.high.mean
        lines += [((end, y), place) for end in _ends(point.low)] + [((x, end), place) for end in _ends(point.high)]
        label, quantity = point.method.label, point.method.quantity
        amount = [] if quantity is None else [quantity_text(quantity)]
        named = [_short(label)] if point.best and len(best) <= _MOST_NAMES else []
        if amount or named:
            places.setdefault(place, []).append((" ".join(named + amount), looks[label]["color"]))
        if quantity is not None:
            lines.append((last.get(label, place), place))
            last[label] = place
    # methods at one place share a name
    names = [
        (place, "\n".join(words for words, _ in its), its[0][1] if len(its) == 1 else _INK)
        for place, its in places.items()
    ]
    name_points(axes, names, [(point.low.mean, point.high.mean) for point in points], lines)


def _short(label: str) -> str:
    words = " ".join(visible(label).split())
    return words if len(words) <= 20 else f"{words[:19]}…"


def _embedded(name: str, plane: Plane, points: Sequence[Point], evaluations: Evaluations, svg: str) -> str:
    """A figure for the page: the SVG without its prolog, with a title, and with unique ids."""
    svg = svg[svg.index("<svg") :]
    # only inside tags: a label may contain anything
    svg = re.sub(r"<[^<>]*>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag[0]), svg)
    # otherwise this style sheet would apply to the whole page
    svg = svg.replace('<style type="text/css">*{', f'<style type="text/css">#{name} *{{', 1)
    best = ", ".join(point.method.name for point in points if point.best)
    title = f"{plane.title}. {len(points)} methods; on the Pareto frontier: {best}"
    svg = svg.replace("<svg ", f'<svg id="{name}" role="img" ', 1).replace(">", f"><title>{text(title)}</title>", 1)
    tasks = dict.fromkeys((plane.low[0], plane.high[0]))
    how = "; ".join(f"{task}: {measured(evaluations.setup(task))}" for task in tasks)
    drawn = [point.method.name for point in points]
    missing = [method.name for method in evaluations.having(*tasks) if method.name not in drawn]
    left_out = f" Left out because a value is missing: {', '.join(missing)}." if missing else ""
    note = f"Error bars are 95 % intervals, over samples, and over seeds if there are several. {how}.{left_out}"
    return f'<figure><figcaption>{text(plane.title)}</figcaption>{svg}<p class="note">{text(note)}</p></figure>'
