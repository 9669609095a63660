"""Whether a model prefers what it was trained on: rank and exposure among decoys, and membership scores.

- *Exposure* (Carlini et al. 2019, "The Secret Sharer"): log2 of the number of candidates, less log2 of the rank of the
  true one by its log-probability. Carlini's candidates are all texts of a format; here they are the span and its decoys
  (Carlini's estimate by sampling), so that exposure is at most log2(decoys + 1).
- *Loss* (Yeom et al. 2018): the mean log-probability of the span's tokens.
- *Min-K%* (Shi et al. 2024): the mean over the 20 % least likely tokens, at least one.
- *Reference* (Carlini et al. 2021, Mireshghallah et al. 2022): the span's log-probability, less that of another model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import intervals
from .tested import Tested

SHARE = 0.2
"""The share of tokens that Min-K% looks at."""


def rank(logprob: float, decoys: Sequence[float]) -> float:
    """The rank of a log-probability among those of decoys, 1 for the highest; NaN without decoys.

    Decoys that are equally likely count half: a model that prefers nothing gives nobody the first rank.
    """
    decoys = intervals.known(decoys)
    if not decoys or math.isnan(logprob):
        return math.nan
    return 1 + sum((decoy > logprob) + (decoy == logprob) / 2 for decoy in decoys)


def exposure(place: float, decoys: int) -> float:
    """Exposure in bits of a rank among this number of decoys."""
    return math.log2(decoys + 1) - math.log2(place)


def exposure_by_chance(decoys: int) -> float:
    """The mean exposure of a model for which all ranks are equally likely, in bits."""
    return sum(exposure(place, decoys) for place in range(1, decoys + 2)) / (decoys + 1)


def min_k(logprobs: Sequence[float], share: float = SHARE) -> float:
    """The mean of the lowest log-probabilities, this share of them and at least one; NaN without any."""
    lowest = sorted(logprobs)[: max(1, int(share * len(logprobs)))]
    return sum(lowest) / len(lowest) if lowest else math.nan


def auroc(items: Sequence[Tested]) -> tuple[float, float, float]:
    """The AUROC of one score, and the ends of its 95 % interval (DeLong et al. 1988); NaN without both classes.

    If the classes are separated without an exception, their spread says nothing. The interval is then the exact one of
    a rate of as many trials as the smaller class has.

    Args:
        items: their scores are those of the only draw; items without one are left out.
    """
    scored = [(item.toxic, score) for item in items for score in item.scores.values()]
    ours, others = ([score for its, score in scored if its is kind] for kind in (True, False))
    if not ours or not others:
        return math.nan, math.nan, math.nan
    above = _shares(ours, others)
    below = 1 - _shares(others, ours)
    value = float(above.mean())
    if value in (0.0, 1.0):
        number = min(len(ours), len(others))
        return value, *intervals.exact(round(value * number), number)
    if min(len(ours), len(others)) < 2:
        return value, math.nan, math.nan
    error = math.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below))
    half = 1.959963984540054 * error
    return value, intervals.clipped(value - half), intervals.clipped(value + half)


def _shares(ours: Sequence[float], others: Sequence[float]) -> np.ndarray:
    """For each of ours, the share of the others that it is above; equal ones count half."""
    ordered = np.sort(others)
    return sum(np.searchsorted(ordered, ours, side) for side in ("left", "right")) / (2 * len(ordered))
