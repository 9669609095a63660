"""Words of texts, and the hashed features of each word: what a student reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ...compiled import jit

NGRAMS = (2, 6)
"""The shortest and the longest run of characters inside a word that is a feature."""

LONGEST = 48
"""Characters of a word that are read. A longer word has the features of its beginning."""

OTHERS = 9
"""Features of a word beside these: the word, the word without repeated characters, its shape, the two words on each side,
and the pair with each next one."""

_JOINERS = "'\u2019*@$#"
"""Signs that may stand inside a word, as in `don't` and `st*pid`."""

_SPACE, _LETTER, _JOINER, _SIGN = 0, 1, 2, 3
_KNOWN = 1 << 16
"""Characters beyond the first 65,536 count as letters. They are not folded."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_STAR = ord("*")
_EDGE = np.uint64(1)
"""Stands for the beginning and the end of a word, and for the neighbors beyond the ends of a text."""


class Words(NamedTuple):
    """The words of a batch of texts, in order. A run of signs is a word, too."""

    codes: np.ndarray
    """uint32 (characters,): the texts' characters, one text after the other."""
    starts: np.ndarray
    """int64 (words,): where each word begins in `codes`."""
    ends: np.ndarray
    """int64 (words,): the first place after it."""
    bounds: np.ndarray
    """int64 (texts + 1,): where each text begins in `codes`, and its end."""
    firsts: np.ndarray
    """int64 (texts + 1,): the number of the first word of each text, and of all words."""


def words_of(texts: Sequence[str]) -> Words:
    """The words of texts.

    A word is a run of letters, digits and marks. An apostrophe and the signs `*`, `@`, `$` and `#` may stand inside it, and
    stars at its end (`st***`). Other signs are words by themselves, each run of them one.

    Args:
        texts: any Unicode.
    """
    lengths = [len(text) for text in texts]
    bounds = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths, out=bounds[1:])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    starts, ends, firsts = _find(codes, bounds, _tables()[0])
    return Words(codes, starts, ends, bounds, firsts)


def hashes_of(words: Words) -> np.ndarray:
    """A hash of each word, uint64 (n,). Case and accents do not count."""
    return _hashes(words.codes, words.starts, words.ends, _tables()[1])


def sums_of(places: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum of the weights of each word's columns, float32 (n,).

    Args:
        places, columns: see `columns_of`.
        weights: float32 (buckets,).
    """
    return _sums(places, columns, weights)


def columns_of(words: Words, hashes: np.ndarray, buckets: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the features of the words `[first, last)`. A column may be there several times.

    Args:
        words: n words.
        hashes: `hashes_of` them.
        buckets: the number of columns, a power of two.
        first, last: the words.

    Returns:
        int64 (last - first + 1,), where each word's columns begin; and int32 (features,), the columns.
    """
    shift = np.uint64(65 - buckets.bit_length())
    return _columns(words.codes, words.starts, words.ends, words.firsts, hashes, *_tables(), shift, first, last)


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """The kind of each character, uint8 (65536,), and what it counts as, uint32 (65536,): small and without accents."""
    classes = np.full(_KNOWN, _SIGN, np.uint8)
    folded = np.arange(_KNOWN, dtype=np.uint32)
    for code in range(_KNOWN):
        character = chr(code)
        if character.isspace():
            classes[code] = _SPACE
        elif character.isalnum() or unicodedata.category(character)[0] == "M":
            classes[code] = _LETTER
        elif character in _JOINERS:
            classes[code] = _JOINER
        plain = unicodedata.normalize("NFKD", character)[:1].lower()
        if len(plain) == 1 and not 0xAC00 <= code < 0xD7A4:  # a Korean syllable is not its first letter
            folded[code] = ord(plain)
    folded[ord("\u2019")] = ord("'")
    return classes, folded


@jit
def _class(codes, place, classes):
    code = codes[place]
    return classes[code] if code < classes.size else np.uint8(1)


@jit
def _find(codes, bounds, classes):
    """`Words.starts`, `ends` and `firsts`."""
    starts, ends = np.empty(codes.size, np.int64), np.empty(codes.size, np.int64)
    firsts = np.zeros(bounds.size, np.int64)
    count = 0
    for text in range(bounds.size - 1):
        at, end = bounds[text], bounds[text + 1]
        first = at
        while at < end:
            kind = _class(codes, at, classes)
            if kind == _SPACE:
                at += 1
                continue
            start = at
            if kind == _LETTER:
                while True:
                    while at < end and _class(codes, at, classes) == _LETTER:
                        at += 1
                    ahead = at
                    while ahead < end and _class(codes, ahead, classes) == _JOINER:
                        ahead += 1
                    if ahead in (at, end) or _class(codes, ahead, classes) != _LETTER:
                        break
                    at = ahead
                # the stars of **bold** are not part of the word
                if start == first or codes[start - 1] != _STAR:
                    while at < end and codes[at] == _STAR:
                        at += 1
            else:
                while at < end and _class(codes, at, classes) >= _JOINER:
                    at += 1
            starts[count], ends[count] = start, at
            count += 1
        firsts[text + 1] = count
    return starts[:count].copy(), ends[:count].copy(), firsts


@jit
def _fold(code, folded):
    return np.uint64(folded[code]) if code < folded.size else np.uint64(code)


@jit
def _column(hashed, kind, shift):
    """The column of a feature: its kind and its hash, mixed."""
    hashed = hashed * _FACTOR + np.uint64(kind)
    mixed = (hashed ^ (hashed >> _HALF)) * _FACTOR
    return np.int32(((mixed ^ (mixed >> _HALF)) * _FACTOR) >> shift)


@jit
def _hashes(codes, starts, ends, folded):
    """See `hashes_of`."""
    hashes = np.empty(starts.size, np.uint64)
    for i in range(starts.size):
        hashed = np.uint64(7)
        for place in range(starts[i], min(ends[i], starts[i] + LONGEST)):
            hashed = hashed * _FACTOR + _fold(codes[place], folded)
        hashes[i] = hashed
    return hashes


@jit
def _columns(codes, starts, ends, firsts, hashes, classes, folded, shift, first, last):
    """See `columns_of`."""
    places = np.zeros(last - first + 1, np.int64)
    for i in range(first, last):
        length = min(ends[i] - starts[i], LONGEST)
        count = OTHERS
        for n in range(NGRAMS[0], NGRAMS[1] + 1):
            count += max(length + 3 - n, 0)
        places[i - first + 1] = places[i - first] + count
    columns = np.empty(places[-1], np.int32)
    plain = np.empty(LONGEST + 2, np.uint64)
    text = np.searchsorted(firsts, first, side="right") - 1
    for i in range(first, last):
        while i >= firsts[text + 1]:
            text += 1
        at = places[i - first]
        length = min(ends[i] - starts[i], LONGEST)
        squeezed, before = np.uint64(7), np.uint64(0)
        capitals = small = digits = signs = 0
        plain[0] = plain[length + 1] = _EDGE
        for k in range(length):
            code = codes[starts[i] + k]
            folded_code = _fold(code, folded)
            plain[k + 1] = folded_code
            if k == 0 or folded_code != before:  # the same for `stuuupid` and `stupid`
                squeezed = squeezed * _FACTOR + folded_code
            before = folded_code
            digits |= 48 <= folded_code <= 57
            signs |= _class(codes, starts[i] + k, classes) != _LETTER
            if 97 <= folded_code <= 122:
                capitals += code != folded_code
                small += code == folded_code
        case = 4 if capitals + small == 0 else 0 if capitals == 0 else 1 if capitals == 1 else 2 if small == 0 else 3
        own = hashes[i]
        columns[at] = _column(own, 10, shift)
        columns[at + 1] = _column(squeezed, 11, shift)
        columns[at + 2] = _column(np.uint64(case * 4 + digits * 2 + signs), 12, shift)
        for k in range(4):
            j = i + (-1, 1, -2, 2)[k]
            other = hashes[j] if firsts[text] <= j < firsts[text + 1] else _EDGE
            columns[at + 3 + k] = _column(other, 20 + k, shift)
            if k < 2:
                columns[at + 7 + k] = _column(other * _FACTOR + own, 24 + k, shift)
        at += OTHERS
        for k in range(length + 1):
            hashed = np.uint64(0)
            for n in range(1, min(NGRAMS[1], length + 2 - k) + 1):
                hashed = hashed * _FACTOR + plain[k + n - 1]
                if n >= NGRAMS[0]:
                    columns[at] = _column(hashed, 30 + n, shift)
                    at += 1
    return places, columns


@jit
def _sums(places, columns, weights):
    """See `sums_of`."""
    sums = np.zeros(places.size - 1, np.float32)
    for i in range(sums.size):
        for place in range(places[i], places[i + 1]):
            sums[i] += weights[columns[place]]
    return sums
