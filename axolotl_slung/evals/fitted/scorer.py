"""The scorer of a fitted file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...errors import SlungError
from ...regression import sigmoid
from ...storage import sha256_of
from ..services.base import Scorer
from . import ngrams
from .file import FittedFile, read

BUNDLED = Path(__file__).with_name("rtp_ngrams.npz")
"""The scorer that comes with the package; docs/scorers.md has its card."""


class FittedScorer(Scorer):
    """Applies a regression to a text's n-grams, or to a model's hidden states.

    Args:
        said: the option and its value.
        path: the file; "" for the one that comes with the package.

    Attributes:
        file: what the file holds.

    Raises:
        SlungError: the file cannot be read, or its model is another one now.
    """

    def __init__(self, said: str, path: str = ""):
        super().__init__()
        place = Path(path).expanduser() if path else BUNDLED
        self.file: FittedFile = read(said, place)
        self.name = f"fitted:{place.name}" if path else "fitted"
        self.version = f"sha256 {sha256_of(place)[:12]}"
        self._features = None
        if self.file.card["kind"] == "hidden states":
            from .states import StateModel

            chosen = self.file.card["chosen"]
            self._wanted = [(chosen["layer"], chosen["pooling"])]
            self._features = StateModel(said, self.file.card["model"])
            # another version of Transformers computes the same states, another model does not
            made, now = (
                identity.partition(", ")[0] for identity in (self.file.card["identity"], self._features.identity)
            )
            if made != now:
                raise SlungError(
                    f"{said}: was fitted to the hidden states of {self.file.card['model']} ({made}), which is another model "
                    f"now ({now}); restore that model, or fit the scorer again"
                )
            self.version += f", transformers {version('transformers')}"

    def _score(self, texts: list[str]) -> np.ndarray:
        if self._features is not None:
            states = self._features.states(texts, self._wanted)[0].astype(np.float64)
            return sigmoid(states @ self.file.coefficients[:-1] + self.file.coefficients[-1])
        scores = [ngram_logits(self.file, texts[some]) for some in ngrams.batches(len(texts))]
        return sigmoid(np.concatenate(scores))


def ngram_logits(file: FittedFile, texts: list[str]) -> np.ndarray:
    """float64 `(texts,)`: the log-odds of each text."""
    cells = ngrams.weighed(ngrams.counts(texts, len(file.weights) // 2), file.weights, len(texts))
    intercept = float(file.coefficients[-1])
    return intercept + np.bincount(cells.rows, cells.values * file.coefficients[cells.columns], len(texts))
