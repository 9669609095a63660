"""Texts as the model reads them, with the spans in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..labeling.base import Span


@dataclass(frozen=True)
class SpannedText:
    """One part of a row: what the model reads as one document.

    Attributes:
        text: all characters of it, with the marks of a chat template. Tokens that the tokenizer or the strategy adds at
            its ends (BOS, EOS) are left out. A special token that a strategy adds elsewhere has its name.
        edges: where tokens begin and end: token `i` is the characters `[edges[i], edges[i + 1])`, int64 `[tokens + 1]`.
        trained: whether Axolotl trains the token without slung, bool `[tokens]`.
        spans: the spans of all labelers that are in it completely. They may overlap.
        cut: the parts of other spans that are in it. Their rest is in another part, or was left out.
    """

    text: str
    edges: np.ndarray
    trained: np.ndarray
    spans: Sequence[Span]
    cut: Sequence[Span] = ()

    def trained_characters(self) -> np.ndarray:
        """Whether a character belongs to a trained token, bool `[characters]`."""
        return np.repeat(self.trained, np.diff(self.edges))
