"""Splits texts into sentences, as spans of characters or bytes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np
from livekit.blingfire import text_to_sentences_with_offsets

from ...compiled import jit
from ..base import LabelerError, utf8_safe

# blingfire's white space, which differs from Python's
WHITE = "".join(map(chr, [*range(0x21), 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060, 0x2420, 0x2424]))
WHITE += "\u3000\ufeff"


class Sentences(NamedTuple):
    """The sentences of a batch of texts, in order."""

    data: bytes
    """The texts' UTF-8."""
    starts: np.ndarray
    """int64 (sentences,): the start of each sentence in `data`, in bytes."""
    ends: np.ndarray
    characters: np.ndarray
    """int64 (sentences, 2): start and end of each sentence, in characters of its own text."""
    counts: np.ndarray
    """int64 (texts,): the number of sentences per text."""


def split(texts: Iterable[str]) -> list[list[tuple[int, int]]]:
    """Split texts into sentences with blingfire, as Dolma's taggers do.

    Args:
        texts: any Unicode. A lone surrogate counts as one ordinary character.

    Returns:
        For each text the characters `[start, end)` of its sentences: in order, not overlapping, each with at
        least one character. A sentence does not begin with white space, but may end with it. Every character
        outside the sentences is blingfire's white space (`WHITE`). A text of white space has no sentences.

    Raises:
        LabelerError: a text of a gigabyte or more.
    """
    return [_split(utf8_safe(text)) for text in texts]


def split_bytes(texts: Iterable[str]) -> Sentences:
    """`split` for UTF-8. A lone surrogate becomes U+FFFD."""
    texts = [utf8_safe(text) for text in texts]
    spans = [_split(text) for text in texts]
    encoded = [text.encode() for text in texts]
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=bounds[1:])
    data = b"".join(encoded)
    counts = np.array([len(of_text) for of_text in spans], np.int64)
    numbers = chain.from_iterable(chain.from_iterable(spans))
    characters = np.fromiter(numbers, np.int64, 2 * int(counts.sum())).reshape(-1, 2)
    starts, ends = _bytes(np.frombuffer(data, np.uint8), bounds, characters, counts)
    return Sentences(data, starts, ends, characters, counts)


def strip(sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the sentences in bytes, after `str.strip`. Both are equal if nothing is left."""
    return _strip(np.frombuffer(sentences.data, np.uint8), sentences.starts, sentences.ends)


def _split(text: str) -> list[tuple[int, int]]:
    """The sentences of one text without lone surrogates."""
    sentences, spans = text_to_sentences_with_offsets(text)
    if sentences:
        return spans
    # blingfire invents spans for white space, and has none for a text that is too long or only a byte order mark
    if text.strip(WHITE):
        raise LabelerError(
            f"a text of {len(text)} characters: is too long to split into sentences; cut it into shorter texts"
        )
    return []


@jit
def _bytes(data, bounds, characters, counts):
    """Starts and ends in bytes, int64 (sentences,)."""
    starts, ends = np.empty(len(characters), np.int64), np.empty(len(characters), np.int64)
    k = 0
    for text in range(counts.size):
        at, passed = bounds[text], 0
        for _ in range(counts[text]):
            at = _ahead(data, at, characters[k, 0] - passed)
            starts[k] = at
            at = _ahead(data, at, characters[k, 1] - characters[k, 0])
            ends[k] = at
            passed = characters[k, 1]
            k += 1
    return starts, ends


@jit
def _ahead(data, at, characters):
    """The byte offset after moving `characters` characters on from byte `at`."""
    for _ in range(characters):
        first = data[at]
        at += 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    return at


@jit
def _space(data, i):
    """The number of bytes of the character at `i` if it is Python's white space, otherwise 0."""
    first = data[i]
    if first < 0x80:
        return 1 if first == 0x20 or 9 <= first <= 13 or 0x1C <= first <= 0x1F else 0
    if first == 0xC2:
        return 2 if data[i + 1] == 0x85 or data[i + 1] == 0xA0 else 0
    if first < 0xE1 or first > 0xE3:
        return 0
    second, third = data[i + 1], data[i + 2]
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    if second == 0x80:
        return 3 if third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF else 0
    return 3 if second == 0x81 and third == 0x9F else 0


@jit
def _strip(data, starts, ends):
    """See `strip`."""
    first, last = starts.copy(), ends.copy()
    for k in range(starts.size):
        start, end = starts[k], ends[k]
        while start < end:
            width = _space(data, start)
            if width == 0:
                break
            start += width
        while start < end:
            i = end - 1
            while data[i] & 0xC0 == 0x80:
                i -= 1
            if _space(data, i) == 0:
                break
            end = i
        first[k], last[k] = start, end
    return first, last
