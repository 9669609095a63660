"""Documents in tokens, with every labeler's scores, as training will see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelledDocument:
    """One row of a data set.

    Attributes:
        name: what to call it, such as its id.
        tokens: the characters of each token; for special tokens, their own names.
        scores: for each labeler, by its name, float64 `[tokens]` (see `tokens.token_scores`).
        score: float64 `[tokens]`: the labelers' characters combined by maximum.
        trainable: bool `[tokens]`: whether Axolotl by itself would train on the token.
        partial: bool `[tokens]`: whether the token's characters lie in different buckets.
    """

    name: str
    tokens: list[str]
    scores: dict[str, np.ndarray]
    score: np.ndarray
    trainable: np.ndarray
    partial: np.ndarray
