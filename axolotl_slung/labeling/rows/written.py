"""Columns of spans in the form in which the `spans` labeler reads them."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ..base import Span
from .columns import json_strings, parts, pointer_to
from .fields import Key, Layout, Path
from .found import Found
from .json_text import with_members, with_string


def columns_of(row: Mapping, found: Found, names: Sequence[str], layout: Layout, text_field: str | None) -> dict:
    """The columns of spans of one row: one for the row, and one for each of its messages.

    Args:
        row: a row of the data set. Its JSON is not parsed.
        found: the spans of its fields, by their paths in `layout.parsed(row)`.
        names: the labelers' names. Each column has a list for each of them.
        layout: the layout of the rows.
        text_field: the row's text, or that of each message. None if a row has several texts.

    Returns:
        For the path of each mapping that gets a column, labelers' names to lists of entries, see `entry`. Under JSON
        pointers to other texts than its own, it has mappings of the same form.
    """
    opened = layout.opened(row)
    messages = opened.get(layout.messages) if layout.messages else None
    holders: list[Path] = [()]
    if isinstance(messages, (list, tuple)):
        holders += [(str(layout.messages), n) for n, message in enumerate(messages) if isinstance(message, Mapping)]
    own = {holder for holder in holders if (bool(holder) or layout.messages is None) and text_field is not None}
    columns: dict[Path, dict[str, Any]] = {
        holder: {name: [] for name in names} if holder in own else {} for holder in holders
    }
    edges: dict[Path, set[int]] = {}  # where a message's later parts begin
    for path, spans in found.items():
        if not spans:
            continue
        holder = path[:2] if layout.is_message(path[:2]) else ()
        place, counted = _counted(opened, path, spans)
        rest = place[len(holder) :]
        column = columns[holder]
        if holder in own and rest[0] == text_field and (first := _offset(_at(opened, holder), rest)) is not None:
            counted = [span._replace(start=span.start + first, end=span.end + first) for span in counted]
            edges.setdefault(holder, set()).add(first)
        else:
            column = column.setdefault(pointer_to(rest), {})
        for span in counted:
            column.setdefault(span.labeler, []).append(entry(span))
    for holder, column in columns.items():
        for name, spans in column.items():
            if isinstance(spans, list):
                column[name] = _joined(spans, edges.get(holder, ()))
            else:
                column[name] = {labeler: _joined(of_text, ()) for labeler, of_text in spans.items()}
    return columns


def entry(span: Span) -> list:
    """A span in a column: `[start, end, score]`, and its kind if it has one."""
    return [span.start, span.end, span.score, *([span.kind] if span.kind else [])]


def with_columns(raw: str, row: Mapping, columns: Mapping[Path, Mapping], field: str, layout: Layout) -> str:
    """A row as JSON, with columns of spans. All other characters stay as they are, unless the row had such a column.

    Args:
        raw: the row as JSON.
        row: the same row.
        columns: see `columns_of`.
        field: the name of the columns.
        layout: the layout of the rows.
    """
    # a JSON string, not a list: Arrow's JSON reader types a column of empty lists differently, and fails at the first
    # list that is not empty
    values = {path: (field, json.dumps(column, separators=(",", ":"))) for path, column in columns.items()}
    written = row.get(layout.messages) if layout.messages else None
    messages: Any = json.loads(written) if isinstance(written, str) else written
    has_column = [field in messages[path[1]] for path in columns if path]
    if field in row or any(has_column):
        row = _without_own(row, field)
        if any(has_column):
            messages = _without(messages, field)
            row[layout.messages] = _dumped(messages) if isinstance(written, str) else messages
        raw = _dumped(row)
    if isinstance(written, str):
        inner = {path[1:]: member for path, member in values.items() if path}
        raw = with_string(raw, (str(layout.messages),), with_members(row[layout.messages], inner))
        values = {(): values[()]}
    return with_members(raw, values)


def _joined(spans: Sequence[Sequence], edges: Container[int]) -> list[list]:
    """The spans in order, without repetitions. One that goes on at an edge is one span, as it was found."""
    joined: list[list] = []
    for start, end, *rest in sorted(set(map(tuple, spans))):
        if joined and start in edges and joined[-1][1:] == [start, *rest]:
            joined[-1][1] = end
        else:
            joined.append([start, end, *rest])
    return joined


def _counted(row: Mapping, path: Path, spans: Iterable[Span]) -> tuple[Path, list[Span]]:
    """The path of the string of an unparsed row that has a field, and the field's spans in this string."""
    value: Any = row
    for depth, step in enumerate(path):
        if isinstance(value, str):
            bounds = dict(json_strings(value))[path[depth:]]
            return path[:depth], [
                s._replace(start=int(bounds[s.start, 0]), end=int(bounds[s.end - 1, 1])) for s in spans
            ]
        if not isinstance(step, Key):
            value = value[step]
    return path, list(spans)


def _offset(holder: Mapping, rest: Path) -> int | None:
    """The characters before a text in the holder's own text, which may be joined from parts. None if it is not in it."""
    if len(rest) == 1:
        return 0
    length = 0
    for path, text, _ in parts(holder[rest[0]], (rest[0],)):
        if path == rest:
            return length
        length += len(text)
    return None


def _at(row: Mapping, path: Path) -> Any:
    value: Any = row
    for step in path:
        value = value[step]
    return value


def _without_own(row: Mapping, field: str) -> dict:
    return {key: value for key, value in row.items() if key != field}


def _without(messages: Sequence, field: str) -> list:
    return [_without_own(message, field) if isinstance(message, Mapping) else message for message in messages]


def _dumped(value: Mapping | Sequence) -> str:
    return json.dumps(value, ensure_ascii=False)
