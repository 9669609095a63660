"""The pictures of `slung report` on leakage: extraction by prefix, exposure among decoys, and relearning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .attacks import Attack
from .drawing import SOFT, embedded, errorbar, looks_of, remove, saved, styled, wrapped
from .evaluations import Evaluations, Method
from .leakage import most_extracted
from .tasks import EXTRACTION, MEMBERSHIP

_PREFIXES = {
    "extracted_25": "25 tokens",
    "extracted_50": "50 tokens",
    "extracted_100": "100 tokens",
    "extracted_whole": "all text",
}


def draw_leakage(evaluations: Evaluations, folder: Path) -> dict[str, str]:
    """Write the pictures as PNG and SVG, and remove those of an earlier report.

    Args:
        evaluations: what to draw.
        folder: the folder for `extraction.png` and so on. It is created if it is missing.

    Returns:
        By name, HTML with the SVG and a caption.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pages = {}
    for name, draw in {"extraction": _extraction, "exposure": _exposure, "relearning": _relearning}.items():
        remove(folder, name)
        with styled():
            drawn = draw(evaluations)
            if drawn:
                figure, caption, title, note = drawn
                pages[name] = embedded(name, saved(figure, folder, name), caption, title, note)
    return pages


def _extraction(evaluations: Evaluations):
    """Extraction against the length of the text in front."""
    methods = [
        its for its in evaluations.having(EXTRACTION) if any(its.estimate(EXTRACTION, name) for name in _PREFIXES)
    ]
    if not methods:
        return None
    figure, axes = _figure(len(methods))
    looks = looks_of(evaluations.methods)
    for place, method in enumerate(methods):
        its = {at: estimate for at, name in enumerate(_PREFIXES) if (estimate := method.estimate(EXTRACTION, name))}
        aside = 0.06 * (place - (len(methods) - 1) / 2)
        x, look = [at + aside for at in its], looks[method.label]
        errorbar(
            axes, x, [estimate.mean for estimate in its.values()], look, up=list(its.values()), capsize=3, markersize=6
        )
        if chance := method.estimate(EXTRACTION, "extracted_heldout"):
            axes.plot([1 + aside], [chance.mean], linestyle="", color=look["color"], marker="_", markersize=15)
    axes.set_xticks(range(len(_PREFIXES)), list(_PREFIXES.values()))
    axes.set_xlim(-0.4, len(_PREFIXES) - 0.6)
    axes.set_xlabel("text in front of the span")
    _percent(axes, "spans extracted")
    by_chance = any(method.estimate(EXTRACTION, "extracted_heldout") for method in methods)
    _legend(
        figure, [method.label for method in methods], looks, {"never trained on (by chance)": "_"} if by_chance else {}
    )
    said = "; ".join(_said(method, list(_PREFIXES)) for method in methods)
    note = "Error bars are exact 95 % intervals."
    note += " Dashes are spans that were never trained on, with up to 50 tokens in front." if by_chance else ""
    return figure, "Extraction against the text in front", f"Spans extracted: {said}", note


def _said(method: Method, names: Sequence[str]) -> str:
    shares = [estimate for name in names if (estimate := method.estimate(EXTRACTION, name))]
    return f"{method.name} {', '.join(f'{100 * estimate.mean:.1f}%' for estimate in shares)}"


def _exposure(evaluations: Evaluations):
    """A histogram of exposures for each method, with what comes by chance."""
    of_methods = {method: its for method in evaluations.having(MEMBERSHIP) if (its := _exposures(method))}
    if not of_methods:
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    looks = looks_of(evaluations.methods)
    decoys = np.concatenate([chance for _, chance in of_methods.values()])
    most = math.log2(decoys.max() + 1)
    edges = np.arange(math.floor(2 * most) + 2) / 2
    columns = min(3, len(of_methods))
    rows = -(-len(of_methods) // columns)
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.5 * rows + 0.5), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for panel in panels[len(of_methods) :]:
        panel.set_visible(False)
    for panel, (method, (values, its_decoys)) in zip(panels, of_methods.items()):
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        shares = np.histogram(values, edges)[0] / len(values)
        panel.bar(
            edges[:-1], shares, 0.5, align="edge", color=looks[method.label]["color"], edgecolor="white", linewidth=0.5
        )
        panel.stairs(_by_chance(its_decoys, edges), edges, color=SOFT, linewidth=1.3, linestyle="--")
        panel.set_title(wrapped(method.name), fontsize=10)
    figure.supxlabel("exposure in bits (right: the span is likelier than its decoys)", fontsize=10)
    figure.supylabel("share of spans", fontsize=10)
    said = "; ".join(f"{method.name}, mean {values.mean():.2f}" for method, (values, _) in of_methods.items())
    note = "Of the spans of the training data. The dashed line is what comes by chance: all ranks are equally likely."
    return figure, "Exposure among decoys", f"Exposure in bits: {said}", note


def _exposures(method: Method) -> tuple[np.ndarray, np.ndarray] | None:
    """The exposures of the method's spans in all of its runs, and the numbers of decoys; None without samples."""
    read = method.samples_of(MEMBERSHIP)
    values, decoys = [], []
    for samples in [] if isinstance(read, str) else read:
        for value, more in zip(samples.values("exposure") or [], samples.values("measured") or []):
            number = more.get("decoys") if isinstance(more, Mapping) else None
            if isinstance(value, (int, float)) and math.isfinite(value) and isinstance(number, int) and number > 0:
                values.append(value)
                decoys.append(number)
    return (np.array(values), np.array(decoys)) if values else None


def _by_chance(decoys: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share of spans in each bin if all ranks among the decoys are equally likely."""
    shares = np.zeros(len(edges) - 1)
    for number, times in zip(*np.unique(decoys, return_counts=True), strict=True):
        ranks = np.arange(1, number + 2)
        shares += times * np.histogram(np.log2(number + 1) - np.log2(ranks), edges)[0] / len(ranks)
    return shares / len(decoys)


def _relearning(evaluations: Evaluations):
    """Extraction against the steps of relearning."""
    attacks = [
        its for its in evaluations.attacks if its.recipe == "relearn" and any(point.extracted for point in its.points)
    ]
    if not attacks:
        return None
    labels = dict.fromkeys([*(method.label for method in evaluations.methods), *(attack.label for attack in attacks)])
    looks = looks_of([Method(label, None, {}) for label in labels])
    figure, axes = _figure(len(attacks))
    for attack in attacks:
        its = [(point.x, point.extracted) for point in attack.points if point.extracted]
        estimates = [estimate for _, estimate in its]
        x = [x for x, _ in its]
        errorbar(
            axes,
            x,
            [estimate.mean for estimate in estimates],
            looks[attack.label],
            up=estimates,
            capsize=3,
            markersize=6,
        )
    steps = sorted({point.x for attack in attacks for point in attack.points})
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("steps on other rows of the same kind")
    _percent(axes, "spans extracted")
    note = "Error bars are exact 95 % intervals."
    if most := most_extracted(evaluations):
        name, share = most
        axes.axhline(share / 2, color=SOFT, linestyle="--", linewidth=1.3)
        note += f" The dashed line is half of the extraction of {name} without an attack."
    _legend(figure, list(dict.fromkeys(attack.label for attack in attacks)), looks, {})
    said = "; ".join(_curve(attack) for attack in attacks)
    return figure, "Relearning", f"Spans extracted after steps of relearning: {said}", note


def _curve(attack: Attack) -> str:
    points = [f"{point.x:g}: {100 * point.extracted.mean:.1f}%" for point in attack.points if point.extracted]
    return f"{attack.label} {', '.join(points)}"


def _figure(lines: int):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2 + 0.2 * (lines // 3 + 1)), layout="constrained", facecolor="white")
    return figure, figure.add_subplot()


def _percent(axes, name: str) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel(name)
    axes.set_ylim(bottom=-0.02)
    # a rate of a few percent must not look like noise of the axis
    axes.set_ylim(top=max(axes.get_ylim()[1], 0.1))


def _legend(figure, labels: Sequence[str], looks, more: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(labels))
    handles = [Line2D([], [], linestyle="-", markersize=6, **looks[label]) for label in labels]
    handles += [Line2D([], [], linestyle="", color=SOFT, marker=marker, markersize=14) for marker in more.values()]
    figure.legend(handles, [*map(wrapped, labels), *more], loc="outside lower center", ncols=3, fontsize=9)
