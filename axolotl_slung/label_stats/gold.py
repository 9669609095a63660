"""Labels against the truth, straight from files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ..config import SlungConfig
from ..corpus.sources import Source, SourceError
from ..errors import SlungError
from ..labeling.base import Labeler, utf8_safe
from ..labeling.build import build
from ..labeling.spans import parse_spans
from ..labels.offsets import Offsets
from .qa import GoldDocument, QaReport, qa_report
from .qa_names import name_spans

BATCH = 128
"""Documents that are labeled at once."""


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
    """Label documents that have a truth, and compare.

    Args:
        sources: files with the text and the truth, a document a row (see `corpus.inputs.find_sources`).
        block: its labelers, buckets and overlap are the ones that are measured.
        text_fields: columns of text; each is a document by itself.
        gold_field: a column of spans of the only text column, in any form that the `spans` labeler knows.
        names_field: in place of `gold_field`, a column with a name or a list of names, wherever they stand in the
            row's texts, by the rules of `qa_names`; null is no name.
        parts: whether parts of names count.
        tokenizer: the model's, fast; None for characters alone.
        limit: this many rows from the beginning; None for all.
        thresholds, words: see `qa.qa_report`.

    Raises:
        SlungError: neither or both kinds of truth, or a threshold outside (0, 1].
        SourceError: rows that cannot be read, or without the columns.
        LabelerError: labelers that cannot work, or spans that do not fit their text.
    """
    if (gold_field is None) == (names_field is None):
        raise SlungError("give either a column of gold spans or a column of names, and not both")
    if gold_field is not None and len(text_fields) != 1:
        raise SlungError(f"the spans in {gold_field!r} belong to one column of text, not to {len(text_fields)}")
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
                    raise SourceError(
                        f"{where}, {gold_field!r}: gold is marked or not; give [start, end], without scores"
                    )
            else:
                raise SourceError(f"{where}: no column {gold_field!r}; it has {', '.join(map(repr, row))}")
            offsets = None if encode is None else encode(utf8_safe(text), add_special_tokens=False)[1]
            yield GoldDocument(text, gold, [span for spans in found for span in spans[number]], offsets)


def _text(where: str, row: Mapping, field: str) -> str:
    if not isinstance(row.get(field), str):
        raise SourceError(f"{where}: no text in a column {field!r}; it has {', '.join(map(repr, row))}")
    return row[field]


def _names(where: str, row: Mapping, field: str) -> list[str]:
    names = row.get(field)
    names = [] if names is None and field in row else [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{where}: the column {field!r} holds neither a name nor a list of names")
    return names


def _rows(sources: Sequence[Source]) -> Iterator[tuple[str, Mapping]]:
    """Every row, and what to call it in errors."""
    for source in sources:
        for chunk in source.chunks():
            for number, reason in chunk.bad:
                raise SourceError(f"{source.path}, line {number}: {reason}")
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
        # from None: the exception holds the line
        raise SourceError(f"{where}: no JSON ({type(error).__name__}); write one object a line") from None
    if not isinstance(row, dict):
        raise SourceError(f"{where}: no JSON object; write one object a line")
    return row
