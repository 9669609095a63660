"""Counts of distinct spans. The memory does not grow with the text: about 200 bytes for each distinct span."""

from __future__ import annotations

import hashlib
import heapq
import json
import random
from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..evals.audit_file import frequency_of

POOL = 1000
"""The most texts of one kind that decoys are taken from."""


def key_of(seed: int, *parts: str) -> int:
    """A number below 2**64 that depends only on the seed and the parts. It orders things at random."""
    content = json.dumps(parts).encode()
    return int.from_bytes(hashlib.blake2b(content, key=str(seed).encode(), digest_size=8).digest())


class Stratum(NamedTuple):
    """What spans are drawn from evenly."""

    labeler: str
    kind: str
    bucket: int
    frequency: str


class Tally:
    """The distinct spans of one set of rows: how often each occurs, and in which bucket.

    Only occurrences whose text is not in front of them can be asked about: a model may copy the others. A span whose
    occurrences are in several buckets belongs to the highest of them.
    """

    def __init__(self):
        self._index: dict[int, int] = {}
        self._groups: dict[tuple[str, str], int] = {}
        self._of_group, self._buckets = array("I"), array("B")
        self._counts, self._in_bucket = array("Q"), array("Q")

    def add(self, key: int, labeler: str, kind: str, bucket: int, askable: bool = True) -> None:
        """Count an occurrence. `key` stands for labeler, kind and text."""
        at = self._index.setdefault(key, len(self._index))
        if at == len(self._counts):
            self._of_group.append(self._groups.setdefault((labeler, kind), len(self._groups)))
            self._counts.append(0)
            self._in_bucket.append(0)
            self._buckets.append(bucket)
        self._counts[at] += 1
        if askable and (bucket > self._buckets[at] or not self._in_bucket[at]):
            self._buckets[at], self._in_bucket[at] = bucket, 0
        self._in_bucket[at] += askable and bucket == self._buckets[at]

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: int) -> bool:
        return key in self._index

    def count(self, key: int) -> int:
        """How often the span occurs."""
        return self._counts[self._index[key]]

    def in_bucket(self, key: int) -> tuple[int, int]:
        """The highest bucket of the span, and how many occurrences in it can be asked about."""
        at = self._index[key]
        return self._buckets[at], self._in_bucket[at]

    def strata(self, left_out: Tally | None = None) -> Iterator[tuple[int, Stratum]]:
        """The key and stratum of each span that can be asked about, without the spans of `left_out`."""
        names = list(self._groups)
        for key, at in self._index.items():
            if self._in_bucket[at] and (left_out is None or key not in left_out):
                frequency = frequency_of(self._counts[at])
                yield key, Stratum(*names[self._of_group[at]], self._buckets[at], frequency)

    def most_frequent(self, number: int, least: int) -> list[int]:
        """The keys of the spans that occur most often, and at least `least` times."""
        often = ((self._counts[at], -key) for key, at in self._index.items() if self._counts[at] >= least)
        return [-key for _, key in heapq.nlargest(number, often)]


class Smallest:
    """The items with the smallest numbers. The numbers are random, so this is a random sample of distinct items."""

    def __init__(self, most: int):
        self.most = most
        self._heap: list[tuple] = []
        self._numbers: set[int] = set()

    def wants(self, number: int) -> bool:
        """Whether an item with this number would be kept."""
        if number in self._numbers:
            return False
        return len(self._heap) < self.most or (self.most > 0 and number < -self._heap[0][0])

    def add(self, number: int, *item) -> None:
        """Keep an item that is wanted, in place of the one with the largest number."""
        self._numbers.add(number)
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, (-number, *item))
        else:
            self._numbers.discard(-heapq.heappushpop(self._heap, (-number, *item))[0])

    def __len__(self) -> int:
        return len(self._heap)

    def items(self) -> list[tuple]:
        """`(number, *item)` of each, the smallest number first."""
        return sorted((-negative, *item) for negative, *item in self._heap)


class Lengths:
    """A random sample of the lengths of spans, in characters."""

    def __init__(self, seed: int, most: int = 1000):
        self._random, self._most, self._seen = random.Random(seed), most, 0
        self.kept: list[int] = []

    def add(self, length: int) -> None:
        """Take one into account."""
        self._seen += 1
        if len(self.kept) < self._most:
            self.kept.append(length)
        elif (at := self._random.randrange(self._seen)) < self._most:
            self.kept[at] = length


def shares(available: Sequence[int], number: int) -> list[int]:
    """How many to take of each, as evenly as possible: no more than there are, and `number` in all if there are enough."""
    taken = [0] * len(available)
    left = min(number, sum(available))
    # the smallest first: what it lacks is shared by the others
    order = sorted(range(len(available)), key=lambda at: available[at])
    for place, at in enumerate(order):
        taken[at] = min(available[at], left // (len(order) - place))
        left -= taken[at]
    return taken


def chosen(strata: Iterator[tuple[int, Stratum]], number: int) -> tuple[dict[int, Stratum], dict[Stratum, int]]:
    """A sample of spans, even over labelers, kinds and buckets, and in each of these over frequencies.

    Returns:
        The keys of the sample, and how many spans there are in each stratum.
    """
    by_stratum: dict[Stratum, Smallest] = {}
    found: dict[Stratum, int] = {}
    for key, stratum in strata:
        found[stratum] = found.get(stratum, 0) + 1
        kept = by_stratum.setdefault(stratum, Smallest(number))
        if kept.wants(key):
            kept.add(key)
    groups: dict[tuple, list[Stratum]] = {}
    for stratum in sorted(found):
        groups.setdefault(stratum[:3], []).append(stratum)
    of_groups = shares([sum(found[one] for one in group) for group in groups.values()], number)
    sample: dict[int, Stratum] = {}
    for group, most in zip(groups.values(), of_groups):
        for stratum, some in zip(group, shares([found[one] for one in group], most)):
            sample |= {key: stratum for (key,) in by_stratum[stratum].items()[:some]}
    return sample, found
