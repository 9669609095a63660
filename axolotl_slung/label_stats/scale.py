"""The scale for scores in charts: log-odds, where 0.0001 and 0.9999 are equally far from 0.5."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..render.formats import short

_LOW = [float(f"{digit}e-{power}") for power in range(6, 0, -1) for digit in (1, 3)]

EDGES = np.array([*_LOW, 0.5, *(round(1 - low, 6) for low in reversed(_LOW))])
"""Edges of the histogram bins: 1e-6, 3e-6, 1e-5, ... 0.1, 0.3, 0.5, 0.7, 0.9, ... 0.999999."""

BINS = len(EDGES) + 3
"""Number of bins: {0}, (0, 1e-6), [1e-6, 3e-6), ... [0.999999, 1), {1}. Untouched text is at 0, names are at 1."""

TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def bins_of(scores: np.ndarray) -> np.ndarray:
    """The bin of each score: int64, of the shape of `scores`, from 0 to `BINS - 1`."""
    index = np.searchsorted(EDGES, scores, side="right") + 1
    return np.where(scores <= 0, 0, np.where(scores >= 1, BINS - 1, index))


def bin_names() -> list[str]:
    """The range of each bin, in words."""
    inner = [f"{short(low)} to {short(high)}" for low, high in pairwise(EDGES)]
    return ["exactly 0", f"0 to {short(EDGES[0])}", *inner, f"{short(EDGES[-1])} to 1", "exactly 1"]


def bin_floors() -> list[float]:
    """The lowest score of each bin."""
    return [0.0, math.nextafter(0, 1), *EDGES.tolist(), 1.0]


def log_odds(score: float) -> float:
    """`log10(p / (1 - p))`, clipped to -6 and 6."""
    if not 1e-6 < score < 1 - 1e-6:
        return -6.0 if score < 0.5 else 6.0
    return math.log10(score / (1 - score))
