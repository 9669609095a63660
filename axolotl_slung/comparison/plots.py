"""The pictures of `slung report`, drawn with matplotlib: the paper's Figures 2 (both planes) and 3, and one of names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..visible import visible
from .drawing import INK, SOFT, embedded, ends, errorbar, looks_of, remove, saved, styled, wrapped
from .evaluations import Estimate, Evaluations
from .evaluations_view import measured
from .frontier import Point
from .frontier import points as points_of
from .plot_names import name_points
from .results import quantity_text
from .tasks import EXTRACTION, KEPT, PROBE, TOFU, TOXICITY

_STAGES = {False: "pretrained", True: "instruction-tuned"}
_MOST_NAMES = 12
"""If more methods are on the frontier, their names would hide the picture."""


@dataclass(frozen=True)
class Plane:
    """Two `(task, metric)` and the names of their axes. `low` is the horizontal axis, `high` the vertical one.

    `chance` is the metric of the value that `high` has by chance, of the same task. `sign` is -1 if `high` should be low
    too, as a loss; its axis then points down.
    """

    title: str
    low: tuple[str, str]
    high: tuple[str, str]
    across: str
    up: str
    percent: tuple[bool, bool] = (False, False)
    chance: str | None = None
    sign: int = 1

    @property
    def most(self) -> float:
        """The highest value that `high` can have."""
        return 1.0 if self.sign > 0 else math.inf


def draw(evaluations: Evaluations, folder: Path) -> dict[str, str]:
    """Write the pictures as PNG and SVG, and remove those of an earlier report.

    A picture is drawn if at least one method has both of its values.

    Args:
        evaluations: what to draw.
        folder: the folder for `plane.png`, `plane.svg` and so on. It is created if it is missing.

    Returns:
        By name, HTML with the SVG and a caption.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looks = looks_of(evaluations.methods)
    pages = {}
    for name in ("plane", "planes", "quantity", "names", "leakage"):
        remove(folder, name)
    for name, plane in _planes(evaluations).items():
        stages = _stages(points_of(evaluations, plane.low, plane.high, plane.sign))
        if name == "quantity":
            stages = stages[:1]  # one stage's curves; the plane shows both
        points = [point for stage in stages for point in stage]
        if not points or (name == "quantity" and all(point.method.quantity is None for point in points)):
            continue
        name = "planes" if name == "plane" and len(stages) == 2 else name
        with styled():
            figure = _curves(plane, points, looks) if name == "quantity" else _beside(plane, stages, looks)
            svg = saved(figure, folder, name)
        pages[name] = _embedded(name, plane, points, evaluations, svg)
    return pages


def _stages(points: Sequence[Point]) -> list[list[Point]]:
    """The points of pretrained models, and those of tuned ones, as far as there are any."""
    both = ([point for point in points if point.method.tuned == tuned] for tuned in (False, True))
    return [stage for stage in both if stage]


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
    across, up = "spans extracted (lower is better)", "loss of the text after spans (lower is better)"
    leakage = Plane(
        "Extraction against understanding",
        (EXTRACTION, "extracted"),
        (KEPT, "nll_after"),
        across,
        up,
        (True, False),
        sign=-1,
    )
    return {"plane": toxicity, "quantity": by_quantity, "names": answers, "leakage": leakage}


def _is_drawn(evaluations: Evaluations, *axes: tuple[str, str]) -> bool:
    """Whether a method has both values of a plane."""
    return any(all(method.estimate(*axis) for axis in axes) for method in evaluations.methods)


def _figure(points: Sequence[Point], width: float, height: float):
    """An empty figure of this size in inches, plus the height of its legend."""
    from matplotlib.figure import Figure

    names = [wrapped(label) for label in dict.fromkeys(point.method.label for point in points)]
    lines = max(name.count("\n") + 1 for name in names) * (len(names) // 3 + 1)
    figure = Figure(figsize=(width, height + 0.2 * lines), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)
    return figure


def _beside(plane: Plane, stages: Sequence[Sequence[Point]], looks):
    """A panel per stage, with the same axes."""
    points = [point for stage in stages for point in stage]
    figure = _figure(points, 9 if len(stages) == 1 else 12, 5)
    panels = figure.subplots(1, len(stages), squeeze=False, sharex=True, sharey=True)[0]
    for panel, stage in zip(panels, stages):
        _draw_points(panel, plane, stage, looks)
    if plane.sign < 0:
        panels[0].invert_yaxis()
    limits = [panels[0].get_xlim(), panels[0].get_ylim()]
    for panel, stage in zip(panels, stages):
        _draw_frontier(panel, plane, stage, *limits)
        if len(stages) > 1:
            panel.set_title(_STAGES[stage[0].method.tuned], fontsize=11)
            panel.label_outer()
    _legend(figure, points, looks, by_chance=any(_by_chance(plane, point) for point in points))
    for panel, stage in zip(panels, stages):
        _name_places(panel, stage, looks, plane.most)
    return figure


def _curves(plane: Plane, points: Sequence[Point], looks):
    figure = _figure(points, 11, 5.4)
    panels = figure.subplot_mosaic([["plane", "low"], ["plane", "high"]], width_ratios=[1.7, 1])
    _draw_points(panels["plane"], plane, points, looks)
    _draw_frontier(panels["plane"], plane, points, panels["plane"].get_xlim(), panels["plane"].get_ylim())
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
            errorbar(panel, quantities, means, looks[label], up=estimates, linewidth=1.6, markersize=5, capsize=2)
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
    _name_places(panels["plane"], points, looks, plane.most)
    return figure


def _sparse(quantities: Sequence[int]) -> list[int]:
    """About eight of the ascending quantities at most, at least a factor of 1.5 apart, so that their names fit."""
    kept = []
    least = max((quantities[-1] / quantities[0]) ** (1 / 8), 1.5)
    for quantity in quantities:
        if not kept or quantity >= kept[-1] * least * 0.99:
            kept.append(quantity)
    return kept


def _draw_points(axes, plane: Plane, points: Sequence[Point], looks) -> None:
    from matplotlib.ticker import PercentFormatter

    beneath = _beneath(points)
    for point in points:
        x, y, look = [point.low.mean], [point.high.mean], looks[point.method.label]
        # of points at one place the first is the largest, and is seen around the others
        size = 7 + 5 * min(beneath[point], 6)
        errorbar(
            axes, x, y, look, across=[point.low], up=[point.high], most=plane.most, markersize=size, capsize=3, zorder=3
        )
        if by_chance := _by_chance(plane, point):
            axes.plot(x, [by_chance.mean], linestyle="", color=look["color"], marker="_", markersize=14)
    axes.set_xlabel(plane.across)
    axes.set_ylabel(plane.up)
    for axis, percent in zip((axes.xaxis, axes.yaxis), plane.percent):
        if percent:
            axis.set_major_formatter(PercentFormatter(1))
    axes.margins(0.08)
    axes.autoscale_view()


def _draw_frontier(axes, plane: Plane, points: Sequence[Point], across, up) -> None:
    """The frontier, and these limits of both axes."""
    (left, right), (bottom, top) = across, up
    best = [(point.low.mean, point.high.mean) for point in points if point.best]
    best.sort(key=lambda place: (place[0], plane.sign * place[1]))
    # the frontier: the highest value reached with at most this much of the low metric
    steps = [(best[0][0], bottom), *best, (right, best[-1][1])]
    axes.plot(*zip(*steps), drawstyle="steps-post", color=SOFT, linestyle="--", linewidth=1.3, zorder=1)
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


def _legend(figure, points: Sequence[Point], looks, by_chance: bool = False) -> None:
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(point.method.label for point in points))
    handles = [Line2D([], [], linestyle="", markersize=7, **looks[label]) for label in labels]
    handles.append(Line2D([], [], color=SOFT, linestyle="--", linewidth=1.3))
    names = [*map(wrapped, labels), "Pareto frontier"]
    if by_chance:
        handles.append(Line2D([], [], linestyle="", color=SOFT, marker="_", markersize=14))
        names.append("by chance")
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9)


def _name_places(axes, points: Sequence[Point], looks, most: float) -> None:
    """Write quantities beside their points, and the names of the frontier's members, unless there are too many."""
    places, lines, last = {}, [], {}
    best = [point for point in points if point.best]
    for point in points:
        x, y = place = point.low.mean, point.high.mean
        lines += [((end, y), place) for end in ends(point.low)] + [((x, end), place) for end in ends(point.high, most)]
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
        (place, "\n".join(words for words, _ in its), its[0][1] if len(its) == 1 else INK)
        for place, its in places.items()
    ]
    name_points(axes, names, [(point.low.mean, point.high.mean) for point in points], lines)


def _short(label: str) -> str:
    words = " ".join(visible(label).split())
    return words if len(words) <= 20 else f"{words[:19]}…"


def _embedded(name: str, plane: Plane, points: Sequence[Point], evaluations: Evaluations, svg: str) -> str:
    """A figure for the page, with the points' names in its title."""
    best = ", ".join(point.method.name for point in points if point.best)
    title = f"{plane.title}. {len(points)} methods; on the Pareto frontier: {best}"
    tasks = dict.fromkeys((plane.low[0], plane.high[0]))
    how = "; ".join(f"{task}: {measured(evaluations.setup(task))}" for task in tasks)
    drawn = [point.method.name for point in points]
    missing = [method.name for method in evaluations.having(*tasks) if method.name not in drawn]
    left_out = f" Left out because a value is missing: {', '.join(missing)}." if missing else ""
    note = f"Error bars are 95 % intervals, over samples, and over seeds if there are several. {how}.{left_out}"
    return embedded(name, svg, plane.title, title, note)
