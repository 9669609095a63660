"""The documents that a student learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..corpus.sources import Source, SourceError
from ..errors import few
from ..label_stats.gold import rows_of, texts_of
from ..labeling.base import LabelerError, Span, utf8_safe
from ..labeling.rows.fields import Layout
from ..labeling.spans import parse_spans


class Document(NamedTuple):
    """A text with its spans. A span without a score has the score 1."""

    where: str
    """Its place, for messages and for the list of uncertain spans."""
    text: str
    spans: list[Span]

    def place(self, seed: int) -> float:
        """A number in [0, 1) by its text, so that equal texts are on the same side of every division."""
        digest = hashlib.sha256(f"{seed}\0{self.text}".encode()).digest()
        return int.from_bytes(digest[:6]) / (1 << 48)


def documents_of(
    sources: Sequence[Source],
    text_field: str,
    spans_field: str | None,
    kinds: Collection[str] = (),
    messages_field: str | None = None,
) -> Iterator[Document]:
    """The documents of files.

    Args:
        sources: see `corpus.inputs.find_sources`.
        text_field: the column of text, or `a.b` in nested mappings. In chats, the key of each message's text.
        spans_field: the column of spans, in any form that the `spans` labeler reads; None reads texts only.
        kinds: of a column that maps labelers' names to spans, the names that count; empty for all.
        messages_field: the column of a chat's messages, each of which is a document; None if rows are not chats.

    Raises:
        SourceError: a row cannot be read, or lacks a column, or a kind.
    """
    layout = Layout() if messages_field is None else Layout(messages_field)
    seen: set[str] = set()
    for where, row in rows_of(sources):
        for place, beside, text in texts_of(where, row, [text_field], spans_field, layout):
            spans = []
            if spans_field is not None:
                if spans_field not in beside:
                    raise SourceError(f"{place}: no column {spans_field!r}; choose from {few(beside)}")
                try:
                    spans = parse_spans(beside[spans_field], text, f"{place}, {spans_field!r}")
                except LabelerError as error:
                    raise SourceError(str(error)) from None
                seen |= {span.labeler for span in spans}
            yield Document(place, utf8_safe(text), [span for span in spans if not kinds or span.labeler in kinds])
    if missing := sorted(set(kinds) - seen):
        raise SourceError(f"--kind: {few(missing)}: no span has this name; the column has {few(sorted(seen - {''}))}")


def targets_of(documents: Sequence[Document], starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """What each word should score: the mean over its characters of the highest score of their spans.

    Args:
        documents: in the order of `words.words_of` their texts.
        starts, ends: int64 (words,), as `Words` has them.

    Returns:
        float64 (words,), in [0, 1].
    """
    lengths = [len(document.text) for document in documents]
    scores = np.zeros(sum(lengths) + 1)
    first = 0
    for document, length in zip(documents, lengths):
        for span in document.spans:
            part = scores[first + span.start : first + span.end]
            np.maximum(part, span.score, out=part)
        first += length
    # exact for scores of 0 and 1, which are nearly all
    sums = np.concatenate([[0.0], np.cumsum(scores[:-1])])
    return np.clip((sums[ends] - sums[starts]) / (ends - starts), 0, 1)
