"""Strings that remember which field of a row their characters come from.

A template compares the text of a row, searches it for tags and cuts it. It must see the exact text, so nothing is added
to the text. A tracked string behaves like the plain string until `str()`, `format` or a template writes it into a
prompt. Only the written text has marks around it. `unmark` removes the marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

# Unicode noncharacters: never part of interchanged text, and not changed by templates
_OPEN, _CLOSE, _BETWEEN = "\ufdd0", "\ufdd1", "\ufddc"
_DIGITS = "\ufdd2\ufdd3\ufdd4\ufdd5\ufdd6\ufdd7\ufdd8\ufdd9\ufdda\ufddb"
_TO_DIGITS = str.maketrans("0123456789", _DIGITS)
_FROM_DIGITS = str.maketrans(_DIGITS, "0123456789")
_MARKED = re.compile(f"{_OPEN}([{_DIGITS}]+){_BETWEEN}([{_DIGITS}]+){_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
# json.dumps and repr write the marks as escapes
_ESCAPED = re.compile(r"(?<!\\)\\+u(fdd[0-9a-c])")
MARKS = re.compile(f"[{_OPEN}-{_BETWEEN}]")
"""Characters that a tracked text must not contain."""


class Piece(NamedTuple):
    """Characters `[start, end)` of a string that come from field number `field`, from its character `offset` on."""

    start: int
    end: int
    field: int
    offset: int


class Tracked(str):
    """A string that knows the origin of its characters.

    Slices, stripped and split parts, sums, replacements and changes of case that keep the length stay tracked. Any
    other operation gives a plain string. Its place must be found in another way.

    Attributes:
        pieces: in ascending order, without overlap. Characters outside the pieces come from no field.
    """

    pieces: tuple[Piece, ...]

    # written into a prompt

    def __str__(self) -> str:
        out, last = [], 0
        for start, end, field, offset in self.pieces:
            out += [
                str.__getitem__(self, slice(last, start)),
                mark(str.__getitem__(self, slice(start, end)), field, offset),
            ]
            last = end
        return "".join([*out, str.__getitem__(self, slice(last, None))])

    def __format__(self, specification: str) -> str:
        return str(self) if not specification else format(plain(self), specification)

    def __repr__(self) -> str:
        written = str.__repr__(self)
        if len(self.pieces) != 1 or self.pieces[0][:2] != (0, len(self)):
            return written
        return f"{written[0]}{mark(written[1:-1], *self.pieces[0][2:])}{written[-1]}"

    # parts

    def _part(self, start: int, end: int) -> Tracked:
        kept = [
            Piece(max(p.start, start) - start, min(p.end, end) - start, p.field, p.offset + max(start - p.start, 0))
            for p in self.pieces
            if p.start < end and p.end > start
        ]
        return _tracked(str.__getitem__(self, slice(start, end)), kept)

    def __getitem__(self, key):
        if not isinstance(key, slice):
            key = range(len(self))[key]
            return self._part(key, key + 1)
        start, end, step = key.indices(len(self))
        return self._part(start, max(start, end)) if step == 1 else str.__getitem__(self, key)

    def __iter__(self) -> Iterator[Tracked]:
        return (self._part(index, index + 1) for index in range(len(self)))

    def lstrip(self, chars: str | None = None) -> Tracked:
        return self._part(len(self) - len(str.lstrip(self, chars)), len(self))

    def rstrip(self, chars: str | None = None) -> Tracked:
        return self._part(0, len(str.rstrip(self, chars)))

    def strip(self, chars: str | None = None) -> Tracked:
        return self.lstrip(chars).rstrip(chars)

    def removeprefix(self, prefix: str) -> Tracked:
        return self._part(len(self) - len(str.removeprefix(self, prefix)), len(self))

    def removesuffix(self, suffix: str) -> Tracked:
        return self._part(0, len(str.removesuffix(self, suffix)))

    def _found(self, parts) -> list[Tracked]:
        """`parts` as tracked parts of the string. They must occur in it one after the other."""
        found, last = [], 0
        for part in parts:
            start = str.index(self, part, last)
            last = start + len(part)
            found.append(self._part(start, last))
        return found

    def split(self, sep: str | None = None, maxsplit: int = -1) -> list[Tracked]:
        return self._between(sep, str.split(self, sep, maxsplit))

    def rsplit(self, sep: str | None = None, maxsplit: int = -1) -> list[Tracked]:
        return self._between(sep, str.rsplit(self, sep, maxsplit))

    def _between(self, sep, parts) -> list[Tracked]:
        if sep is None:
            return self._found(parts)
        found, start = [], 0
        for part in parts:
            found.append(self._part(start, start + len(part)))
            start += len(part) + len(sep)
        return found

    def splitlines(self, keepends: bool = False) -> list[Tracked]:
        lines = self._found(str.splitlines(self, keepends=True))
        ends = str.splitlines(self)
        return lines if keepends else [line._part(0, len(end)) for line, end in zip(lines, ends)]

    def partition(self, sep: str) -> tuple:
        return self._three(str.partition(self, sep))

    def rpartition(self, sep: str) -> tuple:
        return self._three(str.rpartition(self, sep))

    def _three(self, parts) -> tuple:
        bounds = (0, len(parts[0]), len(parts[0]) + len(parts[1]), len(self))
        return tuple(self._part(start, end) for start, end in pairwise(bounds))

    # other strings made of it

    def __add__(self, other):
        return joined([self, other]) if isinstance(other, str) else NotImplemented

    def __radd__(self, other):
        return joined([other, self]) if isinstance(other, str) else NotImplemented

    def replace(self, old: str, new: str, count: int = -1) -> str:
        if not old:
            return str.replace(self, old, new, count)
        parts = self.split(old, count)
        return joined([piece for part in parts for piece in (part, new)][:-1])

    def _same_length(self, changed: str) -> str:
        return _tracked(changed, self.pieces) if len(changed) == len(self) else changed

    def upper(self) -> str:
        return self._same_length(str.upper(self))

    def lower(self) -> str:
        return self._same_length(str.lower(self))

    def casefold(self) -> str:
        return self._same_length(str.casefold(self))

    def capitalize(self) -> str:
        return self._same_length(str.capitalize(self))

    def title(self) -> str:
        return self._same_length(str.title(self))

    def swapcase(self) -> str:
        return self._same_length(str.swapcase(self))

    def translate(self, table: Any) -> str:
        return self._same_length(str.translate(self, table))

    # rows are copied

    def __copy__(self) -> Tracked:
        return self

    def __deepcopy__(self, _memo) -> Tracked:
        return self

    def __reduce__(self):
        return _tracked, (plain(self), self.pieces)


def track(text: str, field: int) -> Tracked:
    """A whole field as a tracked string."""
    return _tracked(text, [Piece(0, len(text), field, 0)] if text else [])


def plain(text: str) -> str:
    """The text of a tracked string, without marks."""
    return str.__str__(text)


def again(value: Any) -> Any:
    """A plain string with marks in it, as a tracked string. Any other value is returned unchanged."""
    if type(value) is not str or _OPEN not in value:
        return value
    return _tracked(*unmark(value))


def written(value: Any, sort_keys: bool = False) -> Any:
    """A value to serialize: its tracked strings are written with marks. `sort_keys` sorts keys by their text."""
    if isinstance(value, Tracked):
        return str(value)
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0]) if sort_keys else value.items()
        return {written(key): written(inner, sort_keys) for key, inner in items}
    if isinstance(value, (list, tuple)):
        return [written(inner, sort_keys) for inner in value]
    return value


def mark(text: str, field: int, offset: int) -> str:
    """`text` between marks that give its origin: character `offset` of field number `field`."""
    return f"{_OPEN}{_number(field)}{_BETWEEN}{_number(offset)}{_OPEN}{text}{_CLOSE}"


def unmark(text: str, escaped: bool = False) -> tuple[str, list[Piece]]:
    """A prompt without its marks, and the pieces of it that come from fields.

    Args:
        text: the prompt that a template wrote.
        escaped: whether the marks may have been escaped together with the text.
    """
    if escaped:
        text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    out, pieces, length, last = [], [], 0, 0
    for marked in _MARKED.finditer(text):
        out += [text[last : marked.start()], marked[3]]
        start = length + marked.start() - last
        length = start + len(marked[3])
        last = marked.end()
        if marked[3]:
            pieces.append(Piece(start, length, *(int(marked[i].translate(_FROM_DIGITS)) for i in (1, 2))))
    return "".join([*out, text[last:]]), pieces


@lru_cache(1 << 12)
def _number(number: int) -> str:
    return str(number).translate(_TO_DIGITS)


def _tracked(text: str, pieces) -> Tracked:
    made = str.__new__(Tracked, text)
    made.pieces = tuple(pieces)
    return made


def joined(parts: Iterable[str]) -> Tracked:
    """Strings, joined. The result is tracked where they are; `"".join` would give a plain string."""
    parts, pieces, length = list(parts), [], 0
    for part in parts:
        if isinstance(part, Tracked):
            pieces += [Piece(p.start + length, p.end + length, p.field, p.offset) for p in part.pieces]
        length += len(part)
    return _tracked("".join(parts), pieces)
