"""Texts that a row implies besides its strings: joined parts of a message, and the strings in a text that is JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..base import Span
from ..text.escapes import unescaped
from .columns import parts, same
from .fields import Layout, Path

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)


class Meant(NamedTuple):
    """A text, and the characters of the fields that it consists of.

    Attributes:
        text: the text to label.
        fields: for each field `(path, first, bounds)`. The field starts at character `first` of the text. For each
            character of the text from there on, bounds hold the field's characters `[start, end)`, int64 `[n, 2]`.
    """

    text: str
    fields: list[tuple[Path, int, np.ndarray]]

    def moved(self, spans: list[Span]) -> Iterator[tuple[Path, Span]]:
        """The text's spans as spans of the fields."""
        for path, first, bounds in self.fields:
            for span in spans:
                start, end = max(span.start - first, 0), min(span.end - first, len(bounds))
                if start < end:
                    yield path, span._replace(start=int(bounds[start, 0]), end=int(bounds[end - 1, 1]))


def meant_by(path: Path, field: str) -> Iterator[Meant]:
    """The strings in a field that is a JSON list or mapping."""
    if field.lstrip()[:1] not in ("{", "["):
        return
    try:
        json.loads(field)
    except (ValueError, RecursionError):
        return
    for literal in _LITERAL.finditer(field):
        start, end = literal.span(1)
        view = next(unescaped(literal[1], ("backslash",), 1), None)
        if view is not None:
            yield Meant(view.text, [(path, 0, np.stack([view.starts, view.ends], axis=1) + start)])
        elif literal[1]:
            yield Meant(literal[1], [(path, 0, same(end - start) + start)])


def meant_together(row: Mapping, layout: Layout) -> Iterator[Meant]:
    """For each message with several text parts, the text of the joined parts."""
    if layout.messages is None:
        return
    messages = row.get(layout.messages)
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        for key, value in message.items() if isinstance(message, Mapping) else ():
            found = list(parts(value, (layout.messages, number, key))) if isinstance(value, (list, tuple)) else []
            if len(found) > 1:
                fields, length = [], 0
                for of_part, text, _ in found:
                    fields.append((of_part, length, same(len(text))))
                    length += len(text)
                yield Meant("".join(text for _, text, _ in found), fields)
