"""Labeled documents from files that `slung label` wrote."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config import SlungConfig
from ..corpus.sources import Source, SourceError
from ..errors import few
from ..labeling.base import RowError, Span, utf8_safe
from ..labeling.rows.fields import Layout, Path, get, path_of, texts_of_chat
from ..labeling.rows.found import found_in_columns
from ..labeling.rows.weights import Weights, weights_in_columns
from ..labeling.scores import Scale
from ..labeling.spans import SpansLabeler, parse_spans
from ..labels.documents import LabeledDocument, document, joined
from ..labels.offsets import Offsets
from ..labels.tokens import buckets_of
from ..labels.weights import WeightError, check_weights


def documents_of_files(
    sources: Sequence[Source],
    tokenizer,
    block: SlungConfig,
    limit: int | None = None,
    seed: int = 0,
    text_field: str = "text",
    spans_field: str = "spans",
    messages_field: str | None = None,
    read: Any = None,
    weights: Sequence[SpansLabeler] = (),
) -> Iterator[LabeledDocument]:
    """Tokenize labeled documents.

    Args:
        sources: JSON lines with spans, as `slung label` writes them.
        tokenizer: the model's fast tokenizer.
        block: its buckets and overlap are used, and the cuts of its labeler, which is `spans`.
        limit: number of documents to draw at random; None yields all.
        seed: seed of the random draw.
        text_field, spans_field: the columns. `a.b` is a text in a mapping. In chats, keys of messages.
        messages_field: the column of a chat's messages; None if rows are not chats. A chat is one document, of all texts
            that `slung label` labels in it, without a chat template.
        read: its attribute `rows` is increased by every line that is read, drawn or not.
        weights: labelers whose `weights_field` is read.

    Yields:
        The documents, in file order.

    Raises:
        LabelerError: a span does not fit its text.
        SourceError: a line has no text, no spans or no weights, or cannot be read, or its weights cannot be used.
    """
    encode, buckets, pair = Offsets(tokenizer), block.resolved_buckets(), block.scale()
    scale = pair and Scale("slung.labelers[0]", block.labelers[0].cuts_made(), pair)
    noise = block.noise()
    lines = _counted(_lines(sources), read)
    if limit is not None:
        lines = _sample(lines, limit, seed)
    for source, number, line in lines:
        where = f"{source}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise SourceError(f"{where}: not a JSON object; give what `slung label` wrote")
        if messages_field is None:
            texts = [_text_of(row, text_field, spans_field, where)]
        else:
            texts = _texts_of_chat(
                row,
                messages_field,
                text_field,
                spans_field,
                {spans_field, *(one.weights_field for one in weights)},
                where,
            )
        weighed = _weights(weights, row, messages_field, text_field, where)
        made = []
        for path, text, spans in texts:
            spans = spans if scale is None else scale.put(spans)
            spans, missed = (spans, []) if noise is None else noise.of_text(utf8_safe(text), spans)
            offsets = encode(utf8_safe(text), add_special_tokens=False)[1]
            one = document("", text, offsets, spans, buckets, block.overlap, missed, weighed.get(path))
            if one.weights is not None:
                try:
                    check_weights(one.weights, buckets_of(one.score, buckets), buckets)
                except WeightError as error:
                    raise SourceError(f"{where}: {error}") from None
            made.append(one)
        yield joined(str(row.get("id", where)), made)


def _text_of(row: Mapping, text_field: str, spans_field: str, where: str) -> tuple[Path, str, list[Span]]:
    path = path_of(row, text_field)
    if path is None or not isinstance(get(row, path), str) or spans_field not in row:
        chat = next((key for key in ("messages", "conversations") if key in row), None)
        raise SourceError(
            f"{where}: expected columns {text_field!r} and {spans_field!r}; give what `slung label` wrote"
            + (f", and for chats --messages-field {chat}" if chat else "")
        )
    text = get(row, path)
    return path, text, parse_spans(row[spans_field], text, f"{where}, {spans_field!r}")


def _texts_of_chat(row, messages_field, text_field, spans_field, columns, where) -> list[tuple[Path, str, list[Span]]]:
    layout = _layout(messages_field)
    messages = layout.opened(row).get(messages_field)
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise SourceError(f"{where}: expected a list of messages in {messages_field!r}; choose from {few(row)}")
    if not all(spans_field in holder for holder in (row, *messages)):
        raise SourceError(f"{where}: a message has no {spans_field!r}; give what `slung label --messages-field` wrote")
    try:
        [found], _ = found_in_columns(SpansLabeler(where, spans_field), [row], layout, text_field)
    except RowError as error:
        raise SourceError(error.told(0)) from None
    parsed = layout.parsed(row)
    # a text in which nothing was found may be in no column
    paths = dict.fromkeys([*texts_of_chat(parsed, layout, columns), *found])
    return [(path, get(parsed, path), found.get(path, [])) for path in paths]


def _layout(messages_field: str | None) -> Layout:
    return Layout() if messages_field is None else Layout(messages_field, tools="tools")


def _weights(labelers, row, messages_field, text_field, where) -> Weights:
    """The weights of a row's texts that are not all 1. Those of several columns are multiplied."""
    weighed: Weights = {}
    for labeler in labelers:
        try:
            [found], _ = weights_in_columns(labeler, [row], _layout(messages_field), text_field)
        except RowError as error:
            raise SourceError(error.told(0, where)) from None
        for path, of_text in found.items():
            weighed[path] = weighed.get(path, 1.0) * of_text
    return weighed


def _lines(sources):
    for source in sources:
        for chunk in source.chunks():
            for number, reason in chunk.bad:
                raise SourceError(f"{source.path}, line {number}: {reason}; give what `slung label` wrote")
            for number, line in enumerate(chunk.content, chunk.first):
                if line.strip():
                    yield source.path, number, line


def _counted(lines, read):
    for line in lines:
        if read is not None:
            read.rows += 1
        yield line


def _sample(items, size: int, seed: int) -> list:
    """A uniform sample of `size` items, in their order (reservoir sampling)."""
    draw, kept = random.Random(seed), []
    for index, item in enumerate(items):
        if len(kept) < size:
            kept.append((index, item))
        elif (place := draw.randrange(index + 1)) < size:
            kept[place] = (index, item)
    return [item for _, item in sorted(kept, key=lambda pair: pair[0])]
