"""Finds names of invented entities in texts (paper section 5.2)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
        self._full = list(names)
        self._parts = sorted({part for name in names for part in self.parts(name)})
        ends = [part for name in names for part in first_and_last(name)]
        self._finder, self._remover = (EntitiesLabeler("names", names=some) for some in (ends, [*ends, *names]))
        self._of_one: dict[str, EntitiesLabeler] = {}

    def parts(self, name: str) -> set[str]:
        """The parts of a full name that count as saying it, folded: all Unicode spellings of a part are equal."""
        return set(_plain(name).split()) if self._released else set(first_and_last(name))

    def found(self, text: str) -> set[str]:
        """The parts of names in a text, in the form of `parts`."""
        if self._released:
            text = _plain(text)
            return {part for part in self._parts if part in text}
        return {Folded(text[span.start : span.end]).text for span in self._finder.label([text], [{}])[0]}

    def spans(self, text: str) -> list[tuple[int, int]]:
        """`(start, end)` in characters of all names, found at word boundaries, ascending and without overlaps.

        A full name is one span, with its middle parts.
        """
        return _merged(self._remover.label([text], [{}])[0])

    def removed(self, text: str) -> str:
        """The text without names; see `spans`."""
        return _filled(text, self.spans(text), lambda name: "")

    def replaced(self, text: str, old: str, new: str) -> str:
        """The text with one person's name in place of another's: first, last and full names by their like.

        Args:
            text: any text.
            old: the full name to replace. Nothing is replaced if it is empty.
            new: the full name to write instead. Nothing is replaced if it is empty.
        """
        if not old or not new:
            return text
        if old not in self._of_one:
            self._of_one[old] = EntitiesLabeler("names", names=[old, *first_and_last(old)])
        # composed, because the folded forms are decomposed and would be other tokens
        ends, others = first_and_last(old), [*map(_composed, first_and_last(new))] or [new]
        like = {**dict(zip(ends[-1:], others[-1:])), **dict(zip(ends[:1], others[:1]))}
        spans = _merged(self._of_one[old].label([text], [{}])[0])
        return _filled(text, spans, lambda name: like.get(Folded(name).text, new))

    def first(self, text: str) -> tuple[str, str] | None:
        """The text before the first name, and the name; None without a name. See `spans`."""
        spans = self.spans(text)
        return (text[: spans[0][0]], text[slice(*spans[0])]) if spans else None

    def of_another(self, name: str) -> str | None:
        """The same part (first, last or full) of the next person's name that differs; None if there is none.

        Args:
            name: a first, last or full name of one of the persons. The first person follows the last.
        """
        said = Folded(name).text
        for place, full in enumerate(self._full):
            forms = [Folded(form).text for form in _forms(full)]
            if said in forms:
                for other in (*self._full[place + 1 :], *self._full[:place]):
                    like = _forms(other)[forms.index(said)]
                    if Folded(like).text != said:
                        return _composed(like)
        return None


def _forms(name: str) -> tuple[str, str, str]:
    """The full, first and last form of a name."""
    ends = first_and_last(name) or [name]
    return name, ends[0], ends[-1]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _merged(spans) -> list[tuple[int, int]]:
    """Spans in ascending order; those that overlap become one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((span.start, span.end) for span in spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _filled(text: str, spans: Sequence[tuple[int, int]], fill: Callable[[str], str]) -> str:
    """The text with each span's text replaced by `fill` of it."""
    kept, done = [], 0
    for start, end in spans:
        kept += [text[done:start], fill(text[start:end])]
        done = end
    return "".join([*kept, text[done:]])


def _plain(text: str) -> str:
    return _composed(text).lower()


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
