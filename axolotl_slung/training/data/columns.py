"""Columns of spans: which text of a row each column describes, and which fields that text consists of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...labeling.base import Span
from ...labeling.text.escapes import unescaped
from .fields import Key, Layout, Path

_TOKEN = re.compile(r'[{}\[\],]|"(?:[^"\\]|\\.)*+"', re.DOTALL)


class Described(NamedTuple):
    """A text that a column of spans describes.

    Attributes:
        path: the place of the text in the row.
        text: the characters that the column's spans count.
        row: the row's columns, overridden by the keys of the mapping that holds the text.
        fields: the fields that the text consists of. Each comes with the text's characters `[start, end)` for each
            character of the field, int64 `[n, 2]`.
    """

    path: Path
    text: str
    row: dict
    fields: list[tuple[Path, np.ndarray]]


def described(row: Mapping, name: str, column: str | None, layout: Layout, anywhere: bool) -> Iterator[Described]:
    """The texts under the key `name`.

    A message's content may be a list of parts. The parts, joined, are one text. A part that has the column itself is a
    text of its own. The arguments of a tool call in a JSON string are one text. Its fields are the strings in the JSON.

    Args:
        row: a row of the data set. The JSON of its messages is parsed, the JSON of their arguments is not.
        name: the key of the text.
        column: the key of the spans, or None if the labeler has none.
        layout: the layout of the rows.
        anywhere: whether the key may be at any depth. If not, only the row and its messages may have it.
    """

    def walk(value, path):
        if isinstance(value, Mapping):
            if name in value and (anywhere or not path or layout.is_message(path)):
                yield from of_holder(value, path)
            for key, inner in value.items():
                yield from walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from walk(inner, (*path, index))

    def of_holder(holder, path):
        value, path, beside = holder[name], (*path, name), {**row, **holder}
        if isinstance(value, str):
            strings = list(_json_strings(value)) if name in ("arguments", "parameters") else []
            fields = [((*path, *inner), bounds) for inner, bounds in strings] or [(path, same(len(value)))]
            yield Described(path, value, beside, fields)
        elif isinstance(value, (list, tuple)):
            found = list(parts(value, path))
            own = [part for part in found if column and part[2].get(column) is not None]
            for of_part, text, part in own:
                yield Described(of_part, text, {**row, **part}, [(of_part, same(len(text)))])
            if found and (not own or holder.get(column) is not None):
                starts, length = [], 0
                for of_part, text, _ in found:
                    starts.append((of_part, same(len(text)) + length))
                    length += len(text)
                yield Described(path, "".join(text for _, text, _ in found), beside, starts)

    return walk(row, ())


def parts(value: Any, path: Path) -> Iterator[tuple[Path, str, Mapping]]:
    """The texts of a list of content parts: `(path, text, part)`. The key is the one that Axolotl reads."""
    for index, part in enumerate(value):
        if isinstance(part, Mapping):
            key = next((key for key in ("text", "content", "value") if part.get(key)), None)
            if key and isinstance(part[key], str):
                yield (*path, index, key), part[key], part


def within(bounds: np.ndarray, spans: Sequence[Span]) -> list[Span]:
    """The spans of a text as spans of one of its fields. Spans that do not touch the field are left out.

    Args:
        bounds: for each character of the field, the text's characters `[start, end)`, int64 `[n, 2]`.
        spans: the spans of the text.
    """
    found = []
    for span in spans:
        (touched,) = np.nonzero((bounds[:, 0] < span.end) & (bounds[:, 1] > span.start))
        if len(touched):
            found.append(span._replace(start=int(touched[0]), end=int(touched[-1]) + 1))
    return found


def same(length: int) -> np.ndarray:
    """The bounds of a text's own characters: `[i, i + 1)` for each i, int64 `[length, 2]`."""
    places = np.arange(length)
    return np.stack([places, places + 1], axis=1)


def _json_strings(source: str) -> Iterator[tuple[Path, np.ndarray]]:
    """The keys and string values of a JSON list or mapping: `(path, bounds)`, bounds in characters of the source."""
    try:
        if not isinstance(json.loads(source), (list, dict)):
            return
    except (ValueError, RecursionError):
        return
    frames: list[list] = []  # the current key or index of each open list and mapping; None before a key
    for token in _TOKEN.finditer(source):
        sign = token[0]
        if sign in "{[":
            frames.append([0 if sign == "[" else None, sign])
        elif sign in "}]":
            frames.pop()
        elif sign == ",":
            frames[-1][0] = frames[-1][0] + 1 if frames[-1][1] == "[" else None
        else:
            text, path = json.loads(sign), tuple(frame[0] for frame in frames)
            if frames[-1][0] is None:
                frames[-1][0] = text
                path = (*path[:-1], Key(text))
            if text:
                yield path, _bounds(sign[1:-1]) + token.start() + 1


def _bounds(escaped: str) -> np.ndarray:
    view = next(unescaped(escaped, ("backslash",), 1), None)
    return same(len(escaped)) if view is None else np.stack([view.starts, view.ends], axis=1)


def without_text(row: Mapping, column: str, found: list[Described]) -> Path | None:
    """The path of a column whose spans describe none of the texts found, or None if there is no such column."""
    used = {one.path[:-1] if _own(row, one.path, column) else () for one in found}

    def walk(value, path):
        if isinstance(value, Mapping):
            if value.get(column) and path not in used and value[column] not in ("[]", "{}"):
                yield (*path, column)
            for key, inner in value.items():
                if key != column:
                    yield from walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from walk(inner, (*path, index))

    return next(walk(row, ()), None)


def _own(row: Mapping, path: Path, column: str) -> bool:
    """Whether the mapping that holds a text has the column itself. It then replaces the row's column."""
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return column in holder
