"""The strings of a data set's row, and their places in a rendered prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...labeling.base import Span


class Key(NamedTuple):
    """The last step of a path that leads to a key of a mapping, not to a value."""

    name: str


Path = tuple[str | int | Key, ...]


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


def uncovered(length: int, places: Sequence[Placed]) -> list[tuple[int, int]]:
    """The parts `[start, end)` of a field that have no known place."""
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
        role: the key of a message's role. A role is a choice, not a text.
        tools: the column of a chat's tools.
        template: the text of the chat template, or None.
        mapped: for each message key that the config maps, the template's key.
    """

    messages: str | None = None
    role: str | None = None
    tools: str | None = None
    template: str | None = None
    mapped: Mapping[str, str] = {}

    @classmethod
    def of(cls, strategy: Any) -> Layout:
        """The layout from the settings of an Axolotl strategy."""
        prompter = getattr(strategy, "prompter", None)
        messages = getattr(prompter, "field_messages", None)
        if messages is None:
            return cls()
        mappings = getattr(prompter, "message_property_mappings", None) or {}
        mapped = {key: name for name, key in mappings.items()}
        tools, template = getattr(prompter, "field_tools", None), getattr(prompter, "chat_template", None)
        return cls(messages, mappings.get("role", "role"), tools, template, mapped)

    def opened(self, row: Mapping) -> dict:
        """The row with the JSON of messages and tools parsed as Axolotl's chat strategy parses it."""
        columns = (self.messages, self.tools) if self.messages else ()
        return {**row, **{column: _read(row[column]) for column in columns if column in row}}

    def parsed(self, row: Mapping) -> dict:
        """The row with all its JSON parsed as Axolotl parses it: messages, tools, arguments, parameters.

        A string that is not JSON stays unchanged. Axolotl reports it.
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
        """Whether the template may write the string at `path`: whether it contains the message's key."""
        if self.template is None or len(path) < 3 or path[0] != self.messages:
            return True
        key = self.mapped.get(path[2], path[2])
        return str(key) in self.template

    def is_message(self, path: Path) -> bool:
        """Whether the value at `path` is a message."""
        return len(path) == 2 and path[0] == self.messages


def _read(value):
    """The list or mapping in a JSON string. Any other value is returned unchanged."""
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
    """All non-empty strings of a row, by their paths of keys and indices. The roles of messages are left out.

    The keys of mappings inside columns and messages (such as a tool call's arguments) are strings of the row, too.
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
    """A copy of `row` with the given strings at the given paths."""

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
    """The row's columns, overridden by the keys of the mapping (such as a chat message) that holds the string."""
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return {**row, **holder} if isinstance(holder, Mapping) else dict(row)
