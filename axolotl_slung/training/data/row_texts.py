"""Labeled rows as texts with spans."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ...labeling.base import Span
from ...labels.spanned import SpannedText
from ...labels.tokens import as_offsets
from .places import clipped
from .row_labels import ADDED, Part
from .row_spans import Row
from .tagging import TaggingTokenizer, Text


def spanned_texts(row: Row, tokenizer: TaggingTokenizer) -> list[SpannedText]:
    """Each part of a labeled row as a text with the spans in it.

    Args:
        row: with spans on its texts.
        tokenizer: of its strategy.
    """
    edges = [_edges(text) for text in row.texts]
    return [_of_part(part, row.texts, edges, tokenizer) for part in row.parts]


def _of_part(part: Part, texts: list[Text], edges: list[np.ndarray], tokenizer: TaggingTokenizer) -> SpannedText:
    pieces: list[str] = []
    ends: list[np.ndarray] = []
    whole: list[Span] = []
    cut: list[Span] = []
    length = 0
    runs = list(_runs(part.places, texts))
    if runs and runs[-1][0] == ADDED:
        runs.pop()  # such as EOS
    for number, first, last in runs:
        if number == ADDED:
            names = [
                str(tokenizer.convert_ids_to_tokens(int(part.output["input_ids"][at]))) for at in range(first, last)
            ]
            pieces += names
            ends.append(length + np.cumsum([len(name) for name in names]))
        else:
            text, its = texts[number], edges[number]
            start = int(part.places[first]) - text.first
            places = its[start : start + last - first + 1]
            begin, end = int(places[0]), int(places[-1])
            pieces.append(text.text[begin:end])
            ends.append(length + places[1:] - begin)
            for span in text.spans:
                inside = begin <= span.start and span.end <= end
                for one in clipped([span], begin, end):
                    moved = one._replace(start=one.start + length, end=one.end + length)
                    (whole if inside else cut).append(moved)
        length = int(ends[-1][-1])
    edges_of_part = np.concatenate([[0], *ends]).astype(np.int64)
    return SpannedText("".join(pieces), edges_of_part, part.trained[: len(edges_of_part) - 1], whole, cut)


def _runs(places: np.ndarray, texts: list[Text]) -> Iterator[tuple[int, int, int]]:
    """Tokens `[first, last)` of a part that follow each other in one text: its index (or `ADDED`), first, last."""
    firsts = np.array([text.first for text in texts], dtype=np.int64)
    numbers = np.where(places == ADDED, ADDED, np.searchsorted(firsts, places, side="right") - 1)
    if not len(places):
        return
    same = (numbers[1:] == numbers[:-1]) & ((numbers[1:] == ADDED) | (places[1:] == places[:-1] + 1))
    bounds = [0, *(np.flatnonzero(~same) + 1).tolist(), len(places)]
    for first, last in pairwise(bounds):
        yield int(numbers[first]), first, last


def _edges(text: Text) -> np.ndarray:
    """Where the tokens of a text end, after a 0: int64 `[tokens + 1]`. Characters of no token go to the next one."""
    ends = np.maximum.accumulate(as_offsets(text.offsets, len(text.text))[:, 1])
    edges = np.concatenate([[0], ends]).astype(np.int64)
    if len(ends):
        edges[-1] = len(text.text)
    return edges
