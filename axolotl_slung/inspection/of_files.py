"""Labeled documents from files that `slung label` wrote."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ..config import SlungConfig
from ..corpus.sources import Source, SourceError
from ..labeling.base import utf8_safe
from ..labeling.rows.fields import get, path_of
from ..labeling.scores import Scale
from ..labeling.spans import parse_spans
from ..labels.documents import LabeledDocument, document
from ..labels.offsets import Offsets


def documents_of_files(
    sources: Sequence[Source],
    tokenizer,
    block: SlungConfig,
    limit: int | None = None,
    seed: int = 0,
    text_field: str = "text",
    spans_field: str = "spans",
    read: Any = None,
) -> Iterator[LabeledDocument]:
    """Tokenize labeled documents.

    Args:
        sources: JSON lines with spans, as `slung label` writes them.
        tokenizer: the model's fast tokenizer.
        block: its buckets and overlap are used, and the cuts of its labeler, which is `spans`.
        limit: number of documents to draw at random; None yields all.
        seed: seed of the random draw.
        text_field, spans_field: the columns. `a.b` is a text in a mapping.
        read: its attribute `rows` is increased by every line that is read, drawn or not.

    Yields:
        The documents, in file order.

    Raises:
        LabelerError: a span does not fit its text.
        SourceError: a line has no text or no spans, or cannot be read.
    """
    encode, buckets, pair = Offsets(tokenizer), block.resolved_buckets(), block.scale()
    scale = pair and Scale("slung.labelers[0]", block.labelers[0].cuts_made(), pair)
    lines = _counted(_lines(sources), read)
    if limit is not None:
        lines = _sample(lines, limit, seed)
    for path, number, line in lines:
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        path = path_of(row, text_field) if isinstance(row, dict) else None
        if path is None or not isinstance(get(row, path), str) or spans_field not in row:
            raise SourceError(
                f"{where}: expected columns {text_field!r} and {spans_field!r}; give what `slung label` wrote"
            )
        text = get(row, path)
        spans = parse_spans(row[spans_field], text, f"{where}, {spans_field!r}")
        spans = spans if scale is None else scale.put(spans)
        offsets = encode(utf8_safe(text), add_special_tokens=False)[1]
        yield document(str(row.get("id", where)), text, offsets, spans, buckets, block.overlap)


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
