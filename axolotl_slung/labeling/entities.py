"""Finds names of a list, anywhere in a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import regex

from ..errors import get_logger
from ..storage import read_text
from .base import Labeler, LabelerError, Span
from .text.fold import SIGNS, Folded

LOG = get_logger(__name__)

_PARTICLES = "af al av bin bint binti da dal de del dela della den der des di do dos du el et ibn la las le les \
lo los och of ten ter the und van vom von zu zum zur"
_TITLES = "dr frau herr ii iii iv jnr jr lady lord madame miss mr mrs ms phd prof professor saint sir snr sr st vi"
_NO_PARTS = frozenset(f"{_PARTICLES} {_TITLES}".split())
_INITIALS = regex.compile(r"(?:\p{L}\p{M}*\.)+")
_EDGES = regex.compile(r"^[^\w\p{M}]+|[^\w\p{M}]+$")
_BETWEEN_PARTS = regex.compile(r"[ \-\u30fb]")
_LOOSE_SIGNS = regex.compile(rf"^[\s{SIGNS}]+|[\s{SIGNS}]+$")
_KEPT_SMALL = regex.compile(r"((?<=\p{Lu}\p{M}*)(?:\p{Ll}\p{M}*)+(?=\p{Lu})|ß)")
_MOST_WORDS = 8
"""The most words of a name for which only some may be in capitals. Longer entries are hardly names."""
_GREEK_ACCENTS = regex.compile(r"(?<=\p{Greek}\p{M}*)[\u0300\u0301\u0313\u0314\u0342]")


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
    lazy = ("_matcher",)
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
        self._matcher = None

    def check(self) -> None:
        """Read the names."""
        if self.names is not None:
            LOG.warning(
                "%s.names: names in the YAML end up in logs and model cards; put them into a file (`path`)",
                self.key,
            )
        self.matcher  # noqa: B018

    def files(self) -> list[Path]:
        return [] if self.path is None else [self.path]

    @property
    def matcher(self) -> Any:
        """An Aho-Corasick automaton over the folded names, built on first use."""
        if self._matcher is None:
            from ahocorasick_rs import AhoCorasick

            names = self._folded_names()
            if not names:
                where = f"path: {self.path}:" if self.path else "names: the list"
                raise LabelerError(f"{self.key}.{where} has no names; write one name per line, or remove the labeler")
            self._matcher = AhoCorasick(names, store_patterns=False)
        return self._matcher

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per name; see `Labeler.label`."""
        return [self._spans(text) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        folded = self._fold(text)
        found = [
            (start, end)
            for _, start, end in self.matcher.find_matches_as_indexes(folded.text, overlapping=True)
            if folded.boundary(start) and folded.boundary(end)
        ]
        spans, reach = [], 0
        for start, end in sorted(found, key=lambda match: (match[0], -match[1])):
            if end > reach:  # otherwise it is inside a longer name
                spans.append(Span(*folded.original(start, end), 1.0))
                reach = end
        return spans

    def _folded_names(self) -> list[str]:
        names = self.names
        if self.path is not None:
            lines = read_text(f"{self.key}.path", self.path).splitlines()
            names = [line for line in lines if not line.lstrip().startswith("#")]
        folded = {self._fold(_LOOSE_SIGNS.sub("", name)).text.strip() for name in names}
        if self.parts:
            folded |= {part for name in folded for part in _parts(name)}
        if self.case_sensitive:
            folded |= {form for name in folded for form in _in_capitals(name)}
        # a line of dashes or dots is not a name, and would match all such lines
        return sorted(name for name in folded if any(map(str.isalnum, name)))

    def _fold(self, text: str) -> Folded:
        return Folded(text, self.case_sensitive, self.diacritics)


def _parts(name: str) -> list[str]:
    """The parts of a folded name that also count as names: Ji-Yeon, Ji, Yeon and Park of Ji-Yeon Park."""
    pieces = {*name.split(" "), *_BETWEEN_PARTS.split(name)}
    parts = [_EDGES.sub("", part) for part in pieces if not _INITIALS.fullmatch(part)]
    return [part for part in parts if sum(map(str.isalpha, part)) >= 2 and part.casefold() not in _NO_PARTS]


def _in_capitals(name: str) -> set[str]:
    """The forms of a folded name with all words in capitals, only the first ones, or only the last ones.

    Lower-case words may stay (LUDWIG van BEETHOVEN). So may lower-case letters before a capital (McDONALD), and `ß`.
    Greek capitals are made with and without accents.
    """
    words = name.split(" ")
    forms = set()
    for in_capitals in (str.upper, _mostly_upper):
        capitals = [in_capitals(word) for word in words]
        forms.add(" ".join(capitals))
        for cut in range(1, len(words)) if len(words) <= _MOST_WORDS else ():
            forms |= {" ".join(capitals[:cut] + words[cut:]), " ".join(words[:cut] + capitals[cut:])}
    if name.isascii():
        return forms
    # the capital of a folded letter is not always folded
    return {Folded(form).text for some in forms for form in (some, _GREEK_ACCENTS.sub("", some))}


def _mostly_upper(word: str) -> str:
    if word.islower():
        return word
    if word.isascii() and word[1:].islower():
        return word.upper()
    pieces = _KEPT_SMALL.split(word)
    return "".join(piece if number % 2 else piece.upper() for number, piece in enumerate(pieces))


def first_and_last(name: str) -> list[str]:
    """The first and last name of a full name, or its only one. Initials, particles and titles are neither."""
    words = [_EDGES.sub("", word) for word in Folded(name).text.split() if not _INITIALS.fullmatch(word)]
    words = [word for word in words if any(map(str.isalpha, word)) and word.casefold() not in _NO_PARTS]
    return words[:1] + words[1:][-1:]
