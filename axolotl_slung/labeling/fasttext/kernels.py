"""Inner loops that compute fastText's score of a line.

`buffer` is uint8 (bytes,): the UTF-8 of many lines. One line is the bytes `[start, end)`. Newlines count as spaces.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...compiled import jit

_FNV_START, _FNV_PRIME = np.uint64(2166136261), np.uint64(16777619)
_NGRAM_PRIME = np.uint64(116049371)
_LOW, _SIGN, _HALF = np.uint64(0xFFFFFFFF), np.uint64(0xFFFFFF00), np.uint64(32)
_END = np.uint64(int.from_bytes(b"</s>", "little"))
_LABEL = np.uint64(int.from_bytes(b"__label_", "little"))
"""The first eight of its nine bytes."""
_LONG = 1000


# from words to rows of the input matrix


class Vocabulary(NamedTuple):
    """fastText's dictionary. `content` is the model's file, uint8 (bytes,)."""

    content: np.ndarray
    places: np.ndarray
    """int64 (entries, 3): an entry's offset in `content`, its length in bytes, and its kind (0: word, 1: label).."""
    slots: np.ndarray
    """uint64 (a power of two, 2): a hash table of the entries. Columns: hash << 32 | entry + 1, and the text's
    first eight bytes, little-endian."""
    words: int
    bucket: int
    ngrams: int
    """The longest word n-gram."""
    minn: int
    maxn: int
    end_entry: int
    """The entry of `</s>`, or -1."""
    end_hash: int


@jit
def _separates(byte):
    return byte == 0x20 or 9 <= byte <= 13 or byte == 0


@jit
def _mix(h, byte):
    """Add one byte to a hash: FNV-1a over signed bytes. Only the lower 32 bits count."""
    wide = np.uint64(byte)
    return (h ^ (wide | _SIGN if byte >= 0x80 else wide)) * _FNV_PRIME


@jit
def index_words(content: np.ndarray, places: np.ndarray, slots: np.ndarray) -> tuple[np.int64 | int, np.int64]:
    """Fill `Vocabulary.slots`, which must be zeros. Returns the entry of `</s>` or -1, and its hash."""
    end_entry = np.int64(-1)
    # of two entries with the same text fastText finds the last one; it must be the first in its chain
    for entry in range(places.shape[0] - 1, -1, -1):
        start, length = places[entry, 0], places[entry, 1]
        h, head = _FNV_START, np.uint64(0)
        for i in range(length):
            h = _mix(h, content[start + i])
            if i < 8:
                head |= np.uint64(content[start + i]) << np.uint64(8 * i)
        h &= _LOW
        at = np.int64(h) & (slots.shape[0] - 1)
        while slots[at, 0] != 0:
            at = (at + 1) & (slots.shape[0] - 1)
        slots[at, 0], slots[at, 1] = h << _HALF | np.uint64(entry + 1), head
        if head == _END and length == 4 and end_entry < 0:
            end_entry = entry
    h = _FNV_START
    for shift in range(0, 32, 8):
        h = _mix(h, np.uint8(_END >> np.uint64(shift) & np.uint64(0xFF)))
    return end_entry, np.int64(h & _LOW)


@jit
def _byte_of(buffer, start, length, i):
    """Byte `i` of `<word>`."""
    if i == 0:
        return np.uint8(0x3C)
    return buffer[start + i - 1] if i <= length else np.uint8(0x3E)


@jit
def _add_subwords(buffer, start, length, known, rows, count):
    """Add the character n-grams of a word, in fastText's order and with its rules for the ends of a word."""
    for i in range(length + 2):
        if _byte_of(buffer, start, length, i) & 0xC0 == 0x80:
            continue
        h, j, n = _FNV_START, i, 1
        while j < length + 2 and n <= known.maxn:
            h = _mix(h, _byte_of(buffer, start, length, j))
            j += 1
            while j < length + 2 and _byte_of(buffer, start, length, j) & 0xC0 == 0x80:
                h = _mix(h, _byte_of(buffer, start, length, j))
                j += 1
            if n >= known.minn and not (n == 1 and (i == 0 or j == length + 2)):
                rows[count] = known.words + np.int64((h & _LOW) % np.uint64(known.bucket))
                count += 1
            n += 1
    return count


@jit
def rows_of(buffer: np.ndarray, start: int, end: int, known: Any, hashes: np.ndarray, rows: np.ndarray) -> int:
    """The rows of the input matrix for a line, in fastText's order.

    Args:
        known: a `Vocabulary`.
        hashes: int64 scratch, with room for one more than the line's words.
        rows: int32 scratch, with room for all the line's rows. It is filled.

    Returns:
        The number of rows.
    """
    # unpack the tuple once and call no function per word: numba counts references to each array that is passed
    content, places, slots = known.content, known.places, known.slots
    mask = slots.shape[0] - 1
    count, words, i = 0, 0, start
    while True:
        while i < end and _separates(buffer[i]):
            i += 1
        if i >= end:
            break
        first, h, head = i, _FNV_START, np.uint64(0)
        while i < end and not _separates(buffer[i]):
            h = _mix(h, buffer[i])
            i += 1
        h &= _LOW
        length = i - first
        for j in range(min(length, 8)):
            head |= np.uint64(buffer[first + j]) << np.uint64(8 * j)
        if head == _END and length == 4:
            break  # fastText stops here and takes it as the line's end
        entry, at = np.int64(-1), np.int64(h) & mask
        while slots[at, 0] != 0:
            if slots[at, 0] >> _HALF == h and slots[at, 1] == head:
                found = np.int64(slots[at, 0] & _LOW) - 1
                if places[found, 1] == length:
                    place, j = places[found, 0], 8
                    while j < length and content[place + j] == buffer[first + j]:
                        j += 1
                    if j >= length:
                        entry = found
                        break
            at = (at + 1) & mask
        if entry >= 0:
            if places[entry, 2] != 0:
                continue
            rows[count] = entry
            count += 1
        elif head == _LABEL and length >= 9 and buffer[first + 8] == 0x5F:
            continue  # a label in the text is not a word, known or unknown
        if known.maxn > 0:
            count = _add_subwords(buffer, first, length, known, rows, count)
        hashes[words] = np.int64(np.int32(np.uint32(h)))
        words += 1
    if known.end_entry >= 0:
        rows[count] = known.end_entry
        count += 1
    hashes[words] = np.int64(np.int32(np.uint32(known.end_hash)))
    words += 1
    bucket = np.uint64(max(known.bucket, 1))
    for i in range(words):
        h = np.uint64(hashes[i])
        for j in range(i + 1, min(words, i + known.ngrams)):
            h = h * _NGRAM_PRIME + np.uint64(hashes[j])
            rows[count] = known.words + np.int64(h % bucket)
            count += 1
    return count


# scores


@jit
def _reported(p):
    """The probability that fastText reports: exp(log(p + 1e-5)), in float32."""
    return math.exp(np.float32(math.log(np.float64(p) + 1e-5)))


@jit
def _clipped(z):
    """The score that fastText gives the label with an output of `z` above the other's, clipped to 1; float32."""
    small, large = np.float32(math.exp(-abs(np.float64(np.float32(z))))), np.float32(1)
    return min(_reported((large if z > 0 else small) / (large + small)), large)


@jit
def _holds_round(low, high):
    """Whether `[low, high]` contains a number of at most four significant digits."""
    if low <= 0:
        return True
    step = 10.0 ** (math.floor(math.log10(high)) - 3)
    return math.floor(high / step * (1 + 1e-12)) >= math.ceil(low / step * (1 - 1e-12))


@jit
def score(
    buffer: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    known: Any,
    hashes: np.ndarray,
    rows: np.ndarray,
    table: np.ndarray,
    dim: Any,
    target: int,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Score lines with a table of two floats per row (see `collapsed.py`).

    fastText's outputs have the rounding errors of count + dim additions in float32. These errors add up like a random
    walk. The errors of a line that repeats itself repeat too, in each dimension. Their scale is the mean of the sizes in
    the table: products that cancel to a small value have the errors of their own size. On 147,000 real sentences, eight trained models of 5 to 300 dimensions had less than
    half the error that is allowed here. Lines of more than `_LONG` rows are always left to fastText.

    Returns:
        scores, float32 (n,), in [0, 1]; and bool (n,), true if a threshold may lie between this score and fastText's.
        Such a score must be computed with fastText's arithmetic.
    """
    scores = np.empty(starts.size, np.float32)
    close = np.zeros(starts.size, np.bool_)
    for k in range(starts.size):
        count = rows_of(buffer, starts[k], ends[k], known, hashes, rows)
        if count == 0:
            scores[k] = 0  # fastText reports no label
            continue
        total, size = 0.0, 0.0
        for i in range(count):
            total += np.float64(table[rows[i], 0])
            size += np.float64(table[rows[i], 1])
        z = (total if target == 1 else -total) / count
        error = 2.0**-24 * (2 * math.sqrt(count + dim) + count / math.sqrt(dim)) * size / count
        low, high = _clipped(z - error), _clipped(z + error)
        if low == high:
            scores[k] = low
            continue
        scores[k] = _clipped(z)
        close[k] = count > _LONG or _holds_round(low, high) or _holds_round(1 - np.float64(high), 1 - np.float64(low))
        for threshold in thresholds:
            close[k] |= low <= threshold <= high
    return scores, close


@jit
def score_as_fasttext(
    buffer: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    known: Any,
    hashes: np.ndarray,
    rows: np.ndarray,
    matrix: int,
    output: np.ndarray,
    target: int,
) -> tuple[np.ndarray, int]:
    """Score lines with fastText's own arithmetic, bit by bit.

    Args:
        matrix: the offset of the input matrix in the model's file, in bytes.
        output: float32 (2, dim), the output matrix.
        target: the label's row in it.

    Returns:
        float32 (n,), not clipped; and a meaningless number. It keeps the compiler from removing the prefetching reads.
    """
    content = known.content
    scores = np.empty(starts.size, np.float32)
    asked = 0
    width = 4 * output.shape[1]
    row_bytes = np.empty(width, np.uint8)
    row = row_bytes.view(np.float32)
    hidden = np.empty(output.shape[1], np.float32)
    for k in range(starts.size):
        count = rows_of(buffer, starts[k], ends[k], known, hashes, rows)
        if count == 0:
            scores[k] = 0
            continue
        # the rows are far apart: prefetch all of them before the first is needed
        for i in range(count):
            at = matrix + np.int64(rows[i]) * width
            for j in range(at, at + width, 64):
                asked += content[j]
        hidden[:] = 0
        for i in range(count):
            # copied, because a row may begin at any byte of the file
            at = matrix + np.int64(rows[i]) * width
            row_bytes[:] = content[at : at + width]
            for j in range(hidden.size):
                hidden[j] += row[j]
        share = np.float32(1.0 / count)
        first, second = np.float32(0), np.float32(0)
        for j in range(hidden.size):
            hidden[j] *= share
            first += output[0, j] * hidden[j]
            second += output[1, j] * hidden[j]
        largest = max(first, second)
        first = np.float32(math.exp(np.float64(first - largest)))
        second = np.float32(math.exp(np.float64(second - largest)))
        scores[k] = _reported((second if target == 1 else first) / (first + second))
    return scores, asked
