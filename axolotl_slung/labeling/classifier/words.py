"""Joins the scores of tokens to spans of words."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import repeat

import numpy as np
import regex

from ..base import Span
from ..text.characters import WORD


def word_spans(text: str, offsets: np.ndarray, scores: np.ndarray, kinds: Sequence[str], floor: float) -> list[Span]:
    """One span per word and kind, where the score is at least `floor`.

    Tokens are one word if no white space and no punctuation divides them: if they share characters, or if the
    characters on both sides of their border form words (`WORD`). A word's score is the highest of its tokens'.
    Characters between two words, which no token covers except with white space, belong to the word with the lower
    score. So they reach a score if both words do.

    Args:
        text: without lone surrogates.
        offsets: integers `[tokens, 2]`: characters `[start, end)` of the text, in order of `start`.
        scores: floats `[tokens, kinds]`, in [0, 1] up to rounding.
        kinds: the names of the scores.
        floor: the lowest score that gets a span.

    Returns:
        The spans in order of `start`.
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    kind_of = _tables()[points]
    starts, ends = _without_space(kind_of == _SPACE, offsets)
    (kept,) = np.nonzero(starts < ends)
    if not len(kept):
        return []
    starts, ends, scores = starts[kept], np.maximum.accumulate(ends[kept]), scores[kept]
    border, before = starts[1:], ends[:-1]
    in_word = kind_of == _WORD
    divided = (border > before) | ((border == before) & ~(in_word[border - 1] & in_word[border]))
    first = np.flatnonzero(np.append(True, divided))
    starts, ends = np.minimum.reduceat(starts, first), np.maximum.reduceat(ends, first)
    scores = np.minimum(np.maximum.reduceat(scores, first).astype(np.float64), 1.0)
    starts, ends = (np.repeat(edge[:, None], scores.shape[1], 1) for edge in (starts, ends))
    later = scores[1:] < scores[:-1]  # the gap belongs to the later of two words
    starts[1:], ends[:-1] = np.where(later, ends[:-1], starts[1:]), np.where(later, ends[:-1], starts[1:])
    word, kind = np.nonzero(scores >= floor)
    columns = (edges[word, kind].tolist() for edges in (starts, ends, scores))
    return sorted(map(Span._make, zip(*columns, repeat(""), [kinds[column] for column in kind.tolist()])))


def _without_space(space: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of tokens without the white space at their ends, int64 `[tokens]` each.

    Many tokenizers count the space before a word as part of it. A start is not below its end for a token of nothing
    else.
    """
    place = np.arange(len(space) + 1)
    following = np.append(np.where(space, len(space), place[:-1]), len(space))  # the next character except spaces
    following = np.minimum.accumulate(following[::-1])[::-1]
    preceding = np.maximum.accumulate(np.append(0, np.where(space, 0, place[1:])))
    return following[offsets[:, 0]], preceding[offsets[:, 1]]


_SPACE, _WORD = 1, 2


@cache
def _tables() -> np.ndarray:
    """Whether a character is white space or forms words, uint8 (0x110000,)."""
    tables = np.zeros(sys.maxunicode + 1, np.uint8)
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    for kind, pattern in ((_SPACE, re.compile(r"\s+")), (_WORD, regex.compile(f"{WORD.pattern}+"))):
        for match in pattern.finditer(every):
            tables[match.start() : match.end()] = kind
    return tables
