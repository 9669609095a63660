"""Sentences scored by the linear model of alt-profanity-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base import Labeler, Span, utf8_safe
from ..text.sentences import split
from .model import FILE, probabilities


class ProfanityLabeler(Labeler):
    """The probability that a sentence is profane, by a linear model over its words that comes with the package.

    It needs no download and no GPU, and is quick: a default for English that works offline. It looks at single words, so
    that it misses whatever is rude in ordinary ones. A sentence of unknown words has about 0.04, and little falls below
    0.01: the preset buckets, whose lowest cut is 1e-4, would call every sentence doubtful. Give `buckets` of your own.

    Args:
        key: where the labeler stands in the YAML.
    """

    scope = "document"
    packages = ("livekit-blingfire",)

    def files(self) -> list[Path]:
        """The model's file, which comes with this package."""
        return [FILE]

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span a sentence, with its probability; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        places = [(i, *span) for i, spans in enumerate(split(texts)) for span in spans]
        labeled: list[list[Span]] = [[] for _ in texts]
        if places:
            scores = probabilities([texts[index][start:end] for index, start, end in places])
            for (index, start, end), score in zip(places, scores.tolist()):
                labeled[index].append(Span(start, end, score))
        return labeled
