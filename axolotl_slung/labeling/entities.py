"""Finds names of a list, anywhere in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import get_logger
from ..storage import read_text
from .base import Labeler, LabelerError, Span
from .name_forms import in_capitals, part_forms, whole_forms
from .name_notices import notices
from .text.fold import Folded

LOG = get_logger(__name__)

LONGEST = 1000
"""The most characters of a listed name."""

_PLAIN = re.compile(r"(?! )(?:[A-Za-z0-9.,'-]| (?! ))*(?<! )")


class EntitiesLabeler(Labeler):
    """Names on word boundaries, each with the score 1.

    docs/labelers.md says which spellings count as the same. Of nested names only the longest counts. Names that
    overlap otherwise all count. A possessive ending is not part of the span. Endings that a language attaches to
    names without a mark (Bergs, Korean particles) make another word: list those forms too.

    Args:
        key: the labeler's place in the YAML.
        path: a UTF-8 text file, one name per line. Blank lines and lines that begin with `#` are skipped.
        names: the names themselves, instead of `path`.
        parts: also find each part of a name, between white space and between hyphens. A part needs at least two
            letters. Initials, particles (van, de, al) and titles (Dr, Jr) do not count.
        case_sensitive: whether `Will` and `will` differ. `WILL` is found in both cases.
        diacritics: whether `é` and `e` differ.
    """

    scope = "text"
    lazy = ("_list",)
    packages = ("regex", "ahocorasick-rs")

    def __init__(
        self,
        key: str,
        path: str | None = None,
        names: list[str] | None = None,
        parts: bool = False,
        case_sensitive: bool = True,
        diacritics: bool = True,
    ):
        super().__init__(key)
        if (path is None) == (names is None):
            raise LabelerError(f"{key}: give either `path` (a file of names) or `names` (a list), not both")
        self.path = None if path is None else Path(path).expanduser()
        self.names = names
        self.parts = parts
        self.case_sensitive = case_sensitive
        self.diacritics = diacritics
        self._list: _List | None = None

    def check(self) -> None:
        """Read the names, and warn of entries that are hardly names."""
        if self.names is not None:
            LOG.warning(
                "%s.names: names in the YAML end up in logs and model cards; put them into a file (`path`)",
                self.key,
            )
        for notice in self._opened.notices:
            LOG.warning("%s: %s", f"{self.key}.path: {self.path}" if self.path else f"{self.key}.names", notice)

    def files(self) -> list[Path]:
        return [] if self.path is None else [self.path]

    def listed(self) -> dict[int, str]:
        """See `Labeler.listed`. The numbers are lines of the file, or places in `names`, from 1."""
        return {number: name for number, name in self._opened.entries if any(map(str.isalnum, name))}

    def take_found(self) -> set[int]:
        """See `Labeler.take_found`."""
        return self._opened.take_found()

    @property
    def _opened(self) -> _List:
        if self._list is None:
            names = _List(
                self._entries(), self._fold, self.parts, self.case_sensitive, "name" if self.names else "line"
            )
            if names.longest == 0:
                where = f"path: {self.path}:" if self.path else "names: the list"
                raise LabelerError(f"{self.key}.{where} has no names; write one name per line, or remove the labeler")
            self._list = names
        return self._list

    def _entries(self) -> list[tuple[int, str]]:
        lines = self.names
        if self.path is not None:
            lines = read_text(f"{self.key}.path", self.path).splitlines()
            lines = ["" if line.lstrip().startswith("#") else line for line in lines]
        entries = [(number, line) for number, line in enumerate(lines or (), 1) if line.strip()]
        for number, line in entries:
            if len(line) > LONGEST:  # the automaton would take minutes to build
                where = f"path: {self.path}: line" if self.path else "names: name"
                raise LabelerError(
                    f"{self.key}.{where} {number} has more than {LONGEST:,} characters; write one name per line"
                )
        return entries

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per name; see `Labeler.label`."""
        return self.each(texts, self._spans)

    def _spans(self, text: str) -> list[Span]:
        folded = Folded(text, self.case_sensitive, self.diacritics)
        names = self._opened
        found = set(names.find(folded.text, folded.edges))
        for part, places in folded.readings(names.longest):
            edges = [folded.edges[place] for place in [*places, places[-1] + 1]]
            for start, end in names.find(part, edges):
                found.add((places[start], places[end - 1] + 1))
        spans, reach = [], 0
        for start, end in sorted(found, key=lambda match: (match[0], -match[1])):
            if end > reach:  # otherwise it is inside a longer name
                spans.append(Span(*folded.original(start, end), 1.0))
                reach = end
        return spans

    def _fold(self, text: str) -> str:
        if _PLAIN.fullmatch(text):  # most names: it folds to itself
            return text if self.case_sensitive else text.lower()
        return Folded(text, self.case_sensitive, self.diacritics).text


class _List:
    """An Aho-Corasick automaton over all forms of the listed names, and which of them were found.

    Attributes:
        entries: number and text of each listed name.
        longest: characters of the longest form; 0 if there is none.
        notices: what is odd about the list, without its names.
    """

    def __init__(self, entries, fold, parts: bool, case_sensitive: bool, line: str):
        from ahocorasick_rs import AhoCorasick

        self.entries = entries
        # a form's names: one number or a list of numbers, since most forms have one. ~number: only a part of this name
        owners: dict[str, int | list[int]] = {}
        wholes, of_parts = {}, {}
        for number, name in entries:
            forms, wholes[number] = whole_forms(name, fold)
            of_parts[number] = part_forms(name, fold) - forms if parts else ()
            for some, owner in ((forms, number), (of_parts[number], ~number)):
                for form in {*some, *(capitals for one in some for capitals in in_capitals(one) if case_sensitive)}:
                    # a line of dashes or dots is not a name, and would match all such lines
                    if any(map(str.isalnum, form)):
                        _append(owners, form, owner)
        self.notices = list(notices(entries, wholes, of_parts, line))
        forms = sorted(owners)
        self._owners = [owners[form] for form in forms]
        self.longest = max(map(len, forms), default=0)
        self._automaton = AhoCorasick(forms, store_patterns=False)
        self._found: set[int] = set()

    def find(self, text: str, edges: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The characters `[start, end)` of all forms, between the edges of words; see `Folded.edges`."""
        for form, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            if edges[start] and edges[end]:
                self._found.add(form)
                yield start, end

    def take_found(self) -> set[int]:
        found: set[int] = set()
        for form in self._found:
            owners = self._owners[form]
            found |= {owners} if isinstance(owners, int) else set(owners)
        self._found.clear()
        return found


def _append(owners: dict[str, int | list[int]], form: str, owner: int) -> None:
    before = owners.setdefault(form, owner)
    if isinstance(before, list):
        before.append(owner)
    elif before != owner:
        owners[form] = [before, owner]
