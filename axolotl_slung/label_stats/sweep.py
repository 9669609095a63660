"""The effect of other thresholds: tokens and documents at or above each, and the loss tokens they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np

from ..errors import SlungError
from ..labels.buckets import Bucket
from ..labels.documents import LabeledDocument
from ..labels.tokens import buckets_of
from ..labels.weights import ACTIONS, weighed
from .statistics import action_numbers, outcomes

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999)
"""Thresholds that are always reported."""

CURVE = tuple(1 / (1 + 10**-odds) for odds in (step / 10 for step in range(-60, 61)))
"""More thresholds, for curves: log-odds from -6 to 6 in steps of 0.1."""


@dataclass(frozen=True)
class Above:
    """Numbers at or above each of `Sweep.thresholds`: tokens, trainable tokens, and documents with such a token."""

    tokens: list[int]
    trainable: list[int]
    documents: list[int]


@dataclass(frozen=True)
class Cut:
    """The buckets with other bounds.

    Attributes:
        bounds: the new `below` of the buckets.
        documents: documents per bucket. A document counts in the highest bucket that it touches.
        tokens: tokens per bucket.
        outcomes: trainable tokens per action.
    """

    bounds: tuple[float, ...]
    documents: list[int]
    tokens: list[int]
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Sweep:
    """One pass over labeled documents, for many thresholds. All numbers are exact.

    Attributes:
        buckets: the config's.
        documents, tokens, trainable: number of documents, tokens and trainable tokens.
        thresholds: `asked` and `CURVE`, ascending.
        asked: `GRID`, the config's bounds and the single thresholds that were requested, ascending.
        combined: numbers by the labelers' maximum.
        labelers: numbers by each labeler's own scores.
        cuts: the config's bounds first, then the requested ones.
    """

    buckets: tuple[Bucket, ...]
    documents: int
    tokens: int
    trainable: int
    thresholds: list[float]
    asked: list[float]
    combined: Above
    labelers: dict[str, Above]
    cuts: list[Cut]

    def to_json(self) -> dict:
        """As plain lists, mappings, numbers and strings."""
        buckets = [{"name": b.name, "below": b.below, "action": b.action.value} for b in self.buckets]
        return asdict(self) | {"buckets": buckets}


def sweep(
    documents: Iterable[LabeledDocument], buckets: Sequence[Bucket], thresholds: Sequence[Sequence[float]] = ()
) -> Sweep:
    """Count for many thresholds in one pass. Memory does not grow with the number of documents.

    Args:
        documents: any iterable, read once.
        buckets: the config's, ascending.
        thresholds: each is either one number, the lowest risky score, or one ascending number per bound of the buckets.

    Raises:
        SlungError: a threshold has the wrong number of bounds, does not ascend, or is outside (0, 1].
    """
    buckets = tuple(buckets)
    own = tuple(bucket.below for bucket in buckets[:-1])
    thresholds = [tuple(bounds) for bounds in thresholds]
    for bounds in thresholds:
        _check(bounds, len(own))
    asked = sorted({*GRID, *own, *(bounds[0] for bounds in thresholds if len(bounds) == 1)})
    values = np.array(sorted({*asked, *CURVE}))
    moved = list(dict.fromkeys([own, *(bounds for bounds in thresholds if len(bounds) == len(own))]))
    cuts = [_CutCounter(buckets, bounds) for bounds in moved]
    combined, labelers = _AboveCounter(values), {}
    for document in documents:
        combined.add(document.score, document.trainable)
        for name, scores in document.scores.items():
            if name not in labelers:
                labelers[name] = _AboveCounter(values)
            labelers[name].add(scores, document.trainable)
        for cut in cuts:
            cut.add(document)
    return Sweep(
        buckets=buckets,
        documents=combined.seen,
        tokens=int(combined.counts[0].sum()),
        trainable=int(combined.counts[1].sum()),
        thresholds=values.tolist(),
        asked=asked,
        combined=combined.above(),
        labelers={name: counter.above() for name, counter in labelers.items()},
        cuts=[cut.cut() for cut in cuts],
    )


def _check(bounds: tuple[float, ...], wanted: int) -> None:
    if len(bounds) not in (1, wanted):
        numbers = "1 number" if wanted == 1 else f"1 number, or {wanted} (one per bound of the buckets)"
        raise SlungError(f"thresholds: {list(bounds)}: expected {numbers}, got {len(bounds)}")
    if not all(math.isfinite(bound) and 0 < bound <= 1 for bound in bounds):
        raise SlungError(f"thresholds: {list(bounds)}: expected numbers above 0 and at most 1; change them")
    if any(low >= high for low, high in pairwise(bounds)):
        raise SlungError(f"thresholds: {list(bounds)}: not in ascending order; sort them")


class _AboveCounter:
    """Counts tokens, trainable tokens and documents (by their highest token) between neighboring thresholds."""

    def __init__(self, values: np.ndarray):
        self._values = values
        self.counts = np.zeros((3, len(values) + 1), dtype=np.int64)
        self.seen = 0

    def add(self, scores: np.ndarray, trainable: np.ndarray) -> None:
        self.seen += 1
        size = len(self._values) + 1
        place = np.searchsorted(self._values, scores, side="right")
        self.counts[0] += np.bincount(place, minlength=size)
        self.counts[1] += np.bincount(place[trainable], minlength=size)
        self.counts[2, place.max(initial=0)] += 1

    def above(self) -> Above:
        # at or above a threshold is everything from its position on
        return Above(*self.counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].tolist())


class _CutCounter:
    def __init__(self, buckets: Sequence[Bucket], bounds: tuple[float, ...]):
        self.bounds = bounds
        self._buckets = [replace(bucket, below=below) for bucket, below in zip(buckets, (*bounds, None))]
        self._actions = action_numbers(buckets)
        self._documents, self._tokens = np.zeros((2, len(buckets)), dtype=np.int64)
        self._outcomes = np.zeros(len(ACTIONS), dtype=np.int64)

    def add(self, document: LabeledDocument) -> None:
        bucket = buckets_of(document.score, self._buckets)
        self._documents[bucket.max(initial=0)] += 1
        self._tokens += np.bincount(bucket, minlength=len(self._buckets))
        outcome = weighed(outcomes(self._actions[bucket]), document.weight)[document.trainable]
        self._outcomes += np.bincount(outcome, minlength=len(ACTIONS))

    def cut(self) -> Cut:
        of_action = {action.value: number for action, number in zip(ACTIONS, self._outcomes.tolist())}
        return Cut(self.bounds, self._documents.tolist(), self._tokens.tolist(), of_action)
