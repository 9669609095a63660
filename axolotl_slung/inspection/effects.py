"""The effect on each token, as the page and the terminal show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Action, Bucket
from ..labels.documents import LEFT_OUT_BY, LabeledDocument
from ..labels.tokens import buckets_of

LEFT_OUT = "left_out"
"""Used in place of an action for tokens that are not trained whatever their bucket, such as a user's turn."""


def left_out_meaning(by: int) -> str:
    """What leaves a token out, in words. `by` is an index into `LEFT_OUT_BY`."""
    return "Axolotl itself does not train on it" if by == 0 else f"left out by {LEFT_OUT_BY[by]}"


def effects(document: LabeledDocument, buckets: Sequence[Bucket]) -> list[str]:
    """The effect on each token: the value of its action, or `LEFT_OUT`.

    Actions that change what the model reads (such as `drop_span`) also apply to tokens that would not be trained.
    """
    chosen = [buckets[index].action for index in buckets_of(np.asarray(document.score), buckets)]
    return [
        action.value if trained or action.traits.changes_input else LEFT_OUT
        for action, trained in zip(chosen, document.trainable, strict=True)
    ]


def risky_context(document: LabeledDocument, buckets: Sequence[Bucket]) -> list[str]:
    """For each token that is left out, the action that its score would lead to, unless that is `train`; otherwise ""."""
    chosen = [buckets[index].action for index in buckets_of(np.asarray(document.score), buckets)]
    return [
        "" if trained or action is Action.TRAIN or action.traits.changes_input else action.value
        for action, trained in zip(chosen, document.trainable, strict=True)
    ]


def distances(document: LabeledDocument, buckets: Sequence[Bucket]) -> np.ndarray:
    """How far each token's score is from the nearest bound, on the page's scale: float64 `[tokens]`.

    The scale is log10(p / (1 - p)), cut at 1e-6 and 1 - 1e-6. Scores of exactly 0 and 1 are certain: infinity.
    """
    score = np.asarray(document.score, dtype=np.float64)
    bounds = np.array([bucket.below for bucket in buckets[:-1]], dtype=np.float64)
    if not len(bounds):
        return np.full(len(score), np.inf)
    nearest = np.abs(_scale(score)[:, None] - _scale(bounds)[None, :]).min(axis=1, initial=np.inf)
    return np.where((score <= 0) | (score >= 1), np.inf, nearest)


def nearness(document: LabeledDocument, buckets: Sequence[Bucket]) -> float:
    """The smallest of `distances` over the tokens that are trainable."""
    return float(distances(document, buckets)[np.asarray(document.trainable, dtype=bool)].min(initial=np.inf))


def _scale(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log10(p / (1 - p))
