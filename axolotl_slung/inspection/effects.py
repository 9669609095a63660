"""What becomes of each token, as the page and the terminal show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..labels.buckets import TEXT_ACTIONS, Action, Bucket
from ..labels.documents import LabelledDocument
from ..labels.tokens import buckets_of

LEFT_OUT = "left_out"
"""Stands where an action would, for tokens that Axolotl by itself does not train on (a user's turn, say)."""

MEANINGS = {
    Action.TRAIN: "the model learns to say it",
    Action.MASK: "read by every token after it, never trained",
    Action.UNLIKELIHOOD: "the model learns not to say it",
    Action.SOFT: "between train and unlikelihood, by its score",
    Action.HINGE: "the model learns not to say it, down to a threshold",
    Action.CUSTOM: "an objective of your own",
    Action.GOLDFISH: "trained, but for one token in k",
    Action.DROP_SPAN: "taken out of the text",
    Action.DROP_DOCUMENT: "its whole document is dropped",
    Action.CONTROL_TOKEN: "trained, with a control token in front",
}

LEFT_OUT_MEANING = "Axolotl by itself does not train on it"


def effects(document: LabelledDocument, buckets: Sequence[Bucket]) -> list[str]:
    """What becomes of each token: its action's value, or `LEFT_OUT`.

    Actions on the text (`drop_span` and its like) also meet tokens that would not have been trained.
    """
    chosen = [buckets[index].action for index in buckets_of(np.asarray(document.score), buckets)]
    return [
        action.value if trained or action in TEXT_ACTIONS else LEFT_OUT
        for action, trained in zip(chosen, document.trainable, strict=True)
    ]
