"""Draws documents until their tokens meet a number, in memory that does not grow with the documents.

Every document has a random number, its key: the n-th value of a stream of Philox for the n-th document. Documents are
taken in order of their keys. A histogram of tokens over the keys says where to stop. Only the documents around that
place are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .index import Records

TOLERANCE = 0.001
"""How far from a number of tokens a draw may end, as a share of it."""

_BITS = 16
_RANGES = 1 << _BITS
_LOOKED_AT = 512
"""Documents that are looked at to meet a number exactly, at first."""
_AGAIN, _FURTHER = 8, 256
"""Of these, the last taken ones that may be left out again, and the next ones that may be taken."""

Eligible = Callable[[int, np.ndarray], np.ndarray]
"""Which documents of a block may be drawn, from the number of its first document and its records: bool `[documents]`."""


def keys(purpose: int, seed: int, start: int, count: int) -> np.ndarray:
    """The random keys of documents `start` to `start + count`, uint64 `[count]`."""
    stream = np.random.Philox(key=(purpose << 64) | seed)
    stream.advance(start // 4)  # it makes four values at a time
    return stream.random_raw(count + start % 4)[start % 4 :]


class CannotMeet(ValueError):
    """No draw has this number of tokens.

    Attributes:
        level: the index of the number.
        available: the tokens of all documents that may be drawn.
    """

    def __init__(self, level: int, available: int):
        super().__init__(level, available)
        self.level, self.available = level, available


@dataclass
class Draw:
    """Which documents are drawn, for several numbers of tokens. Each level includes the one before it.

    Attributes:
        purpose, seed: of the keys.
        ends: for each level the range of keys, of `_RANGES`, before which all eligible documents are drawn.
        others: for each level the numbers of the other documents that it adds, sorted.
    """

    purpose: int
    seed: int
    ends: list[int] = field(default_factory=list)
    others: list[np.ndarray] = field(default_factory=list)

    def levels(self, start: int, eligible: np.ndarray) -> np.ndarray:
        """The first level that has each document of a block; the number of levels if none has it.

        Args:
            start: the number of the first document.
            eligible: bool `[documents]`.

        Returns:
            int64 `[documents]`.
        """
        ranges = _range_of(keys(self.purpose, self.seed, start, len(eligible)))
        levels = np.searchsorted(self.ends, ranges, side="right")
        levels[~eligible] = len(self.ends)
        for level, numbers in enumerate(self.others):
            here = numbers[np.searchsorted(numbers, start) : np.searchsorted(numbers, start + len(eligible))] - start
            levels[here] = np.minimum(levels[here], level)
        return levels


def draw(records: Records, eligible: Eligible, targets: Sequence[int], purpose: int, seed: int = 0) -> Draw:
    """Draw documents whose tokens meet each of the targets within `TOLERANCE`.

    Args:
        records: all documents.
        eligible: which of them may be drawn.
        targets: tokens, ascending. Each draw includes the one before it.
        purpose, seed: of the keys.

    Raises:
        CannotMeet: there are too few tokens, or no choice of documents meets the target.
    """
    tokens, documents = np.zeros(_RANGES, np.int64), np.zeros(_RANGES, np.int64)
    for start, block in records.blocks():
        ranges = _range_of(keys(purpose, seed, start, len(block)))
        may = eligible(start, block)
        tokens += np.bincount(ranges[may], block["tokens"][may], _RANGES).astype(np.int64)
        documents += np.bincount(ranges[may], minlength=_RANGES)
    available = int(tokens.sum())
    found = Draw(purpose, seed)
    drawn = 0  # tokens of `others`
    for level, target in enumerate(targets):
        if available < target * (1 - TOLERANCE):
            raise CannotMeet(level, available)
        end = int(np.searchsorted(np.cumsum(tokens), target - drawn, side="right"))
        end = max([end, *found.ends])
        left = target - drawn - int(tokens[:end].sum())
        taken = np.zeros(0, np.int64)
        if left > target * TOLERANCE:
            # a few documents before the end may be left out, too
            before = np.cumsum(documents)
            end = max([int(np.searchsorted(before, before[end - 1] - _AGAIN)) if end else 0, *found.ends])
            left = target - drawn - int(tokens[:end].sum())
            taken, sizes, ranges = _last_ones(
                records, eligible, found, documents, (end, left, target * TOLERANCE), CannotMeet(level, available)
            )
            # they count here, and no longer in their ranges
            np.subtract.at(tokens, ranges, sizes)
            np.subtract.at(documents, ranges, 1)
            drawn += int(sizes.sum())
        found.ends.append(end)
        found.others.append(np.sort(taken))
    return found


def _range_of(of_documents: np.ndarray) -> np.ndarray:
    return (of_documents >> np.uint64(64 - _BITS)).astype(np.int64)


def _last_ones(records, eligible, found: Draw, documents: np.ndarray, wanted, error: CannotMeet):
    """Documents from the range `end` on that fill what is left: their numbers, tokens and ranges."""
    end, left, tolerance = wanted
    before = np.cumsum(documents)
    most = _LOOKED_AT
    while True:
        reach = before[end - 1] if end else 0
        last = min(int(np.searchsorted(before, reach + most)) + 1, _RANGES)
        numbers, sizes, of_keys = _between(records, eligible, found, end, last)
        order = np.argsort(of_keys, kind="stable")
        chosen = nearest(sizes[order].tolist(), left, tolerance)
        if chosen is not None:
            picked = order[chosen]
            return numbers[picked], sizes[picked], _range_of(of_keys[picked])
        if last == _RANGES:
            raise error
        most *= 8


def _between(records, eligible, found: Draw, first: int, last: int):
    numbers, sizes, of_keys = [], [], []
    others = np.sort(np.concatenate([np.zeros(0, np.int64), *found.others]))
    for start, block in records.blocks():
        here = keys(found.purpose, found.seed, start, len(block))
        ranges = _range_of(here)
        (places,) = np.nonzero((ranges >= first) & (ranges < last) & eligible(start, block))
        places = places[~np.isin(places + start, others)]
        numbers.append(places + start)
        sizes.append(block["tokens"][places].astype(np.int64))
        of_keys.append(here[places])
    return np.concatenate(numbers), np.concatenate(sizes), np.concatenate(of_keys)


def nearest(sizes: Sequence[int], target: int, tolerance: float) -> list[int] | None:
    """Sizes whose sum is the target within the tolerance: the first ones, but for a few at the end.

    Returns:
        Their indices; None if the documents that are looked at have no such sum.
    """
    taken: list[int] = []
    left = target
    for number, size in enumerate(sizes):
        if size > left:
            break
        taken.append(number)
        left -= size
    if left <= tolerance:
        return taken
    first = max(0, len(taken) - _AGAIN)
    kept, pool = taken[:first], list(range(first, min(len(taken) + _FURTHER, len(sizes))))
    gap = target - sum(sizes[number] for number in kept)
    # bit n of sums[k]: some of the first k sizes of the pool have the sum n
    limit = (1 << (gap + int(tolerance) + 1)) - 1
    sums = [1]
    for number in pool:
        sums.append((sums[-1] | sums[-1] << sizes[number]) & limit)
    best = next(
        (
            gap + away * sign
            for away in range(int(tolerance) + 1)
            for sign in (-1, 1)
            if _has(sums[-1], gap + away * sign)
        ),
        None,
    )
    if best is None:
        return None
    for number, before in zip(reversed(pool), reversed(sums[:-1])):
        if not _has(before, best):
            kept.append(number)
            best -= sizes[number]
    return sorted(kept)


def _has(bits: int, place: int) -> bool:
    return place >= 0 and bool(bits >> place & 1)
