"""A mapping from a text back to the source that it was made from, piece by piece."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Pieces:
    """Maps each character of a text to the characters of its source.

    A piece as long as its source maps character by character. In any other piece, each character maps to the whole
    source of the piece. Parts of the source without a piece were omitted from the text.

    Attributes:
        length: the text's length so far, in characters.
    """

    def __init__(self):
        self.length = 0
        # piece i is text[starts[i]:starts[i + 1]], from source[origins[i]:stops[i]]
        self._starts: list[int] = []
        self._origins: list[int] = []
        self._stops: list[int] = []

    def add(self, length: int, origin: int, stop: int) -> None:
        """Append `length` characters that come from the source's `[origin, stop)`. A length of 0 adds nothing."""
        if not length:
            return
        start = self.length
        self.length += length
        one_for_one = stop - origin == length and self._stops and self._stops[-1] == origin
        if one_for_one and start - self._starts[-1] == origin - self._origins[-1]:
            self._stops[-1] = stop
            return
        self._starts.append(start)
        self._origins.append(origin)
        self._stops.append(stop)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The source's characters `[start, end)` for a non-empty range of the text."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        origin = self._origins[first]
        if self._exact(first):
            origin += start - self._starts[first]
        stop = self._stops[last]
        if self._exact(last):
            stop = self._origins[last] + end - self._starts[last]
        return origin, stop

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """`original` of each character: starts and ends, int64 (length,) each."""
        # imported here, because labeling one text does not need it
        import numpy as np

        starts = np.array(self._starts, np.int64)
        origins, stops = np.array(self._origins, np.int64), np.array(self._stops, np.int64)
        lengths = np.diff(starts, append=self.length)
        within = np.arange(self.length) - np.repeat(starts, lengths)
        exact = np.repeat(stops - origins == lengths, lengths)
        firsts = np.repeat(origins, lengths) + np.where(exact, within, 0)
        return firsts, np.where(exact, firsts + 1, np.repeat(stops, lengths))

    def _exact(self, index: int) -> bool:
        following = self._starts[index + 1] if index + 1 < len(self._starts) else self.length
        return self._stops[index] - self._origins[index] == following - self._starts[index]
