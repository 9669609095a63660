"""The base of all scorers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...labeling.base import utf8_safe


class Scorer(ABC):
    """Scores whole texts.

    Attributes:
        name: the kind of scorer and its argument.
        version: everything else that decides the scores: versions of packages and models, addresses.
        served: the model or models that the service reported; "" for local scorers and services that do not report it.
        failures: the number of texts without a score since the scorer was opened, by reason.
    """

    name: str
    version: str
    served: str = ""

    def __init__(self):
        self.failures: Counter = Counter()

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Score texts.

        Args:
            texts: n texts, any Unicode. An empty text, or one with only white space, gets the score 0.

        Returns:
            float64 `[n]`, in [0, 1]; NaN for texts that could not be scored.

        Raises:
            SlungError: the service rejects the key, or the model returns no numbers.
        """
        scores = np.zeros(len(texts))
        said = [index for index, text in enumerate(texts) if text.strip()]
        if said:
            scores[said] = self._score([utf8_safe(texts[index]) for index in said])
        return scores

    @abstractmethod
    def _score(self, texts: list[str]) -> np.ndarray:
        """`score` for texts that are not blank and can be encoded as UTF-8."""
