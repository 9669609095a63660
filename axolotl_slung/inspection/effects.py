"""What becomes of each token, as the page and the terminal show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Bucket
from ..labels.documents import LabeledDocument
from ..labels.tokens import buckets_of

LEFT_OUT = "left_out"
"""Stands where an action would, for tokens that Axolotl by itself does not train on (a user's turn, say)."""

LEFT_OUT_MEANING = "Axolotl by itself does not train on it"


def effects(document: LabeledDocument, buckets: Sequence[Bucket]) -> list[str]:
    """What becomes of each token: its action's value, or `LEFT_OUT`.

    Actions on the text (`drop_span` and its like) also meet tokens that would not have been trained.
    """
    chosen = [buckets[index].action for index in buckets_of(np.asarray(document.score), buckets)]
    return [
        action.value if trained or action.traits.edits_text else LEFT_OUT
        for action, trained in zip(chosen, document.trainable, strict=True)
    ]
