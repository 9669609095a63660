"""Unicode text folded for comparison, with the way back to its characters."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

import regex

from .base import utf8_safe

# one character for one, so that offsets stand
_VARIANTS = str.maketrans(
    {
        **dict.fromkeys("\u0060\u00b4\u02b9\u02bb\u02bc\u02bd\u2018\u2019\u201b\u2032\u05f3", "'"),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\u058a\u05be", "-"),
    }
)
_ODD = re.compile(r"\s{2,}|[^\S ]|[^\x00-\x7f\s]+")
_CLUSTER = regex.compile(r"\p{M}+|\P{M}\p{M}*")
_MARK = regex.compile(r"\p{M}")
# the characters that make words together; those of scripts without spaces between words do not
_WORD = regex.compile(r"(?V1)[[\w\p{M}]--[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]")


class Folded:
    """A text in which NFKC-equal strings are equal, all apostrophes, all hyphens and all white space too.

    White space folds to one space a run, letters to NFKD (composition depends on the neighbours,
    decomposition does not). Lone surrogates fold to U+FFFD.

    Args:
        text: any Unicode.
        case_sensitive: whether upper and lower case differ.

    Attributes:
        text: the folded text.
    """

    def __init__(self, text: str, case_sensitive: bool = True):
        self._case_sensitive = case_sensitive
        # piece i is folded[starts[i]:starts[i + 1]], from text[origins[i]:origins[i + 1]]
        self._starts: list[int] = []
        self._origins: list[int] = []
        pieces: list[str] = []
        length = 0

        def add(piece, origin):
            nonlocal length
            self._starts.append(length)
            self._origins.append(origin)
            pieces.append(piece)
            length += len(piece)

        source = utf8_safe(text).translate(_VARIANTS)
        done = 0
        for odd in _ODD.finditer(source):
            if done < odd.start():
                add(self._fold(source[done : odd.start()]), done)
            done = odd.end()
            if odd[0].isspace():
                add(" ", odd.start())
                continue
            folded = self._fold(odd[0])
            if len(folded) == len(odd[0]):
                add(folded, odd.start())
            else:
                for cluster in _CLUSTER.finditer(odd[0]):
                    add(self._fold(cluster[0]), odd.start() + cluster.start())
        if done < len(source):
            add(self._fold(source[done:]), done)
        add("", len(source))
        self.text = "".join(pieces)

    def _fold(self, piece: str) -> str:
        if piece.isascii():
            return piece if self._case_sensitive else piece.lower()
        folded = unicodedata.normalize("NFKD", piece)
        if not self._case_sensitive:
            folded = unicodedata.normalize("NFKD", folded.casefold())
        # again: some apostrophes and hyphens come only out of NFKD
        return folded.translate(_VARIANTS)

    def boundary(self, index: int) -> bool:
        """Whether a word may begin or end before the folded text's character `index`."""
        if not 0 < index < len(self.text):
            return True
        before, after = self.text[index - 1], self.text[index]
        return not _MARK.match(after) and not (_WORD.match(before) and _WORD.match(after))

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original text's characters `[start, end)` of a piece of the folded text that is not empty.

        A character that folds to several belongs to the piece when any of them does.
        """
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        origin = self._origins[first] + start - self._starts[first]
        if end == self._starts[last + 1]:
            stop = self._origins[last + 1]
        else:
            stop = self._origins[last] + end - self._starts[last]
        return min(origin, self._origins[first + 1] - 1), min(stop, self._origins[last + 1])
