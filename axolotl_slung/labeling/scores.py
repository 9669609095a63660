"""What the scores of a labeler mean, and the one scale on which the presets compare the scores of several labelers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .base import LabelerError, Span

_NAME = re.compile(r"[A-Za-z0-9_.-]+")

ANY = "any"
"""The cuts of a labeler that finds instead of scoring: whatever it finds is risky, with any score."""

Pair = tuple[float, float]
"""The scores at which a labeler's `safe` and `doubtful` spans end."""

Cuts = Pair | Literal["any"]

PAPER_CUTS = (1.0e-4, 0.99)
"""Between safe, doubtful and risky scores of the paper's classifier (section 4.1)."""


def as_cuts(value: Sequence[float] | str) -> Cuts:
    """Cuts from their form in YAML or JSON, `[low, high]` or `any`."""
    if value == ANY:
        return "any"
    return float(value[0]), float(value[1])


def first_pair(all_cuts: Iterable[Pair | str | Mapping[str, Pair | str] | None]) -> Pair | None:
    """The first pair among the cuts of several labelers; None if there is none."""
    for cuts in all_cuts:
        for one in cuts.values() if isinstance(cuts, Mapping) else (cuts,):
            if one is not None and one != ANY:
                return one  # pyright: ignore[reportReturnType]
    return None


def moved(score: float, cuts: Cuts, scale: Pair) -> float:
    """A score on another scale: it keeps its bucket, and its place among the scores of that bucket.

    Args:
        score: in [0, 1].
        cuts: those made for the score.
        scale: the cuts of the other scale.
    """
    if cuts == ANY:
        return 1.0
    if cuts == scale or score in (0.0, 1.0):
        return score
    old, new = (0.0, *cuts, 1.0), (0.0, *scale, 1.0)
    for (low, high), (start, end) in zip(pairwise(old), pairwise(new)):
        if score < high:
            place = start + (score - low) / (high - low) * (end - start)
            return min(max(place, start), math.nextafter(end, 0.0))  # rounding must not change the bucket
    return score


@dataclass(frozen=True)
class Scale:
    """Moves the scores of one labeler to the scale of a preset.

    Args:
        key: the labeler's place in the YAML.
        cuts: made for its scores; or a mapping of the names in a column of spans to such cuts; or None if unknown.
        pair: the cuts of the scale.
    """

    key: str
    cuts: Cuts | Mapping[str, Cuts] | None
    pair: Pair

    def put(self, spans: Sequence[Span]) -> list[Span]:
        """The spans with their scores on the scale.

        Raises:
            LabelerError: there are no cuts for a score between 0 and 1.
        """
        if self.cuts == self.pair:
            return list(spans)
        return [span._replace(score=moved(span.score, self._cuts(span), self.pair)) for span in spans]

    def _cuts(self, span: Span) -> Cuts:
        cuts = self.cuts.get(span.labeler) if isinstance(self.cuts, Mapping) else self.cuts
        if cuts is not None:
            return cuts  # pyright: ignore[reportReturnType]
        if span.score in (0.0, 1.0):
            return self.pair  # on every scale they are the lowest and the highest score
        # a column's names may be data
        name = span.labeler if _NAME.fullmatch(span.labeler) and span.labeler != "spans" else ""
        raise LabelerError(missing(self.key, f"the scores of {name or 'its spans'} lie between 0 and 1", name))


def missing(key: str, why: str, name: str = "") -> str:
    """The error for scores without cuts.

    Args:
        key: the labeler's place in the YAML, such as `slung.labelers[0]`.
        why: why cuts are needed.
        name: a name in a column of spans.
    """
    form, finds = (f"{{{name}: [low, high]}}", f"{{{name}: any}}") if name else ("[low, high]", "any")
    return (
        f"{key}.cuts: not set, but {why}; write `cuts: {form}` (below low is safe, from high on risky), or "
        f"`cuts: {finds}` (whatever was found is risky), or replace the method by `slung.buckets`"
    )
