"""The fast splitter: sentences end at end punctuation that a capital follows."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

from ...compiled import jit

# what blingfire counts as white space, which is not quite what Python does
WHITE = "".join(map(chr, [*range(0x21), 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060, 0x2420, 0x2424]))
WHITE += "\u3000\ufeff"

_SPACE, _BEGINS, _MARK, _END, _ALWAYS = 1, 2, 3, 4, 5
"""Kinds of characters: white space, what a sentence may begin with, punctuation, and that which ends a sentence before
white space or always. Anything else, such as a small letter, goes on with the sentence that it stands in."""

_ENDS = "!.?\u01c3\u06d4\u061f\u2024\u2026\u203c\u203d\u2048\u2049\u2404\ufe52\uff0e\uff61"

_ABBREVIATIONS = np.sort(
    [int.from_bytes(word, "big") for word in b"Mr Mrs Ms Dr St Prof Gen Col Capt Lt Rev Gov Sen".split()]
)
"""Of at most four letters, each as a number."""


@cache
def _classes() -> np.ndarray:
    """The kind of each character below U+10000, uint8."""
    classes = np.zeros(0x10000, np.uint8)
    for code, character in enumerate(map(chr, range(0x10000))):
        if character in WHITE:
            classes[code] = _SPACE
        elif character in _ENDS:
            classes[code] = _END
        elif character in "\u3002\uff1f\uff01\u2028\u2029":
            classes[code] = _ALWAYS
        elif unicodedata.category(character).startswith("P"):
            classes[code] = _MARK
        elif character.isupper() or (character.isalpha() and not character.islower()):
            classes[code] = _BEGINS
    return classes


def cut(data: bytes, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends and counts of the sentences; see `sentences.Sentences`.

    The rule is blingfire's main one, without its lists of abbreviations and of words that begin a sentence.
    """
    return _cut(np.frombuffer(data, np.uint8), bounds, _classes(), _ABBREVIATIONS)


@jit
def _kind(data, i, classes):
    """The kind of the character at a byte, and its bytes."""
    first = np.int64(data[i])
    if first < 0x80:
        return classes[first], 1
    if first < 0xE0:
        return classes[(first & 0x1F) << 6 | data[i + 1] & 0x3F], 2
    if first < 0xF0:
        return classes[(first & 0xF) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | data[i + 2] & 0x3F], 3
    return np.uint8(0), 4


@jit
def _abbreviated(data, start, i, abbreviations):
    """Whether the full stop at `i` stands behind an initial, a title or the like."""
    word, letters, j = 0, 0, i - 1
    while j >= start and letters < 5 and 0x41 <= data[j] & 0xDF <= 0x5A:
        word |= np.int64(data[j]) << (8 * letters)
        letters += 1
        j -= 1
    if letters == 0 or letters == 5:
        return False
    if j >= start and data[j] == 0x2E:
        return True
    if j >= start and (data[j] >= 0x80 or 0x30 <= data[j] <= 0x39):
        return False
    if letters == 1:
        return word < 0x60
    return abbreviations[min(np.searchsorted(abbreviations, word), abbreviations.size - 1)] == word


@jit
def _cut(data, bounds, classes, abbreviations):
    starts, ends = np.empty(data.size, np.int64), np.empty(data.size, np.int64)
    counts = np.zeros(bounds.size - 1, np.int64)
    found = 0
    for text in range(counts.size):
        i, stop, start, before = bounds[text], bounds[text + 1], -1, found
        while i < stop:
            if start >= 0:
                # nearly all there is: nothing that could end the sentence
                while i < stop and data[i] < 0x80 and classes[data[i]] < 4:
                    i += 1
                if i == stop:
                    break
            kind, width = _kind(data, i, classes)
            if start < 0 and kind != 1:
                start = i
            i += width
            if kind < 4:
                continue
            end = i
            if kind == 4:
                if data[i - 1] == 0x2E and _abbreviated(data, start, i - 1, abbreviations):
                    continue
                # over the marks and the white space that follow; what is attached to an end belongs to it
                previous, attached, spaced, quoted = 4, True, False, False
                while i < stop:
                    kind, width = _kind(data, i, classes)
                    if (kind == 1 and quoted) or kind == 0 or kind == 2 or kind == 5:
                        break
                    quoted = previous == 4 and data[i] == 0x22
                    spaced |= kind == 1 and previous == 4
                    attached = kind == 4 or (attached and kind == 3)
                    i += width
                    if attached:
                        end = i
                    previous = kind
                if i < stop and not ((kind == 2 and (spaced or previous == 1)) or kind == 1):
                    continue
            starts[found], ends[found] = start, end
            found += 1
            i, start = end, -1
        if start >= 0:
            starts[found], ends[found] = start, stop
            found += 1
        counts[text] = found - before
    return starts[:found].copy(), ends[:found].copy(), counts
