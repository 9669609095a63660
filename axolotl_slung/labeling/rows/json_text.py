"""Where strings, lists and mappings stand in the text of a JSON document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from .fields import Key, Path

_TOKEN = re.compile(r'[{}\[\],]|"(?:[^"\\]|\\.)*+"', re.DOTALL)


def json_places(text: str) -> Iterator[tuple[Path, int, int]]:
    """The strings and keys of a JSON document, and the closing signs of its lists and mappings.

    Args:
        text: valid JSON, a list or a mapping.

    Yields:
        `(path, start, end)`: the characters of a string with its quotes, or of the sign. Paths of keys end in `Key`.
    """
    frames: list[list] = []  # the current key or index of each open list and mapping; None before a key
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in "{[":
            frames.append([0 if sign == "[" else None, sign])
        elif sign in "}]":
            frames.pop()
            yield tuple(frame[0] for frame in frames), *token.span()
        elif sign == ",":
            frames[-1][0] = frames[-1][0] + 1 if frames[-1][1] == "[" else None
        else:
            path = tuple(frame[0] for frame in frames)
            if frames[-1][0] is None:
                frames[-1][0] = json.loads(sign, strict=False)
                path = (*path[:-1], Key(frames[-1][0]))
            yield path, *token.span()


def with_string(text: str, path: Path, value: str) -> str:
    """The JSON document with another value for the string at `path`. All other characters stay as they are."""
    start, end = [(start, end) for at, start, end in json_places(text) if at == path and text[start] == '"'][-1]
    return text[:start] + json.dumps(value) + text[end:]


def with_members(text: str, members: Mapping[Path, tuple[str, str]]) -> str:
    """The JSON document with one more member in some of its mappings. All other characters stay as they are.

    Args:
        text: valid JSON, a list or a mapping.
        members: for the paths of mappings, the new key, which they do not have, and its value, a string.
    """
    if members.keys() == {()}:  # without a search through a long document
        ends = {(): text.rindex("}")}
    else:
        # of two members with the same key, the last one counts: so does the last place of a path
        ends = {path: start for path, start, _ in json_places(text) if path in members and text[start] == "}"}
    pieces, last = [], 0
    for path, end in sorted(ends.items(), key=lambda place: place[1]):
        key, value = members[path]
        head = text[last:end].rstrip()
        comma = "" if head.endswith("{") else ", "
        pieces.append(f"{head}{comma}{json.dumps(key)}: {json.dumps(value)}")
        last = end
    return "".join([*pieces, text[last:]])
