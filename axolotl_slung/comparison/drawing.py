"""What all pictures of `slung report` share: colors, error bars, files, and how a page holds them."""

from __future__ import annotations

import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..render.svg import text
from ..visible import visible
from .evaluations import Estimate, Method

# Okabe and Ito's colors, without yellow, which is hard to see on white. With the markers, 56 methods look different.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
_MARKERS = "osD^vP*X"
INK = "#1d1f23"
SOFT = "#8a8f98"
_STYLE = {
    "font.size": 10,
    # Text stays text, so that a browser finds fonts for all scripts. Its color is set, against the page's style sheet.
    "svg.fonttype": "none",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
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


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style, whatever the user's matplotlib settings are."""
    from matplotlib import style

    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # matplotlib lacks fonts for some scripts; browsers have them, and the tables show the names too
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def remove(folder: Path, name: str) -> None:
    """Remove a picture of an earlier report."""
    for kind in ("png", "svg"):
        (folder / f"{name}.{kind}").unlink(missing_ok=True)


def saved(figure, folder: Path, name: str) -> str:
    """Write a figure as PNG and SVG, and return the SVG."""
    figure.savefig(folder / f"{name}.png", dpi=160)
    unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(folder / f"{name}.svg", metadata=unsaid)
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def embedded(name: str, svg: str, caption: str, title: str, note: str) -> str:
    """A figure for the page: the SVG without its prolog, with a title, and with unique ids.

    Args:
        name: the picture's name.
        svg: its file.
        caption: the line above it.
        title: what a screen reader says of it.
        note: the line below it.
    """
    svg = svg[svg.index("<svg") :]
    # only inside tags: a label may contain anything
    svg = re.sub(r"<[^<>]*>", lambda tag: re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", tag[0]), svg)
    # otherwise this style sheet would apply to the whole page
    svg = svg.replace('<style type="text/css">*{', f'<style type="text/css">#{name} *{{', 1)
    svg = svg.replace("<svg ", f'<svg id="{name}" role="img" ', 1).replace(">", f"><title>{text(title)}</title>", 1)
    return f'<figure><figcaption>{text(caption)}</figcaption>{svg}<p class="note">{text(note)}</p></figure>'


def looks_of(methods: Sequence[Method]) -> dict[str, dict]:
    """Each label's color and marker, the same in all pictures."""
    labels = dict.fromkeys(method.label for method in methods)
    return {
        label: {"color": _COLORS[n % len(_COLORS)], "marker": _MARKERS[n % len(_MARKERS)]}
        for n, label in enumerate(labels)
    }


def ends(estimate: Estimate, most: float = 1.0) -> tuple[float, float]:
    """The ends of the error bar, from 0 to `most`. Without an interval, both are the mean."""
    if estimate.low is None or estimate.high is None:
        return estimate.mean, estimate.mean
    return min(max(estimate.low, 0.0), estimate.mean), max(min(estimate.high, most), estimate.mean)


def errorbar(axes, x: Sequence[float], y: Sequence[float], look, *, across=None, up, most: float = 1.0, **more) -> None:
    """Points with the error bars of the estimates `across` and `up`, which are at most 1 and `most`."""

    def lengths(estimates, most):
        if estimates is None:
            return None
        bars = [(*ends(estimate, most), estimate.mean) for estimate in estimates]
        return [[mean - low for low, _, mean in bars], [high - mean for _, high, mean in bars]]

    drawn = axes.errorbar(x, y, xerr=lengths(across, 1.0), yerr=lengths(up, most), elinewidth=1, **look, **more)
    for part in (*drawn[1], *drawn[2]):
        part.set_alpha(0.6)


def wrapped(label: str) -> str:
    """A label in up to three lines of a legend."""
    return "\n".join(textwrap.wrap(visible(label), 24, max_lines=3, placeholder=" …")) or "…"
