"""Finds names of invented entities in texts (paper section 5.2)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import regex

from ...errors import SlungError
from ...labeling.entities import EntitiesLabeler
from ...labeling.name_forms import first_and_last
from ...labeling.text.fold import Folded
from ...storage import read_text

BLOCK = 20
"""TOFU has this many questions per author, one after the other."""

_WORD = r"\p{Lu}[\p{L}\p{M}'’-]*"
_NAME = regex.compile(rf"{_WORD}(?: (?:\p{{Ll}}{{2,3}} ){{0,2}}{_WORD}){{1,3}}")
_POSSESSIVE = regex.compile(r"['’]s?$")


class Names:
    """First and last names, found at word boundaries in any Unicode spelling; case matters.

    Args:
        names: full names.
        released: match as the paper's released code does: any part of a name, lower-cased, anywhere in the text.
    """

    def __init__(self, names: Sequence[str], released: bool = False):
        self._released = released
        self._parts = sorted({part for name in names for part in self.parts(name)})
        ends = [part for name in names for part in first_and_last(name)]
        self._finder, self._remover = (EntitiesLabeler("names", names=some) for some in (ends, [*ends, *names]))

    def parts(self, name: str) -> set[str]:
        """The parts of a full name that count as saying it, folded: all Unicode spellings of a part are equal."""
        return set(_plain(name).split()) if self._released else set(first_and_last(name))

    def found(self, text: str) -> set[str]:
        """The parts of names in a text, in the form of `parts`."""
        if self._released:
            text = _plain(text)
            return {part for part in self._parts if part in text}
        return {Folded(text[span.start : span.end]).text for span in self._finder.label([text], [{}])[0]}

    def removed(self, text: str) -> str:
        """The text without names, found at word boundaries. A full name is removed whole, with its middle parts."""
        kept, done = [], 0
        for span in self._remover.label([text], [{}])[0]:
            kept.append(text[done : span.start])
            done = max(done, span.end)
        return "".join([*kept, text[done:]])


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


def read_names(option: str, path: str) -> list[str]:
    """The names in a file, one per line, without blank lines and lines that begin with `#`.

    Raises:
        SlungError: the file does not exist, or has no names.
    """
    lines = (line.strip() for line in read_text(option, Path(path).expanduser()).splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise SlungError(f"{option}: {path} has no names; write one per line")
    return names


def find_authors(option: str, rows: Sequence[Mapping]) -> list[str]:
    """The author of each row, for rows in blocks of `BLOCK` per author: the name that most rows of the block contain.

    It was right for all hundred TOFU authors on which it was tested (docs/measurements.md).

    Raises:
        SlungError: the rows are not in blocks, or most rows of a block have no name in common.
    """
    fix = f"set {option}_NAMES to a file of names, or add a column `author` to the rows"
    if len(rows) % BLOCK:
        raise SlungError(f"{option}: {len(rows)} rows, expected blocks of {BLOCK} questions per author; {fix}")
    authors = []
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        said = Counter(name for row in block for name in _candidates(f"{row['question']}\n{row['answer']}"))
        # a part of the name occurs at least as often as the whole name
        part = max(said, key=lambda name: (said[name], len(name)), default="")
        if said[part] < BLOCK / 2:
            raise SlungError(f"{option}: no author name found in rows {start + 1}-{start + BLOCK}; {fix}")
        authors += [max((name for name in said if part in name and said[name] >= 0.6 * said[part]), key=len)] * BLOCK
    return authors


def _candidates(text: str) -> set[str]:
    found = set()
    for run in _NAME.findall(text):
        words = _POSSESSIVE.sub("", run).split(" ")
        for first in range(len(words)):
            for last in range(first + 2, min(len(words), first + 6) + 1):
                name = words[first:last]
                if name[0][0].isupper() and name[-1][0].isupper():
                    found.add(" ".join(name))
    return found
