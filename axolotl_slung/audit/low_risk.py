"""Stretches of low-risk text, about as long as the risky spans: text that the model should know."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

import numpy as np

from ..labels.spanned import SpannedText
from .tally import Lengths, Smallest, key_of

_TRIES = 32
_WORD = re.compile(r"\S+")


class Stretch(NamedTuple):
    """The characters `[start, end)` of a document, by the document's number."""

    document: int
    start: int
    end: int
    text: str


class Stretches:
    """At most one stretch per document, from a random sample of the documents.

    Args:
        number: how many.
        seed: of the draw.
    """

    def __init__(self, number: int, seed: int):
        self._kept, self._seed = Smallest(number), seed
        self.lengths = Lengths(seed)
        """Of the risky spans so far."""

    def wants(self, document: int) -> bool:
        """Whether a stretch of the document with this number would be kept."""
        return bool(self.lengths.kept) and self._kept.wants(key_of(self._seed, "document", str(document)))

    def add(self, document: int, text: SpannedText, safe: np.ndarray) -> None:
        """Keep a stretch of a document, if it has one.

        Args:
            document: its number.
            text: its text.
            safe: see `found.safe_characters`.
        """
        key = key_of(self._seed, "document", str(document))
        draws = random.Random(key)
        unsafe = np.concatenate([[0], np.cumsum(~safe)])
        places = np.flatnonzero(safe)
        for _ in range(_TRIES if len(places) else 0):
            stretch = _from(text.text, int(places[draws.randrange(len(places))]), draws.choice(self.lengths.kept))
            if stretch is None:
                continue
            start, end = stretch
            cut = text.text[start:end]
            if unsafe[end] == unsafe[start] and text.text.find(cut) == start:
                self._kept.add(key, Stretch(document, start, end, cut))
                return

    def drawn(self) -> list[Stretch]:
        """The stretches, each text once, by their documents."""
        by_text = {stretch.text: stretch for _, stretch in self._kept.items()}
        return sorted(by_text.values())


def _from(text: str, at: int, length: int) -> tuple[int, int] | None:
    """Whole words from the first one after `at` on, at least `length` characters; None if the text ends before."""
    start = None
    # the word that `at` is in has begun before it
    begun = at > 0 and not text[at - 1].isspace()
    for word in _WORD.finditer(text, at):
        if begun and word.start() == at:
            continue
        start = word.start() if start is None else start
        if word.end() - start >= length:
            return start, word.end()
    return None
