"""Unicode text folded for comparison, with a mapping back to its characters."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

import regex

from ..base import utf8_safe
from .pieces import Pieces

# one character for one, so offsets stay the same
_VARIANTS = str.maketrans(
    {
        **dict.fromkeys("\u0060\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\u2032\u05f3", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\u058a\u05be", "-"),
        "_": " ",
    }
)
_SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f_"
_WIDE_SPACE = re.compile(r"[^\S\x00-\x7f]")
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point, for use in a character class."""
SIGNS = "\u00a9\u00ae\u00b2\u00b3\u00b9\u2020\u2021\u2070\u2074-\u207e\u2117\u2120\u2122\U0001f16a-\U0001f16c"
"""Trademark signs, daggers, and superscripts except letters, for use in a character class."""

# for a text whose white space is only spaces: what may be omitted, with spaces around it; and non-ASCII characters
_ODD_ASCII = re.compile(r"(?P<loose> [ *]+|\*[ *]*)")
_ODD = re.compile(
    rf"(?P<loose> [ *{IGNORABLE}{SIGNS}]+|[*{IGNORABLE}{SIGNS}][ *{IGNORABLE}{SIGNS}]*)|[^\x00-\x7f{IGNORABLE}{SIGNS}]+"
)
_LOOSE = re.compile(rf"(?P<space> +)|(?P<stars>\*+)|(?P<sign>[{SIGNS}])|(?P<break>\u200b)|[{IGNORABLE}]")
# signs made of letters or digits: their folded characters look like parts of words
_MADE_OF_LETTERS = re.compile(
    "[\u00aa\u00ba\u10fc\u20a8\ufdfc\u00bc-\u00be\u02b0-\u02b8\u02e0-\u02e4\u1d2c-\u1d6a\u1d78\u1d9b-\u1dbf\u2071-\u209c\u2100-\u214f"
    "\u2150-\u218f\u2460-\u24ff\u2c7c\u2c7d\u2d6f\u3192-\u319f\u3200-\u33ff\ua69c\ua69d\ua770\ua7f1-\ua7f9\uab5c-\uab69"
    "\U00010780-\U000107bf\U0001e030-\U0001e06f\U0001f100-\U0001f2ff]"
)
_CLUSTER = regex.compile(r"\p{M}+|\P{M}\p{M}*")
_MARK = regex.compile(r"\p{M}")
_DIACRITICS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]+")
_UNMARKED = str.maketrans(
    {"Æ": "AE", "Ð": "D", "Ø": "O", "Þ": "TH", "ß": "ss", "æ": "ae", "ð": "d", "ø": "o", "þ": "th", "Đ": "D", "đ": "d"}
    | {"Ħ": "H", "ħ": "h", "ı": "i", "Ł": "L", "ł": "l", "Œ": "OE", "œ": "oe", "Ŧ": "T", "ŧ": "t"}
)
# the characters that form words; scripts without spaces between words are excluded
_WORD = regex.compile(r"(?V1)[[\w\p{M}]--[\p{Pc}\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]")


class Folded:
    """A text in which different spellings of a name are equal; docs/labelers.md lists the spellings.

    Each run of white space and underscores folds to one space. Letters fold to NFKD: composition depends on the
    neighbors, decomposition does not. All apostrophes and hyphens fold to ASCII's, lone surrogates to U+FFFD.
    `IGNORABLE` characters are removed. So are `SIGNS` after a character, and asterisks next to one.

    Args:
        text: any Unicode.
        case_sensitive: whether upper and lower case differ.
        diacritics: whether `é` and `e` differ.

    Attributes:
        text: the folded text.
    """

    def __init__(self, text: str, case_sensitive: bool = True, diacritics: bool = True):
        self._source = text
        self._options = case_sensitive, diacritics
        self._undotted = "I" if case_sensitive else "Ii"
        self._pieces = Pieces()
        self._parts: list[str] = []
        # positions in the folded text where a word ends, known only from the omitted characters
        self._breaks: set[int] = set()
        spaced = text
        for char in _SPACES:
            spaced = spaced.replace(char, " ")
        ascii = text.isascii()
        if not ascii:
            spaced = _WIDE_SPACE.sub(" ", spaced)
        self._made_of_letters = not ascii and _MADE_OF_LETTERS.search(text) is not None
        done = 0
        for odd in (_ODD_ASCII if ascii else _ODD).finditer(spaced):
            start, end = odd.span()
            if done < start:
                self._add(_ascii(spaced[done:start], case_sensitive), done, start)
            done = end
            if not odd.lastgroup:
                self._fold(spaced, start, end)
            elif odd[0].isspace():
                self._add(" ", start, end)
            else:
                self._leave_out(spaced, start, end)
        if done < len(spaced):
            self._add(_ascii(spaced[done:], case_sensitive), done, len(spaced))
        self.text = "".join(self._parts)

    def _add(self, folded: str, start: int, end: int) -> None:
        self._pieces.add(len(folded), start, end)
        self._parts.append(folded)

    def _leave_out(self, spaced: str, start: int, end: int) -> None:
        """Fold a run of spaces, asterisks, signs and ignorable characters."""
        before, ends_word, in_space = self._pieces.length, False, False
        runs = [run for run in _LOOSE.finditer(spaced, start, end) if run.lastgroup]
        kinds = ["" if start else "space", *(run.lastgroup for run in runs), ""]
        for run, last, kind, following in zip(runs, kinds, kinds[1:], kinds[2:]):
            if kind == "space":
                if not in_space:
                    self._add(" ", *run.span())
                in_space = True
            elif last == "space" and (kind == "sign" or (kind == "stars" and following == "space")):
                self._add(run[0], *run.span())
                in_space = False
            else:
                ends_word = True
        if ends_word and self._pieces.length == before:
            self._breaks.add(before)

    def _fold(self, spaced: str, start: int, end: int) -> None:
        """Fold a run of other non-ASCII characters."""
        for first, last, folded in _folded_run(spaced[start:end], *self._options):
            if first == 0 and folded[:1] == "\u0307" and start and spaced[start - 1] in self._undotted:
                folded = folded[1:]
            self._add(folded, start + first, start + last)

    def boundary(self, index: int) -> bool:
        """Whether a word may begin or end before the character `index` of the folded text."""
        if not 0 < index < len(self.text) or index in self._breaks:
            return True
        if _is_mark(self.text[index]):
            return False
        before = index - 1
        while before and _is_mark(self.text[before]):
            before -= 1
        return not (self._in_word(before) and self._in_word(index))

    def _in_word(self, index: int) -> bool:
        if not _in_words(self.text[index]):
            return False
        return not self._made_of_letters or _in_words(self._source[self._pieces.original(index, index + 1)[0]])

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original text's characters `[start, end)` for a non-empty range of the folded text.

        A character that folds to several is included if any of them is in the range. Diacritics that do not count
        belong to their letters.
        """
        start, end = self._pieces.original(start, end)
        unmarked = _DIACRITICS.match(self._source, end)
        return start, unmarked.end() if unmarked else end


def _ascii(piece: str, case_sensitive: bool) -> str:
    piece = piece.replace("`", "'")
    return piece if case_sensitive else piece.lower()


def _folded_run(run: str, case_sensitive: bool, diacritics: bool) -> list[tuple[int, int, str]]:
    """The characters `[start, end)` of a non-ASCII run, and what they fold to."""
    # words recur, so cache them
    if len(run) <= 32:
        return _folded_word(run, case_sensitive, diacritics)
    return _fold_run(run, case_sensitive, diacritics)


def _fold_run(run, case_sensitive, diacritics):
    folded = _fold(run, case_sensitive, diacritics)
    if len(folded) == len(run) and not _MARK.search(run):
        return [(0, len(run), folded)]
    return [(*one.span(), _fold(one[0], case_sensitive, diacritics)) for one in _CLUSTER.finditer(run)]


_folded_word = lru_cache(1 << 16)(_fold_run)


def _fold(piece: str, case_sensitive: bool, diacritics: bool) -> str:
    # the dot on a capital I does not count: of `i`, Turkish makes a dotted capital and other languages an undotted one
    folded = unicodedata.normalize("NFKD", utf8_safe(piece).translate(_VARIANTS))
    folded = folded.replace("\u1e9e", "SS").replace("I\u0307", "I")
    if not case_sensitive:
        folded = unicodedata.normalize("NFKD", folded.casefold()).replace("i\u0307", "i").replace("\u0131", "i")
    if not diacritics:
        folded = _DIACRITICS.sub("", folded).translate(_UNMARKED)
    # again, since some apostrophes and hyphens only appear after NFKD
    return folded.translate(_VARIANTS)


@cache
def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


@cache
def _in_words(char: str) -> bool:
    if char.isascii():
        return char.isalnum()
    if unicodedata.decomposition(char).startswith(("<super>", "<sub>")):
        return False
    return _WORD.match(char) is not None
