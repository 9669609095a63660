"""Unicode text folded for comparison, with a mapping back to its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from .characters import DIACRITICS, DRAWN, characters
from .fold_loop import fold

_DIACRITICS = re.compile(f"[{DIACRITICS}{DRAWN}]+")


class Folded:
    """A text in which different spellings of a name are equal; docs/labelers.md lists the spellings.

    Each run of white space and underscores folds to one space, with the marks of quotes and comments at line starts.
    Between Chinese characters and kana, white space is removed. Letters fold to NFKD: composition depends on the
    neighbors, decomposition does not. All apostrophes, hyphens and dashes fold to ASCII's, middle dots to the katakana
    one, lone surrogates to U+FFFD. White space between a hyphen and the next line is removed, and so is a soft hyphen at
    the end of a line. `IGNORABLE`, `DRAWN` and `CONTROL` characters are removed. So are `SIGNS` after a character,
    and asterisks next to one.

    Args:
        text: any Unicode.
        case_sensitive: whether upper and lower case differ.
        diacritics: whether `é` and `e` differ.

    Attributes:
        text: the folded text.
        edges: for each of its characters and for its end, whether a word may begin or end there: 1 or 0.
    """

    def __init__(self, text: str, case_sensitive: bool = True, diacritics: bool = True):
        self._source = text
        tables = characters(case_sensitive, diacritics)
        if text.isascii():
            points = np.frombuffer(text.encode(), np.uint8)
        else:
            points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        folded = _loop(points, tables)
        if len(points) and not len(folded[0]):
            tables.learn(point for point in np.unique(points).tolist() if not tables.kind[point])
            folded = _loop(points, tables)
        out, self._origin, edges, hyphens, gaps = folded
        self.text = out.tobytes().decode("ascii" if out.itemsize == 1 else "utf-32-le")
        if not case_sensitive:
            self.text = self.text.replace("\u0345", "\u03b9")
        self.edges = edges.tobytes()
        self._changes = sorted([(at, "") for at in hyphens.tolist()] + [(at, " ") for at in gaps.tolist()])

    def readings(self, reach: int) -> Iterator[tuple[str, list[int]]]:
        """Parts of the folded text, read in another way where it is not clear whether a word goes on.

        A hyphen at the end of a line is removed. A space is added where only invisible characters stand between a small
        letter and a capital.

        Args:
            reach: the most characters of interest on either side.

        Yields:
            The part, and for each of its characters the index in `text`.
        """
        changes = self._changes
        while changes:
            number = 1
            while number < len(changes) and changes[number][0] - changes[number - 1][0] <= 2 * reach:
                number += 1
            part, changes = changes[:number], changes[number:]
            done, stop = max(part[0][0] - reach, 0), min(part[-1][0] + 1 + reach, len(self.text))
            texts, places = [], []
            for at, added in part:
                texts += self.text[done:at], added
                places += range(done, at)
                places += [at] * len(added)
                done = at if added else at + 1
            texts.append(self.text[done:stop])
            places += range(done, stop)
            yield "".join(texts), places

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original text's characters `[start, end)` for a non-empty range of the folded text.

        A character that folds to several is included if any of them is in the range. Diacritics that do not count
        belong to their letters.
        """
        start, end = int(self._origin[start]), int(self._origin[end - 1]) + 1
        unmarked = _DIACRITICS.match(self._source, end)
        return start, unmarked.end() if unmarked else end


def _loop(points, tables):
    t = tables
    return fold(points, t.kind, t.letter, t.word, t.one, t.first, t.count, t.expansions, t.order, not t.case_sensitive)
