"""The strings of a data set's row, and where they come to stand in a rendered prompt.

A prompt is made by templates that this package knows nothing of. To learn exactly where each string of the row
went, the row is rendered a second time with invisible marks around its strings; taking the marks out again must
give the very same prompt, or the marks are not believed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Path = tuple[str | int, ...]

# Unicode noncharacters: never part of interchanged text, and left alone by templates
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_DIGITS = "\ufdd2\ufdd3\ufdd4\ufdd5\ufdd6\ufdd7\ufdd8\ufdd9\ufdda\ufddb"
_MARK = re.compile(f"{_OPEN}([{_DIGITS}]+){_OPEN}|{_CLOSE}")
_ANY_MARK = re.compile(f"[{_OPEN}{_CLOSE}{_DIGITS}]")

# strings that templates and strategies compare with, instead of writing them into the prompt
_CONTROL_KEYS = frozenset({"role", "from", "type", "id", "tool_call_id"})


class Placed(NamedTuple):
    """A field's text at `[start, end)` of a rendered prompt, from character `offset` of the field on."""

    start: int
    end: int
    path: Path
    offset: int


def strings(row: Mapping, skip: frozenset = _CONTROL_KEYS) -> Iterator[tuple[Path, str]]:
    """All strings of a row, with the keys and indices that lead to them."""

    def walk(value, path):
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if key not in skip:
                    yield from walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from walk(inner, (*path, index))

    yield from walk(row, ())


def get(row: Mapping, path: Path):
    """The value at `path`."""
    for key in path:
        row = row[key]
    return row


def replaced(row: Mapping, texts: Mapping[Path, str]) -> dict:
    """A copy of `row` with other strings at the given paths."""
    row = copy.deepcopy(dict(row))
    for path, text in texts.items():
        get(row, path[:-1])[path[-1]] = text
    return row


def surroundings(row: Mapping, path: Path) -> dict:
    """The row's columns, and over them the keys of the mapping (a chat message) that holds the string."""
    holder = get(row, path[:-1])
    return {**row, **holder} if isinstance(holder, Mapping) else dict(row)


def marked(row: Mapping, fields: Mapping[Path, str]) -> dict | None:
    """The row with marks around the given strings, or None where the text itself holds such characters."""
    if any(_ANY_MARK.search(text) for text in fields.values()):
        return None
    marks = {}
    for index, (path, text) in enumerate(fields.items()):
        # inside the surrounding white space, which templates like to trim
        core = text.strip()
        if core:
            number = "".join(_DIGITS[int(digit)] for digit in str(index))
            lead = text[: len(text) - len(text.lstrip())]
            trail = text[len(text.rstrip()) :]
            marks[path] = f"{lead}{_OPEN}{number}{_OPEN}{core}{_CLOSE}{trail}"
    return replaced(row, marks)


def unmark(text: str, fields: Mapping[Path, str]) -> tuple[str, list[Placed]] | None:
    """A marked prompt without its marks, and where the fields stand in it.

    Returns:
        None where the marks do not come in whole pairs around whole fields: a template has cut into them.
    """
    paths = list(fields)
    plain, placed, length, last = [], [], 0, 0
    opened = None
    for mark in _MARK.finditer(text):
        piece = text[last : mark.start()]
        plain.append(piece)
        length += len(piece)
        last = mark.end()
        if mark.group(1) is not None:
            if opened is not None:
                return None
            opened = (int("".join(str(_DIGITS.index(d)) for d in mark.group(1))), length)
        else:
            if opened is None:
                return None
            path = paths[opened[0]]
            if piece != fields[path].strip():
                return None
            offset = len(fields[path]) - len(fields[path].lstrip())
            placed.append(Placed(opened[1], length, path, offset))
            opened = None
    plain.append(text[last:])
    whole = "".join(plain)
    if opened is not None or _ANY_MARK.search(whole):
        return None
    return whole, [_with_white_space(place, fields[place.path], whole) for place in placed]


def _with_white_space(place: Placed, field: str, text: str) -> Placed:
    """The place, widened by the field's surrounding white space where the template kept it."""
    start, end = place.start - place.offset, place.start - place.offset + len(field)
    return Placed(start, end, place.path, 0) if start >= 0 and text[start:end] == field else place
