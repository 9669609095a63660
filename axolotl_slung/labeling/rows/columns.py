"""Columns of spans: which text of a row each column describes, and which fields that text consists of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..base import LabelerError, Span
from ..spans import by_pointer
from ..text.escapes import unescaped
from .fields import Key, Layout, Path, get, spelled
from .json_text import json_places


class Described(NamedTuple):
    """A text that a column of spans describes.

    Attributes:
        holder: the place of the mapping that has the column.
        text: the characters that the column's spans count.
        row: the row's columns, overridden by the keys of the mapping that holds the text. The column has only the
            spans of this text.
        fields: the fields that the text consists of. Each comes with the text's characters `[start, end)` for each
            character of the field, int64 `[n, 2]`.
        pointed: whether a JSON pointer names the text.
    """

    holder: Path
    text: str
    row: dict
    fields: list[tuple[Path, np.ndarray]]
    pointed: bool = False


def described(
    row: Mapping, name: str | None, column: str | None, layout: Layout, anywhere: bool
) -> Iterator[Described]:
    """The texts under the key `name`, and those that JSON pointers in the columns name.

    A message's content may be a list of parts. The parts, joined, are one text. A part that has the column itself is a
    text of its own. The arguments of a tool call in a JSON string are one text. Its fields are the strings in the JSON.

    Args:
        row: a row of the data set. The JSON of its messages is parsed, the JSON of their arguments is not.
        name: the key of the text. None if no key is the text: then only pointers name texts.
        column: the key of the spans, or None if the labeler has none.
        layout: the layout of the rows.
        anywhere: whether the key may be at any depth. If not, only the row and its messages may have it.

    Raises:
        LabelerError: a pointer leads to no text, or the row has spans but `name` is None.
    """

    def walk(value, path):
        if isinstance(value, Mapping):
            if name in value and (anywhere or not path or layout.is_message(path)):
                yield from of_holder(value, path)
            if column in value and (not path or layout.is_message(path)):
                yield from of_pointers(value, path)
            for key, inner in value.items():
                yield from walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from walk(inner, (*path, index))

    def of_holder(holder, at):
        path: Path = (*at, str(name))
        value, beside = holder[name], {**row, **holder}
        at = at if column in holder else ()
        if isinstance(value, str):
            strings = list(json_strings(value)) if name in JSON_KEYS else []
            fields = [((*path, *inner), bounds) for inner, bounds in strings] or [(path, same(len(value)))]
            yield Described(at, value, beside, fields)
        elif isinstance(value, (list, tuple)):
            found = list(parts(value, path))
            own = [part for part in found if column and part[2].get(column) is not None]
            for of_part, text, part in own:
                yield Described(of_part[:-1], text, {**row, **part}, [(of_part, same(len(text)))])
            if found and (not own or holder.get(column) is not None):
                starts, length = [], 0
                for of_part, text, _ in found:
                    starts.append((of_part, same(len(text)) + length))
                    length += len(text)
                yield Described(at, "".join(text for _, text, _ in found), beside, starts)

    def of_pointers(holder, at):
        own, pointed = by_pointer(holder[column])
        if own and name is None:
            raise LabelerError(
                f"not set: a data set of this type has several texts; name the column whose characters {column!r} "
                "counts"
            )
        for pointer, spans in pointed.items():
            inner = resolved(holder, pointer)
            if inner is None:
                raise LabelerError(
                    f"{spelled((*at, str(column)))}: a JSON pointer in it leads to no text; fix or remove it"
                )
            path, text = (*at, *inner), get(holder, inner)
            strings = list(json_strings(text)) if inner[-1] in JSON_KEYS else []
            fields = [((*path, *deeper), bounds) for deeper, bounds in strings] or [(path, same(len(text)))]
            yield Described(at, text, {**row, **holder, column: spans}, fields, pointed=True)

    return walk(row, ())


JSON_KEYS = ("arguments", "parameters")
"""Keys of strings that are JSON to chat templates."""


def pointer_to(path: Path) -> str:
    """The JSON pointer (RFC 6901) to a path. One to the name of a member ends in `#`, as relative pointers do."""
    steps = [str(step.name if isinstance(step, Key) else step) for step in path]
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1").replace("#", "~2") for step in steps)
    return pointer + "#" * isinstance(path[-1], Key)


def resolved(holder: Mapping, pointer: str) -> Path | None:
    """The path of the string that a pointer of `pointer_to` leads to, or None."""
    steps = [
        step.replace("~2", "#").replace("~1", "/").replace("~0", "~")
        for step in pointer.removesuffix("#").split("/")[1:]
    ]
    path: list = []
    value: Any = holder
    for depth, step in enumerate(steps):
        if isinstance(value, Mapping) and step in value:
            if pointer.endswith("#") and depth == len(steps) - 1:
                return (*path, Key(step))
            value = value[step]
            path.append(step)
        elif isinstance(value, (list, tuple)) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
            path.append(int(step))
        else:
            return None
    return tuple(path) if isinstance(value, str) and not pointer.endswith("#") else None


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


def json_strings(source: str) -> Iterator[tuple[Path, np.ndarray]]:
    """The keys and string values of a JSON list or mapping: `(path, bounds)`, bounds in characters of the source.

    Yields nothing for a text that is not such JSON.
    """
    try:
        if not isinstance(json.loads(source), (list, dict)):
            return
    except (ValueError, RecursionError):
        return
    for path, start, end in json_places(source):
        if source[start] == '"' and end - start > 2:
            yield path, _bounds(source[start + 1 : end - 1]) + start + 1


def _bounds(escaped: str) -> np.ndarray:
    view = next(unescaped(escaped, ("backslash",), 1), None)
    return same(len(escaped)) if view is None else np.stack([view.starts, view.ends], axis=1)


def without_text(row: Mapping, column: str, found: list[Described]) -> Path | None:
    """The path of a column whose spans describe none of the texts found, or None if there is no such column."""
    used = {one.holder for one in found}

    def holds(value):
        own = by_pointer(value)[0]
        return bool(own) or own == 0  # 0 is a weight

    def walk(value, path):
        if isinstance(value, Mapping):
            if column in value and path not in used and holds(value[column]):
                yield (*path, column)
            for key, inner in value.items():
                if key != column:
                    yield from walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                yield from walk(inner, (*path, index))

    return next(walk(row, ()), None)
