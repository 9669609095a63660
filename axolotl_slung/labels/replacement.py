"""What the action `replace` puts in place of spans."""

from __future__ import annotations

import json
import re
import string
from bisect import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..labeling.base import Span
from ..labeling.rows.json_text import json_places
from .buckets import Action, Bucket
from .made_up import made_up
from .tokens import buckets_of

_MADE_UP = "made_up"
_STRUCTURE = re.compile(r'[{}\[\],:"]')
_PLACEHOLDERS = ("kind", "KIND", _MADE_UP)


class Replaced(NamedTuple):
    """Characters `[start, end)` of a text, and what is put in their place."""

    start: int
    end: int
    by: str


def check_template(template: str) -> None:
    """Raise `ValueError` if a bucket's `text` has a placeholder that does not exist.

    Those that exist are {kind}, {KIND} and {made_up}: the span's kind, the same in capitals, and a made-up value of that
    kind. A brace is written {{ or }}.
    """
    try:
        fields = [field for _, *field in string.Formatter().parse(template) if field[0] is not None]
    except ValueError:
        raise ValueError("a brace without its partner; write {{ or }} for a brace itself") from None
    if any(name not in _PLACEHOLDERS or form or conversion for name, form, conversion in fields):
        raise ValueError(
            "an unknown placeholder; use {kind}, {KIND} or {made_up}, and write {{ or }} for a brace itself"
        )


def makes_up(template: str) -> bool:
    """Whether a bucket's `text` contains a made-up value."""
    return any(field == _MADE_UP for _, field, *_ in string.Formatter().parse(template))


def names_kind(template: str) -> bool:
    """Whether what a bucket's `text` makes depends on the span's kind."""
    return any(field is not None for _, field, *_ in string.Formatter().parse(template))


def replacements(text: str, spans: Sequence[Span], of_char: np.ndarray, buckets: Sequence[Bucket]) -> list[Replaced]:
    """What the buckets with the action `replace` put into a text, in ascending order.

    Spans of one bucket that overlap are replaced together, and the longest one gives the kind. So are those that touch
    and are of one kind, such as the words of a name. Where a span of a higher bucket covers a part, the parts beside it
    are replaced one by one. White space at the ends of a span stays.
    In a text that is JSON, the new text is escaped as in a JSON string.

    Args:
        text: a whole field.
        spans: its spans.
        of_char: the bucket of each character, int64 `[characters]`.
        buckets: in ascending order.
    """
    if not any(bucket.action is Action.REPLACE for bucket in buckets):
        return []
    found, of_span = [], buckets_of(np.array([span.score for span in spans]), buckets)
    for index, bucket in enumerate(buckets):
        if bucket.action is not Action.REPLACE:
            continue
        of_bucket = [span for span, chosen in zip(spans, of_span == index) if chosen]
        for start, end, kind in _stretches(_together(of_bucket, of_char == index)):
            part = text[start:end]
            start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
            if start < end:
                found.append(Replaced(start, end, _filled(bucket, text[start:end], kind)))
    return list(_as_json(text, sorted(found))) if found else []


def _together(spans: Sequence[Span], own: np.ndarray) -> Iterator[tuple[int, int, str]]:
    """`(start, end, kind)` of each group of overlapping spans, cut to the characters that are `own`, bool `[characters]`."""
    parts = []
    for span in spans:
        inside = np.flatnonzero(np.diff(np.concatenate([[False], own[span.start : span.end], [False]]).astype(np.int8)))
        parts += [(span.start + start, span.start + end, span) for start, end in inside.reshape(-1, 2).tolist()]
    parts.sort(key=lambda part: part[:2])
    while parts:
        start, end, _ = parts[0]
        size = 1
        while size < len(parts) and parts[size][0] < end:
            end = max(end, parts[size][1])
            size += 1
        longest = max((span for *_, span in parts[:size]), key=lambda one: (one.end - one.start, one.score, -one.start))
        yield start, end, longest.kind or longest.labeler
        parts = parts[size:]


def _stretches(groups: Iterator[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """The groups, where those of one kind that touch are one."""
    last = None
    for start, end, kind in groups:
        if last is None or last[1:] != (start, kind):
            if last is not None:
                yield last
            last = start, end, kind
        else:
            last = last[0], end, kind
    if last is not None:
        yield last


def _filled(bucket: Bucket, original: str, kind: str) -> str:
    template: str = bucket.text  # pyright: ignore[reportAssignmentType] - required by the config
    values = {"kind": kind, "KIND": kind.upper()}
    if makes_up(template):
        values[_MADE_UP] = made_up(original, kind, bucket.seed or 0)
    return template.format_map(values)


def _as_json(text: str, found: list[Replaced]) -> Iterator[Replaced]:
    """The same for a text that may be JSON: a list or a mapping stays valid."""
    strings = _strings(text)
    for one in found:
        if strings is None:
            yield one
            continue
        start, end = strings[max(bisect(strings, (one.start, len(text))) - 1, 0)] if strings else (0, 0)
        quoted = json.dumps(one.by, ensure_ascii=False)
        if start < one.start and one.end < end:
            yield one._replace(by=quoted[1:-1])
        elif _is_number(one.by) or (one[:2] != (start, end) and _STRUCTURE.search(text, one.start, one.end)):
            yield one
        else:  # a string with its quotes, or a number
            yield one._replace(by=quoted)


def _strings(text: str) -> list[tuple[int, int]] | None:
    """Where the strings of a JSON list or mapping are, with their quotes. None for any other text."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return [(start, end) for _, start, end in json_places(text) if text[start] == '"']


def _is_number(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (int, float))
    except ValueError:
        return False
