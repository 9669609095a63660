"""The weights that rows bring along in a column, for the fields of their texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ...errors import few
from ..base import LabelerError, RowError
from ..spans import SpansLabeler, by_pointer
from ..weights import of_runs, parse_weights, runs
from .columns import Described, described, within, without_text
from .fields import Layout, Path, get, spelled, texts_of_chat

Weights = dict[Path, np.ndarray]
"""For each field with a weight other than 1, the weight of each of its characters, float64 `[characters]`."""


def weights_in_columns(
    labeler: SpansLabeler, rows: Sequence[Mapping], layout: Layout, text_field: str | None
) -> tuple[list[Weights], list[set[Path]]]:
    """The weights that a labeler reads from the rows.

    A number of a message is for all its texts, and a number of a chat's row for all its messages. Where several weights
    apply, they are multiplied.

    Args:
        labeler: one with a `weights_field`.
        rows: rows of the data set, whose JSON is not parsed.
        layout: the layout of the rows.
        text_field: the text that a row's or message's weights count; None if a row has several texts.

    Returns:
        For each row the weights of the fields that its columns describe, and the fields that a JSON pointer names.

    Raises:
        RowError: the weights of some rows do not fit.
    """
    key, column = f"{labeler.key}.weights_field", str(labeler.weights_field)
    name = labeler.text_field or text_field
    anywhere = labeler.text_field is not None or layout.messages is None
    of_rows: list[Weights] = [{} for _ in rows]
    pointed: list[set[Path]] = [set() for _ in rows]
    problems: dict[int, str] = {}
    for number, row in enumerate(rows):
        try:
            opened = layout.opened(row)
            if not _has(opened, column, layout):
                raise LabelerError(
                    f"has no {column!r}; choose one of {few(row)}, or add it, with null for the weight 1"
                )
            of_whole, opened = _without_numbers(opened, column, layout)
            for one in _texts(opened, name, column, layout, anywhere):
                weights = labeler.weights(one.text, {column: None, **one.row})
                if weights is None:
                    continue
                for path, bounds in one.fields:
                    of_field = of_runs(len(bounds), within(bounds, runs(weights)))
                    of_rows[number][path] = of_rows[number].get(path, 1.0) * of_field
                    if one.pointed:
                        pointed[number].add(path)
            parsed = layout.parsed(row) if of_whole else {}
            texts = texts_of_chat(parsed, layout, {column, labeler.field}) if of_whole else ()
            for holder, value in of_whole:
                for path in (path for path in texts if path[: len(holder)] == holder):
                    weights = parse_weights(value, get(parsed, path), f"{column!r}")
                    if weights is not None:
                        of_rows[number][path] = of_rows[number].get(path, 1.0) * weights
                        if path[2:3] != (name,):
                            pointed[number].add(path)  # a template need not write it
        except LabelerError as error:
            problems[number] = str(error)
        except RecursionError:
            problems[number] = "its lists and mappings are nested too deeply; remove the row"
    if problems:
        raise RowError(key, problems)
    return of_rows, pointed


def _texts(row: Mapping, name: str | None, column: str, layout: Layout, anywhere: bool) -> Iterator[Described]:
    """The texts that a row's weights describe. The `row` of each has its weights in the column, or None."""
    if name is None and not _empty(by_pointer(row.get(column))[0]):
        raise LabelerError(
            "a data set of this type has several texts; set `text_field` to the column whose characters the weights count"
        )
    if layout.messages is not None and not _empty(by_pointer(row.get(column))[0]):
        raise LabelerError(
            f"{column!r} of a chat's row: expected one number for all its messages; write spans into the messages"
        )
    found = list(described(row, name, column, layout, anywhere))
    # ranges of characters to train have weights of their own
    if missed := without_text(layout.without(row, (layout.ranges,)), column, found):
        raise LabelerError(
            f"{spelled(missed)}: these weights have no text {name!r}; name the key of their text, or remove the weights"
        )
    yield from found


def _without_numbers(row: Mapping, column: str, layout: Layout) -> tuple[list[tuple[Path, Any]], Mapping]:
    """The numbers of a chat and of its messages, with the paths of those that have them; and the row without them."""
    numbers: list[tuple[Path, Any]] = []

    def without(holder, path):
        own = by_pointer(holder[column])[0] if isinstance(holder, Mapping) and column in holder else None
        if not isinstance(own, Real):
            return holder
        numbers.append((path, own))
        return {**holder, column: None}

    if layout.messages is None:
        return numbers, row
    row, key = without(row, ()), str(layout.messages)
    if isinstance(row.get(key), (list, tuple)):
        row = {**row, key: [without(message, (key, place)) for place, message in enumerate(row[key])]}
    return numbers, row


def _has(row: Mapping, column: str, layout: Layout) -> bool:
    """Whether a row, one of its messages or one of their content parts has the column."""
    messages = row.get(layout.messages) if layout.messages else None
    holders: list[Any] = [row]
    for message in messages if isinstance(messages, (list, tuple)) else ():
        holders.append(message)
        for value in message.values() if isinstance(message, Mapping) else ():
            holders += value if isinstance(value, (list, tuple)) else ()
    if layout.messages is None:
        return any(column in holder for holder in _mappings(row))
    return any(isinstance(holder, Mapping) and column in holder for holder in holders)


def _mappings(value: Any) -> Iterator[Mapping]:
    if isinstance(value, Mapping):
        yield value
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ():
        yield from _mappings(inner)


def _empty(value: Any) -> bool:
    """Whether a column holds no weights. 0 is a weight."""
    return value is None or (hasattr(value, "__len__") and len(value) == 0)
