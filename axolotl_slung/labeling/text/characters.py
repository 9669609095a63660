"""What single characters mean to `Folded`: tables over Unicode, filled as characters appear."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from threading import Lock

import numpy as np
import regex

from ..base import utf8_safe
from .fold_loop import (
    BREAK,
    HYPHEN,
    IGNORED,
    LOWER,
    MANY,
    MARK,
    MARKING,
    NEWLINE,
    ONE,
    OTHER,
    SIGN,
    SPACE,
    STAR,
    TIGHT,
    UPPER,
)

IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point, for use in a character class."""
DIACRITICS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f"
)
"""Marks of Latin, Greek, Cyrillic, Hebrew and Arabic letters, for use in a character class."""
DRAWN = "\u0305\u0332\u0333\u0335-\u0338\u0488\u0489\u1abe\u20d0-\u20f0\ua670-\ua672\u0640"
"""Marks that underline, strike out or enclose a character, and Arabic's sign that makes a word longer, for use in a
character class."""
CONTROL = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufff9-\ufffb"
"""Control characters that are not white space, for use in a character class."""
SIGNS = "\u00a9\u00ae\u00b2\u00b3\u00b9\u2020\u2021\u2070\u2074-\u207e\u2117\u2120\u2122\U0001f16a-\U0001f16c"
"""Trademark signs, daggers, and superscripts except letters, for use in a character class."""
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc"
"""Characters between which white space does not count, for use in a character class of `regex`."""

WORD = regex.compile(r"(?V1)[\w--[\p{Pc}\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]")
"""A character that forms words. Scripts without spaces between words are excluded."""
_NEWLINES = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BLANKS = "_\u2800"
# one character for one, so that they can be replaced before and after NFKD
_VARIANTS = str.maketrans(
    {
        **dict.fromkeys("\u0060\u00b4\u02b9\u02bb\u02bc\u02bd\u055a\u2018\u2019\u201b\u2032\u05f3\ua78b\ua78c", "'"),
        **dict.fromkeys("\u058a\u05be\u1400\u1806\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d\u30a0\U00010ead", "-"),
        **dict.fromkeys(map(chr, range(0x2010, 0x2016)), "-"),
        **dict.fromkeys("\u00b7\u0387\u2022\u2027\u2219\u22c5", "\u30fb"),
    }
)
_DIACRITICS = re.compile(f"[{DIACRITICS}]+")
_UNMARKED = str.maketrans(
    {"Æ": "AE", "Ð": "D", "Ø": "O", "Þ": "TH", "ß": "ss", "æ": "ae", "ð": "d", "ø": "o", "þ": "th", "Đ": "D", "đ": "d"}
    | {"Ħ": "H", "ħ": "h", "ı": "i", "Ł": "L", "ł": "l", "Œ": "OE", "œ": "oe", "Ŧ": "T", "ŧ": "t"}
)
_IOTA = "\u0345"
"""A mark that becomes a letter where case does not count. NFKD has to sort it as a mark first."""

_KINDS = (
    (re.compile(f"[{_NEWLINES}]"), NEWLINE),
    (re.compile(rf"[\s{_BLANKS}]"), SPACE),
    (re.compile("[*\ufe61\uff0a]"), STAR),
    (re.compile("[-\u2010\u2011\ufe63\uff0d]"), HYPHEN),
    (re.compile(f"[\u200b{CONTROL}]"), BREAK),
    (re.compile(f"[{IGNORABLE}{DRAWN}]"), IGNORED),
    (re.compile(f"[{SIGNS}]"), SIGN),
)
_LETTERS = (
    (regex.compile(f"[{UNSPACED}]"), TIGHT),
    (regex.compile(r"\p{M}"), MARK),
    (regex.compile(r"\p{Ll}"), LOWER),
    (regex.compile(r"[\p{Lu}\p{Lt}]"), UPPER),
    (regex.compile(r"(?!\u0640)\p{L}"), OTHER),
)
_NOT_DRAWN = re.compile(f"[{DRAWN}]")
_EXPANSIONS = 1 << 17
"""Space for what all of Unicode expands to."""
_AT_ONCE = range(0x530)
"""Latin, Greek and Cyrillic: learned when the tables are made."""


class Characters:
    """Tables that `fold_loop.fold` reads, one entry per code point.

    Args:
        case_sensitive, diacritics: see `Folded`.

    Attributes:
        kind, letter: uint8 (0x110000,): the classes of `fold_loop`. Kind 0: not learned yet.
        word: uint8 (0x110000,): whether a character is part of words, and `MARKING` for marks.
        one: uint32 (0x110000,): what a character of the kind `ONE` folds to.
        first, count: int32 and uint8 (0x110000,): what other characters fold to, as a range of `expansions`.
        expansions: uint32 (any,): never moved, since another thread may be reading it.
        order: uint8 (0x110000,): combining classes of folded characters, by which marks are sorted.
    """

    def __init__(self, case_sensitive: bool, diacritics: bool):
        self.case_sensitive, self.diacritics = case_sensitive, diacritics
        size = sys.maxunicode + 1
        self.kind, self.letter, self.word, self.count, self.order = (np.zeros(size, np.uint8) for _ in range(5))
        self.one, self.first = np.zeros(size, np.uint32), np.zeros(size, np.int32)
        self.expansions, self._used = np.zeros(_EXPANSIONS, np.uint32), 0
        self._learning = Lock()
        self.learn(_AT_ONCE)

    def learn(self, points: Iterable[int]) -> None:
        """Fill the tables for these code points."""
        with self._learning:
            for point in points:
                if not self.kind[point]:
                    # last: as soon as the kind is set, another thread may use the rest
                    self.kind[point] = self._learned(point)

    def _learned(self, point: int) -> int:
        char = chr(point)
        self.letter[point] = next((letter for pattern, letter in _LETTERS if pattern.match(char)), 0)
        self.word[point] = _in_words(char)
        kind = next((kind for pattern, kind in _KINDS if pattern.match(char)), 0)
        if kind:
            return kind
        folded = [ord(one) for one in self.fold(char)]
        for one in folded:
            self.order[one], self.word[one] = unicodedata.combining(chr(one)), _in_words(chr(one))
        if len(folded) == 1 and not self.order[folded[0]]:
            self.one[point] = folded[0]
            return ONE
        start, self._used = self._used, self._used + len(folded)
        self.expansions[start : self._used] = folded
        self.first[point], self.count[point] = start, len(folded)
        return MANY

    def fold(self, char: str) -> str:
        """What one character folds to."""
        folded = unicodedata.normalize("NFKD", utf8_safe(char).translate(_VARIANTS))
        parts = map(self._cased, _NOT_DRAWN.sub("", folded).split(_IOTA))
        return (_IOTA if self.diacritics else "").join(parts)

    def _cased(self, folded: str) -> str:
        # the dot on a capital I does not count: of `i`, Turkish makes a dotted capital, other languages an undotted one
        folded = folded.replace("\u1e9e", "SS").replace("I\u0307", "I")
        if not self.case_sensitive:
            folded = unicodedata.normalize("NFKD", folded.casefold()).replace("i\u0307", "i").replace("\u0131", "i")
        if not self.diacritics:
            folded = _DIACRITICS.sub("", folded).translate(_UNMARKED)
        # again, since some apostrophes and hyphens only appear after NFKD
        return folded.translate(_VARIANTS)


@cache
def _in_words(char: str) -> int:
    if unicodedata.category(char)[0] == "M":
        return MARKING
    if char.isascii():
        return char.isalnum()
    if unicodedata.decomposition(char).startswith(("<super>", "<sub>")):
        return 0
    return WORD.match(char) is not None


@cache
def characters(case_sensitive: bool, diacritics: bool) -> Characters:
    """The tables of this process."""
    return Characters(case_sensitive, diacritics)
