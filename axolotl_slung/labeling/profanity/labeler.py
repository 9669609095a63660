"""Scores sentences with the linear model of alt-profanity-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base import Labeler, Span, utf8_safe
from ..text.sentences import split
from .model import FILE, probabilities


class ProfanityLabeler(Labeler):
    """The probability that a sentence is profane, from a linear model over its words that comes with the package.

    It is a default for English that works offline: fast, without a download or a GPU. It scores single words, and
    misses rude sentences of ordinary words. A sentence of unknown words scores about 0.04. Few sentences score below
    0.01. A method cuts its scores at 0.2 and 0.9 (docs/labelers.md says why).

    Args:
        key: the labeler's place in the YAML.
    """

    scope = "document"
    packages = ("livekit-blingfire",)

    def files(self) -> list[Path]:
        """The model's file, which comes with this package."""
        return [FILE]

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per sentence, with its probability; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        places = [(i, *span) for i, spans in enumerate(split(texts)) for span in spans]
        labeled: list[list[Span]] = [[] for _ in texts]
        if places:
            scores = probabilities([texts[index][start:end] for index, start, end in places])
            for (index, start, end), score in zip(places, scores.tolist()):
                labeled[index].append(Span(start, end, score))
        return labeled
