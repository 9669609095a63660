"""Compare labels with the truth that files contain."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ..config import SlungConfig
from ..corpus.sources import Source, SourceError
from ..errors import SlungError, few
from ..labeling.base import Labeler, utf8_safe
from ..labeling.build import build
from ..labeling.spans import parse_spans
from ..labels.offsets import Offsets
from .qa import GoldDocument, QaReport, qa_report
from .qa_names import name_spans

BATCH = 128
"""Number of documents labeled at once."""


def qa_files(
    sources: Sequence[Source],
    block: SlungConfig,
    *,
    text_fields: Sequence[str] = ("text",),
    gold_field: str | None = None,
    names_field: str | None = None,
    parts: bool = True,
    tokenizer=None,
    limit: int | None = None,
    thresholds: Sequence[float] = (),
    words: int = 40,
) -> QaReport:
    """Label documents and compare the labels with the truth.

    Args:
        sources: files with the texts and the truth, one document per row (see `corpus.inputs.find_sources`).
        block: the labelers, buckets and overlap to measure.
        text_fields: columns of text. Each text is a document by itself.
        gold_field: a column of spans in the only text column, in any form that the `spans` labeler reads.
        names_field: instead of `gold_field`, a column with a name or a list of names. They are found in the row's texts
            by the rules of `qa_names`. null means no name.
        parts: whether parts of names count.
        tokenizer: the model's fast tokenizer; None measures only characters.
        limit: number of rows from the beginning; None for all.
        thresholds, words: see `qa.qa_report`.

    Raises:
        SlungError: neither or both kinds of truth are given, a threshold is outside (0, 1], a labeler cannot work, or a
            span does not fit its text.
        SourceError: a row cannot be read, or lacks a column.
    """
    if (gold_field is None) == (names_field is None):
        raise SlungError(
            "gold_field, names_field: expected one of them; give a column of gold spans or a column of names"
        )
    if gold_field is not None and len(text_fields) != 1:
        raise SlungError(
            f"text_fields: expected one column for the spans in {gold_field!r}, got {len(text_fields)}; give one"
        )
    labelers = build(block)
    encode = None if tokenizer is None else Offsets(tokenizer)
    rows = islice(_rows(sources), limit)
    documents = _documents(rows, labelers, text_fields, gold_field, names_field, parts, encode)
    return qa_report(documents, block.resolved_buckets(), overlap=block.overlap, thresholds=thresholds, words=words)


def _documents(
    rows, labelers: Sequence[Labeler], text_fields, gold_field, names_field, parts, encode
) -> Iterator[GoldDocument]:
    texts = ((where, row, _text(where, row, field)) for where, row in rows for field in text_fields)
    while batch := list(islice(texts, BATCH)):
        found = [labeler.annotate([text for _, _, text in batch], [row for _, row, _ in batch]) for labeler in labelers]
        for number, (where, row, text) in enumerate(batch):
            if names_field is not None:
                gold = name_spans(text, _names(where, row, names_field), parts)
            elif gold_field in row:
                gold = parse_spans(row[gold_field], text, f"{where}, {gold_field!r}")
                if any(span.score != 1 for span in gold):
                    raise SourceError(f"{where}: {gold_field!r}: gold spans must not have scores; give [start, end]")
            else:
                raise SourceError(f"{where}: no column {gold_field!r}; choose from {few(row)}")
            offsets = None if encode is None else encode(utf8_safe(text), add_special_tokens=False)[1]
            yield GoldDocument(text, gold, [span for spans in found for span in spans[number]], offsets)


def _text(where: str, row: Mapping, field: str) -> str:
    if not isinstance(row.get(field), str):
        raise SourceError(f"{where}: no text in a column {field!r}; choose from {few(row)}")
    return row[field]


def _names(where: str, row: Mapping, field: str) -> list[str]:
    names = row.get(field)
    names = [] if names is None and field in row else [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(
            f"{where}: {field!r}: expected a name or a list of names; fix the row or choose another column"
        )
    return names


def _rows(sources: Sequence[Source]) -> Iterator[tuple[str, Mapping]]:
    """Every row, with its place for error messages."""
    for source in sources:
        for chunk in source.chunks():
            for number, reason in chunk.bad:
                raise SourceError(f"{source.path}, line {number}: {reason}; fix or remove this line")
            for number, content in enumerate(chunk.content, chunk.first):
                where = f"{source.path}, line {number}"
                if isinstance(content, Mapping):
                    yield where, content
                elif content.strip():
                    yield where, _parsed(where, content)


def _parsed(where: str, line: bytes) -> Mapping:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # from None: the exception contains the line
        raise SourceError(f"{where}: not valid JSON ({type(error).__name__}); write one object per line") from None
    if not isinstance(row, dict):
        raise SourceError(f"{where}: not a JSON object; write one object per line")
    return row
