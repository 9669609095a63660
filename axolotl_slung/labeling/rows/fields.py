"""The strings of a data set's row, by their paths."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, NamedTuple


class Key(NamedTuple):
    """The last step of a path that leads to a key of a mapping, not to a value."""

    name: str


Path = tuple[str | int | Key, ...]


class Layout(NamedTuple):
    """How a data set's type reads its rows.

    Attributes:
        messages: the column of a chat's messages, or None.
        role: the key of a message's role. A role is a choice, not a text.
        tools: the column of a chat's tools.
        template: the text of the chat template, or None.
        mapped: for each message key that the config maps, the template's key.
        ranges: the key of a message's ranges of characters to train, or None.
    """

    messages: str | None = None
    role: str | None = None
    tools: str | None = None
    template: str | None = None
    mapped: Mapping[str, str] = {}
    ranges: str | None = None

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
        ranges = getattr(prompter, "message_field_training_detail", None)
        return cls(messages, mappings.get("role", "role"), tools, template, mapped, ranges)

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

    def without(self, row: Mapping, keys: Container[str]) -> dict:
        """The row without these keys in its messages and tools. Arguments and parameters are not searched."""

        def walk(value):
            if isinstance(value, Mapping):
                data = ("arguments", "parameters")
                return {k: inner if k in data else walk(inner) for k, inner in value.items() if k not in keys}
            return [walk(inner) for inner in value] if isinstance(value, (list, tuple)) else value

        columns = (self.messages, self.tools) if keys and self.messages else ()
        return {**row, **{column: walk(row[column]) for column in columns if column in row}}

    def is_role(self, path: Path) -> bool:
        """Whether the string at `path` is a message's role."""
        return len(path) == 3 and path[0] == self.messages and path[2] == self.role

    def renders(self, path: Path) -> bool:
        """Whether the template may write the string at `path`: whether it contains the message's key."""
        if self.template is None or len(path) < 3 or path[0] != self.messages:
            return True
        key = str(path[2])
        return self.mapped.get(key, key) in self.template

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

    def walk(value, path) -> Any:
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
    value: Any = row
    for key in path:
        if isinstance(key, Key):
            return key.name
        value = value[key]
    return value


def path_of(row: Mapping, name: str) -> Path | None:
    """The path of a column, or of the value `a.b` in nested mappings. None if there is none."""
    if name in row:
        return (name,)
    for at, sign in enumerate(name):
        inner = row.get(name[:at]) if sign == "." else None
        if isinstance(inner, Mapping) and (rest := path_of(inner, name[at + 1 :])) is not None:
            return (name[:at], *rest)
    return None


def texts_of_chat(row: Mapping, layout: Layout, columns: Container[str]) -> list[Path]:
    """The strings of a chat's messages and tools that a chat template may write, whichever it is.

    Roles, types and ids are left out, and so are the names of members outside arguments.

    Args:
        row: a row whose JSON is parsed.
        layout: the layout of the rows.
        columns: keys of columns of spans.
    """
    chat = {column: row[column] for column in (layout.messages, layout.tools) if column in row}
    wanted = []
    for path in strings(layout.without(chat, columns), layout):
        data = any(step in ("arguments", "parameters") for step in path[:-1])
        if data or not (isinstance(path[-1], Key) or path[-1] in ("role", "from", "type", "id", "tool_call_id")):
            wanted.append(path)
    return wanted


def surroundings(row: Mapping, path: Path) -> dict:
    """The row's columns, overridden by the keys of the mapping (such as a chat message) that holds the string."""
    holder = row
    for key in path[:-1]:
        holder = holder[key]
    return {**row, **holder} if isinstance(holder, Mapping) else dict(row)


_CALL_KEYS = ("function", "arguments", "parameters", "text", "content", "value", "spans")
"""Keys inside messages that errors may name. They belong to the chat formats, never to the data."""


def spelled(path: Path) -> str:
    """A path for messages, such as `messages[1].content`. Keys of the data are written as `*`."""
    written = []
    for depth, key in enumerate(path):
        if isinstance(key, int):
            written.append(f"[{key}]")
        else:  # deeper keys belong to the data and may be names
            known = depth == 0 or (depth == 2 and isinstance(path[1], int)) or key in _CALL_KEYS
            written.append(f".{key}" if known and not isinstance(key, Key) else ".*")
    return "".join(written).lstrip(".")
