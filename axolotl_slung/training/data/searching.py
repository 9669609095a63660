"""Search for fields by their text, in the parts of a prompt that belong to no placed field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from ...labeling.rows.fields import Path
from ...labeling.text.escapes import unescaped
from .places import Placed
from .tracked import Piece

_LEAST = 3
"""The fewest characters of a risky text that are searched for where the text was cut."""


def copies(text: str, where: Iterable[tuple[int, int]], risky: str) -> list[tuple[int, int]]:
    """The places `[start, end)`, in characters, where a risky text is in the given parts of a text.

    A whole text is found in any reading (see `meanings`). Between its words, anything but letters, digits and `_` may
    stand. A text that is cut off is found at the edge of a part.
    """
    words = re.findall(r"\w+|[^\w\s]+", risky)
    if sum(map(str.isalnum, risky)) < _LEAST:
        return []
    whole = re.compile(r"\W*".join(map(re.escape, words)), re.IGNORECASE)
    found = []
    for start, end in where:
        for view, bounds in _views(text[start:end], start):
            found += [(int(bounds[m.start(), 0]), int(bounds[m.end() - 1, 1])) for m in whole.finditer(view)]
        part = text[start:end]
        inner = part.strip()
        first = start + part.index(inner)
        for cut in range(1, len(risky) - _LEAST + 1):
            if inner.startswith(risky[cut:]):
                found.append((start, first + len(risky) - cut))  # with the white space at the cut
            if inner.endswith(risky[:-cut]):
                found.append((first + len(inner) - len(risky) + cut, end))
    return found


def gaps(text: str, places: Sequence[Placed]) -> Iterator[tuple[int, int]]:
    """The parts `[start, end)` of a text that no place covers."""
    last = 0
    for place in sorted(places, key=lambda place: place.start):
        if place.start > last:
            yield last, place.start
        last = max(last, place.end)
    if last < len(text):
        yield last, len(text)


_MOST_ALIGNED = 10_000_000
"""The product of the lengths (in characters) of two texts, above which they are not aligned."""

_ALIKE = 0.6
"""The `SequenceMatcher` ratio from which one text counts as a version of another."""


def search(text: str, where: Iterable[tuple[int, int]], lost: Mapping[Path, str]) -> tuple[list[Placed], list[Placed]]:
    """Search for fields by their text.

    Long fields come first, since they may contain others. A place that keeps the order of the row is preferred.

    Args:
        text: a prompt.
        where: the parts `[start, end)` of it to search, in any reading (see `meanings`).
        lost: the fields, in the order of the row.

    Returns:
        The places found, and all possible places of the fields that had more than one.
    """
    cores = {path: core for path, field in lost.items() if any(map(str.isalnum, core := field.strip()))}
    views = [
        view
        for start, end in where
        if cores and any(map(str.isalnum, text[start:end]))
        for view in _views(text[start:end], start)
    ]
    if not views:
        return [], []
    often = Counter(core for core in cores.values() if any(core in view for view, _ in views))
    ends = dict.fromkeys(cores, 0)  # the ends of the places found
    order = {path: number for number, path in enumerate(cores)}
    found, choices, taken = [], [], []
    for path, core in sorted(cores.items(), key=lambda item: -len(item[1])):
        offset = lost[path].index(core)
        before = max((end for other, end in ends.items() if order[other] < order[path]), default=0)
        if core in often:
            free = _free(views, core, taken)
            runs = [(bounds, offset) for bounds in _behind(free, before)]
            if len(free) > often[core] - sum(1 for other, end in ends.items() if end and cores[other] == core):
                choices += [_place(bounds, path, offset) for bounds in free]
        else:
            runs = _lines(views, core, offset, before, taken)
        for bounds, first in runs:
            place = _place(bounds, path, first)
            found.append(place)
            taken.append((place.start, place.end))
            ends[path] = place.end
    return found, choices


def meanings(part: str) -> Iterator[tuple[str, np.ndarray]]:
    """The texts that escape to `part`, each with the part's `[start, end)` per character, int64 `[n, 2]`."""
    for kind in ("backslash", "entity", "percent"):
        for view in unescaped(part, (kind,)):
            yield view.text, np.stack([view.starts, view.ends], axis=1)


def _views(part: str, start: int) -> list[tuple[str, np.ndarray]]:
    """The readings of a part, each with the text's `[start, end)` per character of the reading, int64 `[n, 2]`."""
    plain = np.arange(start, start + len(part))
    escaped = [(meaning, bounds + start) for meaning, bounds in meanings(part)]
    return [(part, np.stack([plain, plain + 1], axis=1)), *escaped]


def _free(views, core: str, taken: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """The places of `core` that are not taken, as bounds of its characters. Of two readings, the longer one counts."""
    free: list[np.ndarray] = []
    for view, bounds in views:
        for at in _occurrences(view, core):
            here = bounds[at : at + len(core)]
            if any(here[0, 0] < stop and start < here[-1, 1] for start, stop in taken):
                continue
            same = [other for other in free if here[0, 0] < other[-1, 1] and other[0, 0] < here[-1, 1]]
            if all(here[-1, 1] - here[0, 0] > other[-1, 1] - other[0, 0] for other in same):
                free = [other for other in free if all(other is not one for one in same)] + [here]
    return sorted(free, key=lambda bounds: bounds[0, 0])


def _behind(free: Sequence[np.ndarray], cursor: int) -> list[np.ndarray]:
    """The first place at or after `cursor`, else the first place. Empty if there are no places."""
    behind = [bounds for bounds in free if bounds[0, 0] >= cursor]
    return (behind or list(free))[:1]


def _occurrences(text: str, core: str) -> Iterator[int]:
    """The indices of `core` in `text` where it is not part of a longer word."""
    at = text.find(core)
    while at >= 0:
        end = at + len(core)
        before = at > 0 and text[at - 1].isalnum() and core[0].isalnum()
        after = end < len(text) and text[end].isalnum() and core[-1].isalnum()
        if not before and not after:
            yield at
        at = text.find(core, at + 1)


def _lines(views, core: str, offset: int, cursor: int, taken) -> list[tuple[np.ndarray, int]]:
    """The places of a field's lines, for a template that indents or joins them. Empty unless all lines are found."""
    runs = []
    cuts = [0, *(match.end() for match in re.finditer("\n", core)), len(core)]
    for begin, stop in pairwise(cuts):
        line = core[begin:stop].strip()
        if not line:
            continue
        behind = [bounds for bounds in _free(views, line, taken) if bounds[0, 0] >= cursor]
        if not behind:
            return []
        runs.append((behind[0], offset + core.index(line, begin)))
        cursor = int(behind[0][-1, 1])
    return runs if len(runs) > 1 else []


def _place(bounds: np.ndarray, path: Path, offset: int) -> Placed:
    begin, end = int(bounds[0, 0]), int(bounds[-1, 1])
    return Placed(begin, end, path, offset, None if end - begin == len(bounds) else bounds)


def aligned(field: str, written: str) -> np.ndarray | None:
    """The characters `[start, end)` of `written` that a template made from each character of a field, int64 `[n, 2]`.

    None if the two differ too much, or if they are too long to be aligned.
    """
    if len(field) * len(written) > _MOST_ALIGNED:
        return None
    matcher = SequenceMatcher(None, field, written, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return None
    bounds = np.zeros((len(field), 2), dtype=np.int64)
    for kind, a, b, c, d in matcher.get_opcodes():
        bounds[a:b] = np.stack([np.arange(c, d), np.arange(c, d) + 1], axis=1) if kind == "equal" else (c, d)
    return bounds


def carried(rendered: str, pieces: Sequence[Piece], text: str) -> list[Piece]:
    """The pieces of a rendering, moved to another rendering of the same row. Pieces outside common parts are lost."""
    if len(rendered) * len(text) > _MOST_ALIGNED:
        return []
    blocks = SequenceMatcher(None, rendered, text, autojunk=False).get_matching_blocks()
    moved = []
    for piece in pieces:
        shift = next((b - a for a, b, size in blocks if a <= piece.start and piece.end <= a + size), None)
        if shift is not None:
            moved.append(piece._replace(start=piece.start + shift, end=piece.end + shift))
    return moved
