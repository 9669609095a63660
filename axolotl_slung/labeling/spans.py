"""Reads spans from a column of the data set."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..errors import few, kind_of
from .base import Labeler, LabelerError, RowError, Span
from .weights import parse_weights

SPANS = "spans"
"""The column of spans if the config names none."""


class SpansLabeler(Labeler):
    """The spans in a column of each row.

    A value is a list of `[start, end, score]`, `[start, end]` (score 1) or mappings with these keys, or a mapping of
    labelers' names to such lists. Either may be a string of JSON, as `slung label` writes it. None and an empty list
    mean no spans.

    Args:
        key: the labeler's place in the YAML.
        field: the column of spans; None for a labeler that only reads weights.
        text_field: the text column; None for the data set's only one.
        weights_field: the column of weights (see `weights.parse_weights`), or None.
    """

    scope = "document"
    reads_row = True

    def __init__(
        self, key: str, field: str | None = None, text_field: str | None = None, weights_field: str | None = None
    ):
        super().__init__(key)
        self.field = SPANS if field is None and weights_field is None else field
        self.text_field = text_field
        self.weights_field = weights_field

    def unread(self, row: Mapping) -> str | None:
        """What is wrong with a row whose spans this labeler would leave unread, or None."""
        if self.field is None and row.get(SPANS):
            return (
                f"has a column {SPANS!r}, which a labeler with only `weights_field` does not read; add `field: {SPANS}`, "
                "or write `weights_field` into the labeler that reads it"
            )
        return None

    def weights(self, text: str, row: Mapping) -> np.ndarray | None:
        """The weights in a row's own column, float64 `[characters]`; None if all are 1.

        Raises:
            LabelerError: the row has no such column, or its weights do not fit the text.
        """
        if self.weights_field not in row:
            raise LabelerError(f"has no {self.weights_field!r}; choose one of {few(row)}")
        if problem := self.unread(row):
            raise LabelerError(problem)
        return parse_weights(row[self.weights_field], text, f"{self.weights_field!r}")

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """The rows' own spans; see `Labeler.label`."""
        if self.field is None:
            return [[] for _ in texts]
        labeled, problems = [], {}
        for index, (text, row) in enumerate(zip(texts, rows)):
            if self.field not in row:
                problems[index] = f"has no {self.field!r}; choose one of {few(row)}"
                continue
            try:
                labeled.append(parse_spans(row[self.field], text, f"{self.field!r}"))
            except LabelerError as error:
                problems[index] = str(error)
        if problems:
            raise RowError(f"{self.key}.field", problems)
        return labeled


def describe_row(index: int, row: Mapping, id_field: str = "id") -> str:
    """How errors name a row: by its id if that is a number of up to six digits, otherwise by its place in the batch."""
    identity = row.get(id_field)
    # other ids may be names, addresses or telephone numbers
    named = type(identity) is int and 0 <= identity < 10**6
    return f"the row with id {identity}" if named else f"row {index} of the batch"


def by_pointer(value: Any) -> tuple[Any, dict[str, Any]]:
    """Divide a column of spans into those of the row's or message's own text, and those of its other texts.

    Args:
        value: see `parse_spans`. In a mapping, keys that begin with `/` are JSON pointers from the mapping that has the
            column to other texts in it.

    Returns:
        The spans of the own text, in any form; it is empty if there are none. For each pointer its spans.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value, {}  # `parse_spans` raises the error
    if not isinstance(value, Mapping):
        return value, {}
    # 0 is a weight
    pointed = {key: spans for key, spans in value.items() if key.startswith("/") and (spans or spans == 0)}
    own = {key: spans for key, spans in value.items() if not key.startswith("/")}
    return (own if any(own.values()) else {}), pointed


def parse_spans(value: Any, text: str, where: str) -> list[Span]:
    """Check the spans in a data set's value.

    Args:
        value: None, a sequence of `[start, end, score]`, `[start, end]`, `[start, end, score, kind]` or mappings with
            these keys, or a mapping of labelers' names to such sequences; or one of these as a string of JSON. JSON pointers (`by_pointer`) and
            their spans are left out.
        text: the text whose characters the spans count.
        where: the beginning of errors.

    Returns:
        The spans, in order of `start`.

    Raises:
        LabelerError: the value is anything else, a span is empty or outside the text, or a score is outside [0, 1].
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise LabelerError(f"{where}: the string is not valid JSON; write [[start, end, score], ...]") from None
    if isinstance(value, Mapping):
        named = [
            span._replace(labeler=name)
            for name, spans in value.items()
            if not name.startswith("/")
            for span in parse_spans(spans, text, f"{where}, {few([name])}")
        ]
        return sorted(named)
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise LabelerError(f"{where}: expected a list of spans, got {kind_of(value)}; write [[start, end, score], ...]")
    return sorted(_parse(span, text, f"{where}, span {number}") for number, span in enumerate(value))


def _parse(span: Any, text: str, where: str) -> Span:
    kind = None
    if isinstance(span, Mapping):
        kind = span.get("kind")
        span = [span.get("start"), span.get("end"), span.get("score")]
        # Arrow gives every mapping of a column the same keys, with None for missing ones
        span = span[:2] if span[2] is None else span
    if not isinstance(span, (str, bytes)) and hasattr(span, "__len__") and len(span) == 4:
        *span, kind = span
    if isinstance(span, (str, bytes)) or not hasattr(span, "__len__") or len(span) not in (2, 3):
        raise LabelerError(f"{where}: expected [start, end, score], [start, end] or a mapping with these keys")
    if kind is not None and not isinstance(kind, str):
        raise LabelerError(f"{where}: kind: expected text, got {kind_of(kind)}; write [start, end, score, kind]")
    start, end, score = (*span, 1.0) if len(span) == 2 else span
    for name, number in (("start", start), ("end", end), ("score", score)):
        if isinstance(number, bool) or not isinstance(number, Real) or not is_finite(number):
            # nothing else is quoted: it may be the text that is labeled
            what = repr(number) if isinstance(number, float) else kind_of(number)
            raise LabelerError(f"{where}: {name}: expected a finite number, got {what}")
    # Arrow makes [0, 5, 0.9] a list of floats, so 5.0 counts as 5
    if start != int(start) or end != int(end):
        raise LabelerError(
            f"{where}: [{_short(start)}, {_short(end)}): expected integers; spans count characters, or tokens of tokenized data"
        )
    if not 0 <= start < end <= len(text):
        raise LabelerError(
            f"{where}: [{_short(int(start))}, {_short(int(end))}) is empty or outside the text of {len(text)} characters (of "
            "tokenized data: tokens); count these, not bytes; end is the first one after the span"
        )
    if not 0 <= score <= 1:
        raise LabelerError(f"{where}: score: expected a number in [0, 1], got {_short(score)}")
    return Span(int(start), int(end), float(score), kind=kind or "")


def is_finite(number: Any) -> bool:
    """Whether a number fits a float, and is neither infinite nor NaN. JSON has integers of any size."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _short(number) -> str:
    """A number for an error. A long one may be a telephone number."""
    return str(number) if abs(number) < 10**7 else "more than 7 digits"
