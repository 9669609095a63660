"""Documents of an input's lines: text, id and stored scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..corpus.documents import BadLine, read
from ..errors import few, kind_of
from ..labeling.base import LabelerError, Span, utf8_safe
from ..labeling.rows.fields import get, path_of
from ..labeling.rows.written import entry
from ..labeling.spans import SPANS, is_finite, parse_spans
from .config import Corpus, Risky
from .inputs import matching


class Document(NamedTuple):
    """A document, and for a risky one its scores."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    document: float | None = None
    language: float | None = None


class NoDocument(ValueError):
    """A line is not a usable document. The message says why, without the line's text."""


def document_of(line: bytes, number: int, name: str, entry: Corpus) -> Document | None:
    """The document of a line of an input (`Input.chunks`); None for a blank line or an empty text.

    Args:
        line: the line, with those of its attributes after line breaks.
        number: its number, counted from 1.
        name: of the input, for documents without an id.
        entry: the input's entry in the YAML.

    Raises:
        NoDocument: the line is not a document, or lacks a column or a score.
    """
    own, *beside = line.rstrip(b"\r\n").split(b"\n")
    row = _row(own, number)
    if row is None:
        return None
    place = path_of(row, entry.text_field)
    if place is None:
        raise NoDocument(f"no column {entry.text_field!r}; it has {few(row)}; set text_field")
    text = get(row, place)
    if not isinstance(text, str):
        raise NoDocument(f"{entry.text_field!r}: expected a string, got {kind_of(text)}")
    if not text:
        return None
    text, given = utf8_safe(text), row.get(entry.id_field)
    identity = utf8_safe(str(given)) if isinstance(given, (str, int)) else f"{name}:{number}"
    if not isinstance(entry, Risky):
        return Document(identity, text)
    if entry.attributes is None:
        return _of_columns(Document(identity, text), row, entry)
    return _of_attributes(Document(identity, text), row, beside, number, entry)


def digest_of(text: str) -> int:
    """64 bits that identical texts share."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def line_of(document: Document, role: str) -> bytes:
    """The row that a mix has for a document, as JSON with a line break."""
    # a JSON string, not a list: Arrow's JSON reader types a column of empty lists differently, and fails at the first
    # list that is not empty
    row = {"id": document.id, "source": role, "text": document.text, "spans": _written(document.spans)}
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _written(spans: Sequence[Span]) -> str:
    """Spans as they were read: by labeler if they name one, since its scores have a meaning of their own."""
    if not any(span.labeler for span in spans):
        return json.dumps([entry(span) for span in spans], separators=(",", ":"))
    named: dict[str, list] = {}
    for span in spans:
        named.setdefault(span.labeler, []).append(entry(span))
    return json.dumps(named, separators=(",", ":"), ensure_ascii=False)


def _row(line: bytes, number: int) -> Mapping | None:
    try:
        found = read(line, number)
    except BadLine as error:
        raise NoDocument(str(error)) from None
    return None if found is None else found.row


def _of_columns(document: Document, row: Mapping, entry: Risky) -> Document:
    field = entry.spans_field or SPANS
    if field not in row:
        raise NoDocument(f"no column {field!r}; it has {few(row)}; run slung label on it, or set spans_field")
    spans = _parsed(row[field], document.text, repr(field))
    return document._replace(
        spans=spans,
        document=_number(row, entry.document_field),
        language=_number(row, entry.language_field),
    )


def _number(row: Mapping, field: str | None) -> float | None:
    if field is None:
        return None
    place = path_of(row, field)
    value = None if place is None else get(row, place)
    if place is None:
        raise NoDocument(f"no column {field!r}; it has {few(row)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not is_finite(value):
        raise NoDocument(f"{field!r}: expected a number, got {kind_of(value)}")
    return float(value)


def _of_attributes(document: Document, row: Mapping, beside: list[bytes], number: int, entry: Risky) -> Document:
    attributes: dict[str, Any] = {}
    for line in beside:
        record = _row(line, number)
        if record is None or not isinstance(record.get("attributes"), Mapping):
            raise NoDocument("its line of attributes has none; give the output of a Dolma tagger")
        if str(record.get("id")) != str(row.get("id")):
            raise NoDocument("its line of attributes has another id: the files do not have the same order")
        attributes.update(record["attributes"])
    wanted = entry.attributes
    assert wanted is not None

    def spans_of(name: str) -> tuple[Span, ...]:
        # Dolma leaves out an attribute without spans
        keys = matching(list(attributes), name)
        if len(keys) > 1:
            raise NoDocument(f"attributes: {name}: matches {few(keys)}; give one of them in the YAML")
        return _parsed(attributes[keys[0]], document.text, f"attribute {few(keys)}") if keys else ()

    def score_of(name: str | None) -> float | None:
        return None if name is None else max((span.score for span in spans_of(name)), default=0.0)

    return document._replace(
        spans=spans_of(wanted.score), document=score_of(wanted.document), language=score_of(wanted.language)
    )


def _parsed(value: Any, text: str, where: str) -> tuple[Span, ...]:
    try:
        return tuple(parse_spans(value, text, where))
    except LabelerError as error:
        raise NoDocument(str(error)) from None
