"""Texts into sentences, as spans of characters or of bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ...compiled import jit
from ..base import LabelerError, utf8_safe
from .punctuation import WHITE, cut


class Sentences(NamedTuple):
    """The sentences of a batch of texts, as bytes of the texts' UTF-8, one after the other."""

    data: bytes
    bounds: np.ndarray
    """int64 (texts + 1,): where in `data` each text begins, and its end."""
    starts: np.ndarray
    """int64 (sentences,)"""
    ends: np.ndarray
    counts: np.ndarray
    """int64 (texts,): how many sentences each has."""

    def characters(self) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends as characters of each sentence's text, int64 (sentences,)."""
        return _characters(np.frombuffer(self.data, np.uint8), self.bounds, self.starts, self.ends, self.counts)


def split(texts: Sequence[str], splitter: str = "blingfire") -> list[list[tuple[int, int]]]:
    """Split texts into sentences.

    Args:
        texts: any Unicode; a lone surrogate counts as one ordinary character.
        splitter: a key of `SPLITTERS`. `blingfire` cuts as Dolma's taggers do; `punctuation` is ten times as
            fast and cuts after end punctuation that a capital follows, but for a few abbreviations; 996 of a thousand
            boundaries are blingfire's.

    Returns:
        For each text the characters `[start, end)` of its sentences: in order, not overlapping, each with at
        least one character. A sentence begins at a character that is not white space; it may end with some.
        Every character outside the sentences is white space (blingfire's notion of it, which has U+200B to
        U+200F, U+2420 and U+2424 too). A text of white space has no sentences.

    Raises:
        LabelerError: a text of a gigabyte or more.
    """
    sentences = split_bytes(texts, splitter)
    starts, ends = sentences.characters()
    spans = list(zip(starts.tolist(), ends.tolist()))
    stops = np.cumsum(sentences.counts).tolist()
    return [spans[stop - count : stop] for stop, count in zip(stops, sentences.counts.tolist())]


def split_bytes(texts: Iterable[str], splitter: str = "blingfire") -> Sentences:
    """`split`, for those who work on UTF-8; a lone surrogate becomes U+FFFD."""
    encoded = [_utf8(text) for text in texts]
    bounds = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=bounds[1:])
    data = b"".join(encoded)
    return Sentences(data, bounds, *SPLITTERS[splitter](encoded, data, bounds))


def strip(sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the sentences, in bytes, as `str.strip` leaves them; equal where nothing is left."""
    return _strip(np.frombuffer(sentences.data, np.uint8), sentences.starts, sentences.ends)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return utf8_safe(text).encode()


def _blingfire(encoded: list[bytes], data: bytes, bounds: np.ndarray):
    """Blingfire's own boundaries, as `blingfire.text_to_sentences_and_offsets` has them.

    That function calls the same routine of blingfire's library, and then walks through the bytes one by one, in Python.
    """
    function = _blingfire_function()
    longest = max(map(len, encoded), default=0)
    starts, ends = np.zeros(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    text_out = ctypes.create_string_buffer(longest + 1)
    addresses = ctypes.addressof(text_out), starts.ctypes.data, ends.ctypes.data
    counts = np.zeros(len(encoded), np.int64)
    found_starts, found_ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for i, text in enumerate(encoded):
        if not text:
            continue
        # it clears as much of the two arrays as it is told that they have: first try with as much as is usual
        for room in (len(text) // 16 + 1, len(text) + 1):
            size = function(text, len(text), *addresses, room)
            # strictly ascending, and zeros behind them; the first may be zero itself
            count = np.count_nonzero(starts[1:room]) + 1
            if count < room:
                break
        # the size is that of the sentences, newlines between them and a NUL: 1 for a text of white space alone. Of a
        # text that it cannot take (a gigabyte or more) it is -1, and of one that is nothing but a byte order mark
        if size > 1:
            counts[i] = count
            found_starts.append(starts[:count] + bounds[i])
            found_ends.append(ends[:count] + (bounds[i] + 1))
        elif size < 0 and text.decode().strip(WHITE):
            raise LabelerError(
                f"slung.sentence_splitter: blingfire cannot split a text of {len(text)} bytes; cut it into smaller ones"
            )
    return np.concatenate(found_starts), np.concatenate(found_ends), counts


@cache
def _blingfire_function():
    import blingfire

    # by index: a function of its own, whose argument types are nobody else's
    function = blingfire.blingfire["TextToSentencesWithOffsets"]
    function.argtypes = [ctypes.c_char_p, ctypes.c_int, *[ctypes.c_void_p] * 3, ctypes.c_int]
    return function


def _punctuation(encoded: list[bytes], data: bytes, bounds: np.ndarray):
    return cut(data, bounds)


SPLITTERS = {"blingfire": _blingfire, "punctuation": _punctuation}


@jit
def _characters(data, bounds, starts, ends, counts):
    """See `Sentences.characters`."""
    first, last = np.empty_like(starts), np.empty_like(ends)
    k = 0
    for text in range(counts.size):
        at, characters = bounds[text], 0
        for _ in range(counts[text]):
            for i in range(at, starts[k]):
                characters += data[i] & 0xC0 != 0x80
            first[k] = characters
            for i in range(starts[k], ends[k]):
                characters += data[i] & 0xC0 != 0x80
            last[k] = characters
            at = ends[k]
            k += 1
    return first, last


@jit
def _space(data, i):
    """How many bytes the character at `i` has if it is white space to Python, or else 0."""
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
