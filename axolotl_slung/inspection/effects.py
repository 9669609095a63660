"""The effect on each token, as the page and the terminal show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Bucket
from ..labels.documents import LabeledDocument
from ..labels.tokens import buckets_of

LEFT_OUT = "left_out"
"""Used in place of an action for tokens that Axolotl itself does not train on, such as a user's turn."""

LEFT_OUT_MEANING = "Axolotl itself does not train on it"


def effects(document: LabeledDocument, buckets: Sequence[Bucket]) -> list[str]:
    """The effect on each token: the value of its action, or `LEFT_OUT`.

    Actions that edit the text (such as `drop_span`) also apply to tokens that would not be trained.
    """
    chosen = [buckets[index].action for index in buckets_of(np.asarray(document.score), buckets)]
    return [
        action.value if trained or action.traits.edits_text else LEFT_OUT
        for action, trained in zip(chosen, document.trainable, strict=True)
    ]
