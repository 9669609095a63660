"""Columns of spans: which text of a row each of them is about, and which fields that text is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .fields import Layout, Path


class Described(NamedTuple):
    """A text that a column beside it describes.

    Attributes:
        path: of the text in the row.
        text: the characters that the column counts.
        row: the row's columns, and over them the keys of the mapping that holds the text.
        fields: the fields that the text is made of, each with the text's character that it begins at.
    """

    path: Path
    text: str
    row: dict
    fields: list[tuple[Path, int]]


def described(row: Mapping, name: str, column: str | None, layout: Layout, anywhere: bool) -> Iterator[Described]:
    """The texts under the key `name`.

    A message's content that is a list of parts is one text, the parts in a row; where the parts have the column, each part
    is a text of its own.

    Args:
        row: of the data set.
        name: the key of the text.
        column: the key of the spans, where the labeler has one.
        layout: of the rows.
        anywhere: whether the key may stand at any depth, in place of the row and its messages alone.
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
            yield Described(path, value, beside, [(path, 0)])
        elif isinstance(value, (list, tuple)):
            found = list(parts(value, path))
            own = [part for part in found if column and part[2].get(column) is not None]
            for of_part, text, part in own:
                yield Described(of_part, text, {**row, **part}, [(of_part, 0)])
            if found and (not own or holder.get(column) is not None):
                starts, length = [], 0
                for of_part, text, _ in found:
                    starts.append((of_part, length))
                    length += len(text)
                yield Described(path, "".join(text for _, text, _ in found), beside, starts)

    return walk(row, ())


def parts(value, path) -> Iterator[tuple[Path, str, Mapping]]:
    """The texts of a list of content parts, by the keys that Axolotl reads them from."""
    for index, part in enumerate(value):
        if isinstance(part, Mapping):
            key = next((key for key in ("text", "content", "value") if part.get(key)), None)
            if key and isinstance(part[key], str):
                yield (*path, index, key), part[key], part


def without_text(row: Mapping, column: str, found: list[Described]) -> Path | None:
    """Where a column has spans that none of the texts found is described by; None where there is no such place."""
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
    """Whether the mapping that holds a text has a column of its own, in place of the row's."""
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return column in holder
