"""The inner loop that folds a text. `Folded` says what it does; `characters.py` fills its tables."""

from __future__ import annotations

import numpy as np

from ...compiled import jit

ONE, MANY, SPACE, NEWLINE, STAR, HYPHEN, BREAK, IGNORED, SIGN = range(1, 10)
"""Kinds of characters. `BREAK` is left out and ends a word, `IGNORED` is only left out."""
MARKING = 2
"""What `Characters.word` says of marks. It says 1 of other characters that form words."""
LOWER, UPPER, OTHER, TIGHT, MARK = range(1, 6)
"""Kinds of letters, and combining marks. `TIGHT` letters form words without spaces between them."""

_QUOTES = np.array([c in b">|#;%" for c in range(256)])
_SLASH, _BLANK, _DASH, _ASTERISK, _SOFT_HYPHEN, _DOT = ord("/"), ord(" "), ord("-"), ord("*"), 0xAD, 0x307
_CAPITAL_I, _SMALL_I = ord("I"), ord("i")
_MOST_SORTED = 64
"""The most marks that a mark moves forward past. Sorting more of them would take quadratic time."""


@jit
def _line_start(points, kind, one, i):
    """Where a line's own text begins: after the marks of quotes and comments, or at `i` without any."""
    start = i
    while i < points.shape[0]:
        point = one[points[i]]  # 0 for most kinds
        if kind[points[i]] == SPACE:
            i += 1
        elif point < 256 and _QUOTES[point]:
            i += 1
            start = i
        elif point == _SLASH and i + 1 < points.shape[0] and one[points[i + 1]] == _SLASH:
            i += 2
            start = i
        else:
            break
    return start


@jit
def _next_line(points, kind, one, i):
    """Where the next line's text begins if only white space stands before it and it is not blank; otherwise -1."""
    while i < points.shape[0] and kind[points[i]] == SPACE:
        i += 1
    if i == points.shape[0] or kind[points[i]] != NEWLINE:
        return -1
    i += 2 if points[i] == 13 and i + 1 < points.shape[0] and points[i + 1] == 10 else 1
    i = _line_start(points, kind, one, i)
    while i < points.shape[0] and kind[points[i]] == SPACE:
        i += 1
    return -1 if i == points.shape[0] or kind[points[i]] == NEWLINE else i


@jit
def _joined(last, following):
    """Whether a word may go on between letters of these kinds."""
    return 0 < last < MARK and 0 < following < MARK and not (last == LOWER and following == UPPER)


@jit
def fold(points, kind, letter, word, one, first, count, expansions, order, dotless):
    """Fold a text.

    Args:
        points: uint8 or uint32 (n,): the code points.
        kind, letter, word, one, first, count, expansions, order: see `Characters`.
        dotless: whether a dot on a small `i` does not count either.

    Returns:
        The folded code points, in the type of `points`, and for each its character's index, int32; whether a word may
        begin or end before each and at the end, bool; then indices of folded characters, int64: hyphens at line ends
        that may only divide a word, and places inside words where only invisible characters stand between a small
        letter and a capital. All are empty if a character is not in the tables yet.
    """
    n = points.shape[0]
    capacity = n
    for i in range(n):
        if kind[points[i]] == 0:
            capacity = -1
            break
        if count[points[i]] > 1:
            capacity += count[points[i]]
    out, origin = np.empty(max(capacity, 0), points.dtype), np.empty(max(capacity, 0), np.int32)
    # numba needs lists that show their type
    ends: list = [np.int64(-1)]
    hyphens: list = [np.int64(-1)]
    gaps: list = [np.int64(-1)]
    m = 0
    i = 0 if capacity >= 0 else n
    last = 0  # the kind of the last letter, if nothing stands after it but marks
    while i < n:
        point = points[i]
        what = kind[point]
        if what == ONE:
            out[m], origin[m] = one[point], i
            m += 1
            i += 1
            if letter[point] != MARK:
                last = letter[point]
        elif what == MANY:
            for k in range(first[point], first[point] + count[point]):
                m = _add(expansions[k], i, out, origin, m, order, dotless)
            i += 1
            if letter[point] != MARK:
                last = letter[point]
        elif what == HYPHEN:
            out[m], origin[m] = _DASH, i
            following = _next_line(points, kind, one, i + 1) if last else -1
            i += 1
            if following > 0 and letter[points[following]]:
                if _joined(last, letter[points[following]]):
                    hyphens.append(m)
                i = following
            m += 1
            last = 0
        else:
            before = m
            i, m, ends_word = _run(points, kind, letter, one, i, out, origin, m, last)
            following = letter[points[i]] if i < n else 0
            if m == before:
                if ends_word:
                    ends.append(m)
                if last == LOWER and following == UPPER:
                    gaps.append(m)
            elif m == before + 1 and out[before] == _BLANK and last == TIGHT and following == TIGHT:
                m = before
                ends.append(m)
            else:
                last = 0
    edges = _edges(points, out[:m], origin, word, np.array(ends[1:]))
    return out[:m], origin[:m], edges, np.array(hyphens[1:]), np.array(gaps[1:])


@jit
def _edges(points, out, origin, word, ends):
    edges = np.ones(out.shape[0] + 1, np.bool_)
    in_word = False  # the last character that is not a mark
    for k in range(out.shape[0]):
        # of some signs NFKD makes letters or digits
        of_folded, of_source = word[out[k]], word[points[origin[k]]]
        inside = of_folded > 0 and of_source > 0
        if k:
            edges[k] = of_folded < MARKING and not (in_word and inside)
        if of_folded < MARKING:
            in_word = inside
        elif k == 0:
            # a mark on something that is left out, such as an asterisk, is in no word
            in_word = inside and origin[0] == 0
    for at in ends:
        edges[at] = True
    return edges


@jit
def _run(points, kind, letter, one, i, out, origin, m, last):
    """Fold a run of white space, asterisks, signs and ignored characters.

    Returns where it ends, the length of `out`, and whether something left out ends a word.
    """
    before, ends_word, in_space, after_space = m, False, False, i == 0
    while i < points.shape[0]:
        what = kind[points[i]]
        if what in (SPACE, NEWLINE):
            if not in_space:
                out[m], origin[m] = _BLANK, i
                m += 1
            in_space = after_space = True
            i += 1
            if what == NEWLINE:
                i = _line_start(points, kind, one, i)
        elif what == STAR:
            stop = i + 1
            while stop < points.shape[0] and kind[points[stop]] == STAR:
                stop += 1
            beyond = stop
            while beyond < points.shape[0] and kind[points[beyond]] == IGNORED:
                beyond += 1
            spaced = beyond < points.shape[0] and (kind[points[beyond]] == SPACE or kind[points[beyond]] == NEWLINE)
            if after_space and spaced:  # it begins an item of a list
                for star in range(i, stop):
                    out[m], origin[m] = _ASTERISK, star
                    m += 1
                in_space = False
            else:
                ends_word = True
            after_space = False
            i = stop
        elif what == SIGN:
            if after_space:
                out[m], origin[m] = points[i], i
                m += 1
                in_space = False
            else:
                ends_word = True
            after_space = False
            i += 1
        elif what == BREAK:
            ends_word, after_space = True, False
            i += 1
        elif what == IGNORED:
            following = _next_line(points, kind, one, i + 1) if points[i] == _SOFT_HYPHEN and m == before else -1
            i = following if following > 0 and _joined(last, letter[points[following]]) else i + 1
        else:
            break
    return i, m, ends_word


@jit
def _add(char, i, out, origin, m, order, dotless):
    """Append one folded character. Marks are sorted by their class, as NFKD does. Returns the new length."""
    rank = order[char]
    k = m
    if rank:
        if char == _DOT:
            base = m - 1
            while base >= 0 and 0 < order[out[base]] < rank:
                base -= 1
            if base >= 0 and (out[base] == _CAPITAL_I or (dotless and out[base] == _SMALL_I)):
                return m
        while k and order[out[k - 1]] > rank and m - k < _MOST_SORTED:
            out[k] = out[k - 1]
            k -= 1
    out[k], origin[m] = char, i
    return m + 1
