"""What all scorers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...labeling.base import utf8_safe


class Scorer(ABC):
    """Scores whole texts.

    Attributes:
        name: the kind, and what it was opened with.
        version: what decides the scores beside the name: of packages, models and addresses.
        served: the model or models that a service said it used; "" for local ones, and services that do not say.
        failures: for each reason the number of texts that could not be scored since it was opened.
    """

    name: str
    version: str
    served: str = ""

    def __init__(self):
        self.failures: Counter = Counter()

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Score texts.

        Args:
            texts: n texts, any Unicode. An empty text, or one of only white space, gets the score 0.

        Returns:
            float64 (n,), in [0, 1]; NaN for what could not be scored.

        Raises:
            SlungError: the service does not take the key, or the model gives no numbers.
        """
        scores = np.zeros(len(texts))
        said = [index for index, text in enumerate(texts) if text.strip()]
        if said:
            scores[said] = self._score([utf8_safe(texts[index]) for index in said])
        return scores

    @abstractmethod
    def _score(self, texts: list[str]) -> np.ndarray:
        """The same for texts that say something, and are fit for UTF-8."""
