"""Sentences scored by alt-profanity-check, which brings its model along."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .base import Labeler, LabelerError, Span, utf8_safe
from .registry import check_installed
from .text.sentences import split

if TYPE_CHECKING:
    import numpy as np


class ProfanityLabeler(Labeler):
    """The probability that a sentence is profane, by a linear model over its words that comes with the package.

    It needs no download and no GPU, and is quick: a default for English that works offline. It goes by single words, so
    that it misses whatever is rude in ordinary ones. A sentence of unknown words has about 0.04, and little falls below
    0.01: the preset buckets, whose lowest cut is 1e-4, would call every sentence doubtful. Give `buckets` of your own.

    Args:
        key: where the labeler stands in the YAML.
        splitter: see `sentences.split`.
    """

    scope = "document"
    packages = ("alt-profanity-check", "scikit-learn", "blingfire")

    def __init__(self, key: str, splitter: str = "blingfire"):
        super().__init__(key)
        self.splitter = splitter

    def check(self) -> None:
        """Load the model."""
        predictor(self.key)

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span a sentence, with its probability; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        places = [(i, *span) for i, spans in enumerate(split(texts, self.splitter)) for span in spans]
        labelled: list[list[Span]] = [[] for _ in texts]
        if places:
            scores = predictor(self.key)([texts[index][start:end] for index, start, end in places])
            for (index, start, end), score in zip(places, scores.tolist()):
                labelled[index].append(Span(start, end, score))
        return labelled


def predictor(key: str) -> Callable[[Sequence[str]], np.ndarray]:
    """The model of alt-profanity-check, as a function: texts in, float64 (n,) out, probabilities.

    Args:
        key: what errors begin with.

    Raises:
        LabelerError: the package is not installed, or its model was made with another scikit-learn.
    """
    check_installed("profanity", key)
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with warnings.catch_warnings():
            # the package loads its pickled model when it is imported; another scikit-learn may read it differently
            warnings.simplefilter("error", InconsistentVersionWarning)
            from profanity_check import predict_prob
    except Warning:
        raise LabelerError(
            f"{key}: the model of alt-profanity-check was made with another version of scikit-learn; pip install "
            "--force-reinstall alt-profanity-check"
        ) from None
    return predict_prob
