"""The places of a row's fields in a rendered prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...labeling.base import Span
from ...labeling.rows.fields import Path


class Placed(NamedTuple):
    """The place of a field's characters, from `offset` on: `[start, end)` of a rendered prompt.

    Attributes:
        bounds: for each character of the field, its characters `[start, end)` in the prompt, int64 `[characters, 2]`.
            Escapes make the field and the prompt differ. None if their characters are the same, one by one.
    """

    start: int
    end: int
    path: Path
    offset: int
    bounds: np.ndarray | None = None

    @property
    def length(self) -> int:
        """The number of the field's characters that are here."""
        return self.end - self.start if self.bounds is None else len(self.bounds)

    def at(self, start: int, end: int) -> tuple[int, int]:
        """The prompt's characters for the field's characters `[start, end)`, all of which must be here."""
        if self.bounds is None:
            return start - self.offset + self.start, end - self.offset + self.start
        return int(self.bounds[start - self.offset, 0]), int(self.bounds[end - self.offset - 1, 1])


def moved(spans: Sequence[Span], places: Sequence[Placed], text: str) -> list[Span]:
    """A field's spans as spans of a prompt. Parts of spans that are not in the prompt are left out.

    A template may write two parts of a field with only white space between them. A span over both parts includes it.

    Args:
        spans: the spans of the field.
        places: the places of the field in the prompt.
        text: the prompt.
    """
    found = []
    places = sorted(places, key=lambda place: place.start)
    for span in spans:
        last = None  # the end of the previous part, in the field and in the prompt
        for place in places:
            start, end = max(span.start, place.offset), min(span.end, place.offset + place.length)
            if start >= end:
                continue
            first, stop = place.at(start, end)
            if last and start >= last[0] and first >= last[1] and not text[last[1] : first].strip():
                first = last[1]
            if first < stop:  # otherwise the template left these characters out
                found.append(span._replace(start=first, end=stop))
            last = end, stop
    return found


def clipped(spans: Sequence[Span], start: int, end: int) -> list[Span]:
    """The parts of a text's spans in its characters `[start, end)`, counted from `start`."""
    return [
        span._replace(start=max(span.start, start) - start, end=min(span.end, end) - start)
        for span in spans
        if span.start < end and span.end > start
    ]


def uncovered(length: int, places: Sequence[Placed]) -> list[tuple[int, int]]:
    """The parts `[start, end)` of a field that have no known place."""
    found, last = [], 0
    for place in sorted(places, key=lambda place: place.offset):
        if place.offset > last:
            found.append((last, place.offset))
        last = max(last, place.offset + place.length)
    return [*found, (last, length)] if last < length else found
