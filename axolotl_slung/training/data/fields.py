"""The strings of a data set's row, and where they come to stand in a rendered prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...labeling.base import Span


class Key(NamedTuple):
    """The end of a path that leads to a mapping's key, in place of a value."""

    name: str


Path = tuple[str | int | Key, ...]


class Placed(NamedTuple):
    """A field's characters, from `offset` on, at `[start, end)` of a rendered prompt.

    Attributes:
        bounds: where escapes make the two differ: int64 `[characters, 2]`, for each character of the field the prompt's
            characters `[start, end)` that it became. None where they are the same, one by one.
    """

    start: int
    end: int
    path: Path
    offset: int
    bounds: np.ndarray | None = None

    @property
    def length(self) -> int:
        """How many of the field's characters stand here."""
        return self.end - self.start if self.bounds is None else len(self.bounds)

    def at(self, start: int, end: int) -> tuple[int, int]:
        """Where the field's characters `[start, end)` stand, which are some of those here."""
        if self.bounds is None:
            return start - self.offset + self.start, end - self.offset + self.start
        return int(self.bounds[start - self.offset, 0]), int(self.bounds[end - self.offset - 1, 1])


def moved(spans: Sequence[Span], places: Sequence[Placed], text: str) -> list[Span]:
    """A field's spans as spans of a prompt, as far as they stand in it.

    Where a template writes one part of a field behind the other, white space that it puts between them belongs to a span over
    both.

    Args:
        spans: of the field.
        places: of the field in the prompt.
        text: the prompt.
    """
    found = []
    places = sorted(places, key=lambda place: place.start)
    for span in spans:
        last = None  # the field's end and the prompt's, of the part before
        for place in places:
            start, end = max(span.start, place.offset), min(span.end, place.offset + place.length)
            if start >= end:
                continue
            first, stop = place.at(start, end)
            if last and start >= last[0] and first >= last[1] and not text[last[1] : first].strip():
                first = last[1]
            if first < stop:  # else the template left these characters out
                found.append(span._replace(start=first, end=stop))
            last = end, stop
    return found


def uncovered(length: int, places: Sequence[Placed]) -> list[tuple[int, int]]:
    """The parts `[start, end)` of a field of which no place is known."""
    found, last = [], 0
    for place in sorted(places, key=lambda place: place.offset):
        if place.offset > last:
            found.append((last, place.offset))
        last = max(last, place.offset + place.length)
    return [*found, (last, length)] if last < length else found


class Layout(NamedTuple):
    """How a data set's type reads its rows.

    Attributes:
        messages: the column of a chat's messages, or None.
        role: the key of a message's role, which is a choice and no text.
        tools: the column of a chat's tools.
        template: the chat template's text, or None.
        mapped: the template's key of each key of a message that the config maps.
    """

    messages: str | None = None
    role: str | None = None
    tools: str | None = None
    template: str | None = None
    mapped: Mapping[str, str] = {}

    @classmethod
    def of(cls, strategy: Any) -> Layout:
        """The layout by an Axolotl strategy's own settings."""
        prompter = getattr(strategy, "prompter", None)
        messages = getattr(prompter, "field_messages", None)
        if messages is None:
            return cls()
        mappings = getattr(prompter, "message_property_mappings", None) or {}
        mapped = {key: name for name, key in mappings.items()}
        tools, template = getattr(prompter, "field_tools", None), getattr(prompter, "chat_template", None)
        return cls(messages, mappings.get("role", "role"), tools, template, mapped)

    def opened(self, row: Mapping) -> dict:
        """The row with the JSON strings of messages and tools read, as Axolotl's chat strategy reads them."""
        columns = (self.messages, self.tools) if self.messages else ()
        return {**row, **{column: _read(row[column]) for column in columns if column in row}}

    def parsed(self, row: Mapping) -> dict:
        """The row with all its JSON strings read as Axolotl reads them: messages, tools, arguments, parameters.

        A string that is not JSON stays, and Axolotl says so.
        """
        row = self.opened(row)
        if self.messages is None:
            return row
        messages, tools = row.get(self.messages), row.get(self.tools)
        if isinstance(messages, list):
            row[self.messages] = [_with_calls_read(message) for message in messages]
        if isinstance(tools, list):
            row[self.tools] = [_with_function_read(tool, "parameters") for tool in tools]
        return row

    def is_role(self, path: Path) -> bool:
        """Whether the string at `path` is a message's role."""
        return len(path) == 3 and path[0] == self.messages and path[2] == self.role

    def renders(self, path: Path) -> bool:
        """Whether the template may write the string at `path`: it names the message's key."""
        if self.template is None or len(path) < 3 or path[0] != self.messages:
            return True
        key = self.mapped.get(path[2], path[2])
        return str(key) in self.template

    def is_message(self, path: Path) -> bool:
        """Whether the value at `path` is a message."""
        return len(path) == 2 and path[0] == self.messages


def _read(value):
    """A JSON string's list or mapping; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if isinstance(read, (list, dict)) else value


def _with_calls_read(message):
    if not isinstance(message, Mapping) or not isinstance(message.get("tool_calls"), list):
        return message
    return {**message, "tool_calls": [_with_function_read(call, "arguments") for call in message["tool_calls"]]}


def _with_function_read(holder, key: str):
    function = holder.get("function") if isinstance(holder, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get(key), str):
        return holder
    return {**holder, "function": {**function, key: _read(function[key])}}


def strings(row: Mapping, layout: Layout = Layout()) -> dict[Path, str]:
    """All strings of a row that are not empty, by the keys and indices that lead to them, without messages' roles.

    The keys of mappings within columns and messages (a tool call's arguments, say) are text of the row, too.
    """
    found: dict[Path, str] = {}

    def walk(value, path):
        if isinstance(value, str):
            if value and not layout.is_role(path):
                found[path] = value
        elif isinstance(value, Mapping):
            own = path and not layout.is_message(path)
            for key, inner in value.items():
                if own and key and isinstance(key, str):
                    found[*path, Key(key)] = key
                walk(inner, (*path, key))
        elif isinstance(value, (list, tuple)):
            for index, inner in enumerate(value):
                walk(inner, (*path, index))

    walk(row, ())
    return found


def replaced(row: Mapping, texts: Mapping[Path, str]) -> dict:
    """A copy of `row` with other strings at the given paths."""

    def walk(value, path):
        if isinstance(value, str):
            return texts.get(path, value)
        if isinstance(value, Mapping):
            return {texts.get((*path, Key(key)), key): walk(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(inner, (*path, index)) for index, inner in enumerate(value)]
        return value

    return walk(row, ())


def get(row: Mapping, path: Path) -> str:
    """The string at `path`."""
    for key in path:
        if isinstance(key, Key):
            return key.name
        row = row[key]
    return row


def surroundings(row: Mapping, path: Path) -> dict:
    """The row's columns, and over them the keys of the mapping (a chat message) that holds the string."""
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return {**row, **holder} if isinstance(holder, Mapping) else dict(row)
