r"""N-grams of words and of characters, hashed into a table: the features of a linear scorer.

A text is lower-cased and cut into tokens: words, with the signs inside them ("f\*\*k"), and runs of other signs. Words count
as single tokens and as pairs, characters as runs within one token with a blank on each side. Every n-gram is hashed to
a column. Nothing has to be stored about n-grams, and any text has features.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CHARACTERS = (2, 3, 4, 5)
"""The lengths of runs of characters, with the blanks."""

_tokens_of = re.compile(r"\w+(?:[^\w\s]+\w+)*|[^\w\s]+").findall
_BLANK, _FACTOR = 32, np.uint64(0x9E3779B97F4A7C15)
_BATCH = 1000
"""Texts that are read at once; this bounds the memory."""


class Cells(NamedTuple):
    """A sparse matrix with a row per text: each cell that is not 0, sorted by row and column."""

    rows: np.ndarray
    """int64 (cells,)"""
    columns: np.ndarray
    """int64 (cells,): below 2 * `buckets`; words in the first half, characters in the second."""
    values: np.ndarray
    """float64 (cells,)"""


def batches(count: int) -> list[slice]:
    """Slices of at most 1000 texts, in order."""
    return [slice(first, first + _BATCH) for first in range(0, count, _BATCH)]


def counts(texts: Sequence[str], buckets: int) -> Cells:
    """How often each text has the n-grams of each column, as 1 + ln(times).

    Args:
        texts: n texts without lone surrogates.
        buckets: columns for words, and as many for characters; a power of two.
    """
    tokens = [_tokens_of(text.lower()) for text in texts]
    cells = [
        rows * (2 * buckets) + half * buckets + _bucket(hashed, buckets)
        for half, (rows, hashed) in enumerate((_words(tokens), _characters(tokens)))
    ]
    cells, times = np.unique(np.concatenate(cells), return_counts=True)
    rows, columns = np.divmod(cells, 2 * buckets)
    return Cells(rows, columns, 1 + np.log(times))


def weighed(cells: Cells, weights: np.ndarray, texts: int) -> Cells:
    """The cells times their columns' weights. Then each text's words, and each text's characters, have length 1.

    Args:
        cells: see `counts`.
        weights: float (2 * buckets,): a weight for each column, above 0.
        texts: the number of rows.
    """
    values = cells.values * weights[cells.columns]
    parts = 2 * cells.rows + (cells.columns >= len(weights) // 2)
    lengths = np.sqrt(np.bincount(parts, values**2, 2 * texts))
    return cells._replace(values=values / lengths[parts])


def _bucket(hashed: np.ndarray, buckets: int) -> np.ndarray:
    mixed = (hashed ^ (hashed >> np.uint64(32))) * _FACTOR
    return (mixed >> np.uint64(65 - buckets.bit_length())).astype(np.int64)


def _words(tokens: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """The row and hash of each token and of each pair of neighbors: int64 and uint64 (n-grams,)."""
    rows = np.repeat(np.arange(len(tokens)), [len(some) for some in tokens])
    known: dict[str, int] = {}
    flat = [token for some in tokens for token in some]
    for token in flat:
        if token not in known:
            known[token] = zlib.crc32(token.encode()) + 1
    single = np.array([known[token] for token in flat], np.uint64)
    together = rows[1:] == rows[:-1]
    pairs = (single[:-1] * _FACTOR + single[1:])[together]
    return np.concatenate([rows, rows[1:][together]]), np.concatenate([single, pairs])


def _characters(tokens: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """The row and hash of each run of characters: int64 and uint64 (n-grams,)."""
    lines = [f" {' '.join(some)} " if some else "" for some in tokens]
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    codes = np.frombuffer("".join(lines).encode("utf-32-le"), np.uint32).astype(np.uint64)
    blank = codes == _BLANK
    # how many blanks come before each character
    before = np.concatenate([[0], np.cumsum(blank)])
    hashed, found = codes, []
    for length in range(2, max(CHARACTERS) + 1):
        if len(codes) < length:
            break
        hashed = hashed[:-1] * _FACTOR + codes[length - 1 :]
        if length not in CHARACTERS:
            continue
        starts = np.arange(len(hashed))
        # within one token: no blank inside; two blanks are the end of a text and the beginning of the next
        inside = before[starts + length - 1] - before[starts + 1]
        whole = (inside == 0) & ~(blank[starts] & blank[starts + 1])
        found.append((rows[: len(starts)][whole], hashed[whole] + np.uint64(length)))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    rows, hashes = zip(*found)
    return np.concatenate(rows), np.concatenate(hashes)
