"""Compare labels with the truth that files contain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from ..config import SlungConfig
from ..corpus.sources import Source, SourceError
from ..errors import SlungError, few
from ..labeling.base import Labeler, RowError, Span, utf8_safe
from ..labeling.build import build
from ..labeling.rows.columns import described
from ..labeling.rows.fields import Layout, get, path_of, spelled
from ..labeling.scores import PAPER_CUTS, first_pair
from ..labeling.spans import parse_spans
from ..labels.buckets import preset
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
    gold_label: str | None = None,
    messages_field: str | None = None,
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
        text_fields: columns of text, or `a.b` for texts in mappings. Each text is a document by itself. In chats, keys
            of messages.
        gold_field: a column of spans in the only text column, in any form that the `spans` labeler reads.
        names_field: instead of `gold_field`, a column with a name or a list of names. They are found in the row's texts
            by the rules of `qa_names`. null means no name.
        gold_label: instead of both, what says whether a whole document is risky; see `RiskyDocuments`.
        messages_field: the column of a chat's messages; None if rows are not chats. Each message is a document, whose
            gold column it has itself. Its parts are joined.
        parts: whether parts of names count.
        tokenizer: the model's fast tokenizer; None measures only characters.
        limit: number of rows from the beginning; None for all.
        thresholds, words: see `qa.qa_report`.

    Raises:
        SlungError: not exactly one kind of truth is given, a threshold is outside (0, 1], a labeler cannot work, or a
            span does not fit its text.
        SourceError: a row cannot be read, or lacks a column.
    """
    if sum(kind is not None for kind in (gold_field, names_field, gold_label)) != 1:
        raise SlungError(
            "gold_field, names_field, gold_label: expected one of them; give a column of gold spans, one of names, or "
            "one that labels documents"
        )
    if gold_field is not None and len(text_fields) != 1:
        raise SlungError(
            f"text_fields: expected one column for the spans in {gold_field!r}, got {len(text_fields)}; give one"
        )
    labelers = build(block, scaled=False)  # quality and calibration are those of the scores as they are
    pair = first_pair(labeler.cuts_made() for labeler in block.labelers)
    buckets = block.resolved_buckets() if block.buckets else preset("masked", pair or PAPER_CUTS)
    encode = None if tokenizer is None else Offsets(tokenizer)
    risky = None if gold_label is None else RiskyDocuments(gold_label)
    layout = Layout() if messages_field is None else Layout(messages_field)
    texts = (
        text
        for where, row in islice(rows_of(sources), limit)
        for text in texts_of(where, row, text_fields, gold_field, layout)
    )

    def truth(where: str, row: Mapping, text: str) -> list[Span]:
        if risky is not None:
            return [Span(0, 1, 1.0)] if risky(where, row) else []
        if names_field is not None:
            return name_spans(text, _names(where, row, names_field), parts)
        if gold_field not in row:
            raise SourceError(f"{where}: no column {gold_field!r}; choose from {few(row)}")
        gold = parse_spans(row[gold_field], text, f"{where}, {gold_field!r}")
        if any(span.score != 1 for span in gold):
            raise SourceError(f"{where}: {gold_field!r}: gold spans must not have scores; give [start, end]")
        return gold

    return qa_report(
        _documents(texts, labelers, truth, encode, risky is not None),
        buckets,
        overlap=block.overlap,
        thresholds=thresholds,
        words=0 if risky else words,
        whole_documents=risky is not None,
    )


class RiskyDocuments:
    """Whether whole documents are risky, by one of their columns.

    Args:
        rule: `COLUMN` with true or false, or 1 or 0. `COLUMN=VALUE` with a value that means risky. `COLUMN>=NUMBER` with
            the lowest number that does.
    """

    def __init__(self, rule: str):
        self.column, self.sign, value = re.fullmatch(r"(.*?)(>=|=|$)(.*)", rule, re.DOTALL).groups()
        self.value: str | float = value
        if self.sign == ">=":
            try:
                self.value = float(value)
            except ValueError:
                raise SlungError(f"gold_label: {rule}: expected a number after >=") from None

    def __call__(self, where: str, row: Mapping) -> bool:
        """Whether a row is risky.

        Raises:
            SourceError: its column says something else.
        """
        if self.column not in row:
            raise SourceError(f"{where}: no column {self.column!r}; choose from {few(row)}")
        value = row[self.column]
        if self.sign == "=":
            said = json.dumps(value) if isinstance(value, bool) or value is None else str(value)
            return said == self.value
        number = float(value) if isinstance(value, str) and value.strip() in ("0", "1") else value
        if self.sign == ">=" and isinstance(number, (int, float)):
            return number >= self.value
        if self.sign or number not in (0, 1):
            kind = "a number" if self.sign else "true or false, or 1 or 0"
            raise SourceError(
                f"{where}: {self.column!r}: expected {kind}, got {type(value).__name__}; say which values are risky "
                f"with {self.column}=VALUE or {self.column}>=NUMBER"
            )
        return bool(number)


def _documents(texts, labelers: Sequence[Labeler], truth, encode, whole: bool) -> Iterator[GoldDocument]:
    while batch := list(islice(texts, BATCH)):
        found = [_annotated(labeler, batch) for labeler in labelers]
        for number, (where, row, text) in enumerate(batch):
            gold, predicted = truth(where, row, text), [span for spans in found for span in spans[number]]
            if whole:  # the document is one unit, as risky as the riskiest span of each labeler
                highest: dict[str, float] = {}
                for span in predicted:
                    highest[span.labeler] = max(span.score, highest.get(span.labeler, 0.0))
                yield GoldDocument("x", gold, [Span(0, 1, score, name) for name, score in highest.items()])
                continue
            offsets = None if encode is None else encode(utf8_safe(text), add_special_tokens=False)[1]
            yield GoldDocument(text, gold, predicted, offsets)


def _annotated(labeler: Labeler, batch) -> list[list[Span]]:
    try:
        return labeler.annotate([text for *_, text in batch], [row for _, row, _ in batch])
    except RowError as error:
        number = next(iter(error.problems))
        raise SourceError(f"{batch[number][0]}: {error.told(number)}") from None


def texts_of(
    where: str, row: Mapping, fields, gold_field: str | None, layout: Layout
) -> Iterator[tuple[str, Mapping, str]]:
    """The texts of a row: for each its place for error messages, the columns beside it and the text."""
    if layout.messages is None:
        for field in fields:
            path = path_of(row, field)
            if path is None or not isinstance(get(row, path), str):
                raise SourceError(f"{where}: no text in a column {field!r}; choose from {few(row)}")
            yield where, row, get(row, path)
        return
    opened = layout.opened(row)
    if not isinstance(opened.get(layout.messages), list):
        raise SourceError(f"{where}: no list of messages in a column {layout.messages!r}; choose from {few(row)}")
    for field in fields:
        for one in described(opened, field, gold_field, layout, anywhere=False):
            if not one.pointed:
                yield f"{where}, {spelled(one.fields[0][0][:2])}", one.row, one.text


def _names(where: str, row: Mapping, field: str) -> list[str]:
    names = row.get(field)
    names = [] if names is None and field in row else [names] if isinstance(names, str) else names
    names = [name for name in names if name is not None] if isinstance(names, list) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(
            f"{where}: {field!r}: expected a name or a list of names; fix the row or choose another column"
        )
    return names


def rows_of(sources: Sequence[Source]) -> Iterator[tuple[str, Mapping]]:
    """Every row, with its place for error messages."""
    for source in sources:
        for chunk in source.chunks():
            for number, reason in chunk.bad:
                raise SourceError(f"{source.path}, line {number}: {reason}; fix or remove this line")
            for number, content in enumerate(chunk.content, chunk.first):
                if content.strip():
                    where = f"{source.path}, line {number}"
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
