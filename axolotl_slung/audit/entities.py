"""Occurrences of the texts that the data names most often, for the identity probe."""

from __future__ import annotations

import random

from .tally import Tally, key_of

ENTITIES, OCCURRENCES, LEAST = 30, 20, 4
"""The most entities, the most occurrences of each, and the fewest that make a text an entity that is drawn."""


class Entities:
    """Which occurrences of the most frequent spans are written: some at random, at most one of each document."""

    def __init__(self, tally: Tally, seed: int):
        self._left: dict[int, list[int]] = {}
        self._seen: dict[int, int] = {}
        self._last: dict[int, int] = {}
        for key in tally.most_frequent(ENTITIES, LEAST):
            number = tally.count(key)
            draws = random.Random(key_of(seed, "entity", str(key)))
            self._left[key] = sorted(draws.sample(range(number), min(OCCURRENCES, number)), reverse=True)

    def takes(self, key: int, document: int) -> bool:
        """Whether to write this occurrence, which is the next one of the data."""
        left = self._left.get(key)
        if not left:
            return False
        at = self._seen[key] = self._seen.get(key, -1) + 1
        if at < left[-1] or self._last.get(key) == document:
            return False
        left.pop()
        self._last[key] = document
        return True
