"""Decoys: other texts of a span's kind, real ones of the data and made ones that occur nowhere in it."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from ..labels.made_up import family_of, made_up
from .tally import POOL, Smallest

_WIDER = 4
"""Decoys are taken at random from so many times as many texts whose length is nearest."""

_LONGEST = 200
"""The automaton looks for so many first characters. Its memory grows with their number."""


class Pool:
    """Real texts of one kind: a random sample of the distinct ones."""

    def __init__(self):
        self._kept = Smallest(POOL)
        self._by_length: list[tuple[int, str]] | None = None

    def add(self, key: int, text: str) -> None:
        """Take a text into account."""
        if self._kept.wants(key):
            self._kept.add(key, text)
            self._by_length = None

    def texts(self) -> list[tuple[int, str]]:
        """Length and text of each, ascending."""
        if self._by_length is None:
            self._by_length = sorted((len(text), text) for _, text in self._kept.items())
        return self._by_length

    def few(self, number: int) -> bool:
        """Whether there may not be `number` decoys for each text that is not in the text's own context."""
        return len(self._kept) <= _WIDER * number

    def decoys(self, text: str, context: str, number: int, draws: random.Random) -> list[str]:
        """At most `number` other texts that are not in the context, of nearly the same length if there are enough."""
        texts, found = self.texts(), []
        at, wide = bisect_left(texts, (len(text), text)), _WIDER * number
        start = max(0, min(at - wide // 2, len(texts) - wide))
        near = texts[start : start + wide]
        for some in (near, [*texts[:start], *texts[start + wide :]]):
            some = list(some)
            draws.shuffle(some)
            for _, other in some:
                if len(found) == number:
                    return found
                # what the model has just read is more likely, and says nothing of training
                if other != text and other not in context:
                    found.append(other)
        return found


def made(text: str, kind: str, number: int, seed: int) -> list[str]:
    """At most `number` made-up texts of the same shape, different from the text and from each other.

    Only for kinds that `labels.made_up` knows, and for single words with a digit, such as an order's number.
    """
    if family_of(kind) == "other" and not (any(map(str.isdigit, text)) and len(text.split()) == 1):
        return []
    values = (made_up(text, kind, seed + turn) for turn in range(2 * number))
    return [value for value in dict.fromkeys(values) if value != text][:number]


class Searched:
    """How often some texts occur in others, as they are, also inside words and over each other."""

    def __init__(self, texts: Iterable[str]):
        from ahocorasick_rs import AhoCorasick

        self._counts = dict.fromkeys(texts, 0)
        self._by_start: dict[str, list[str]] = {}
        for text in self._counts:
            self._by_start.setdefault(text[:_LONGEST], []).append(text)
        self._starts = list(self._by_start)
        self._automaton = AhoCorasick(self._starts, store_patterns=False) if self._starts else None

    def search(self, text: str) -> None:
        """Count the occurrences in a text."""
        if self._automaton is None:
            return
        for at, start, _ in self._automaton.find_matches_as_indexes(text, overlapping=True):
            for one in self._by_start[self._starts[at]]:
                self._counts[one] += len(one) <= _LONGEST or text.startswith(one, start)

    def counts(self) -> Mapping[str, int]:
        """The occurrences of each text in all texts so far."""
        return self._counts


def with_made(
    real: Sequence[str], candidates: Sequence[str], counts: Mapping[str, int], number: int
) -> tuple[list, int]:
    """The decoys of a span, and how many of them are made: those of the candidates that occur nowhere fill the rest up."""
    absent = [one for one in candidates if not counts[one] and one not in real][: number - len(real)]
    return [*real, *absent], len(absent)
