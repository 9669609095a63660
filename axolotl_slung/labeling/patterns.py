"""Finds what the named regular expressions of a YAML file match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import regex
import yaml

from ..errors import few, yaml_problem
from ..storage import read_text
from .base import Labeler, LabelerError, Span

TIMEOUT = 30.0
"""Seconds that one pattern may take on one text."""

_FLAGS = {"ignorecase": regex.IGNORECASE, "multiline": regex.MULTILINE, "dotall": regex.DOTALL}


class Pattern(NamedTuple):
    """One pattern of the file, compiled."""

    name: str
    pattern: regex.Pattern
    score: float


class PatternsLabeler(Labeler):
    r"""Everything that a list of regular expressions matches.

    The file maps each name to an expression, or to an expression with a score and flags:

        account: '\b\d{10}\b'
        slur: {pattern: '\bfoo\w*', score: 0.5, flags: [ignorecase]}

    Expressions have the syntax of the `regex` module: Python's own and more (`\p{L}`, for example). Endless
    backtracking reaches a time limit and raises an error. Matches of one pattern do not overlap. Empty matches do
    not count. An escaped text is searched both as it is and as what it means (see `escapes.py`).

    Args:
        key: the labeler's place in the YAML.
        path: the file, UTF-8.
    """

    scope = "text"
    lazy = ("_patterns",)
    packages = ("regex",)

    def __init__(self, key: str, path: str):
        super().__init__(key)
        self.path = Path(path).expanduser()
        self._patterns = None

    def check(self) -> None:
        """Compile the patterns."""
        self.patterns  # noqa: B018

    def files(self) -> list[Path]:
        return [self.path]

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns, compiled on first use."""
        if self._patterns is None:
            self._patterns = [self._compile(name, entry) for name, entry in self._read().items()]
        return self._patterns

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per match; see `Labeler.label`."""
        return [sorted(span for pattern in self.patterns for span in self._matches(pattern, text)) for text in texts]

    def _matches(self, pattern: Pattern, text: str) -> list[Span]:
        try:
            matches = list(pattern.pattern.finditer(text, timeout=TIMEOUT))
        except TimeoutError as error:
            raise self._error(
                f"took more than {TIMEOUT:g} s on a text of {len(text)} characters; "
                "remove nested or adjacent repetitions such as (a+)+",
                pattern.name,
            ) from error
        return [Span(*match.span(), pattern.score) for match in matches if match.end() > match.start()]

    def _read(self) -> dict:
        text = read_text(f"{self.key}.path", self.path)
        try:
            tree = yaml.compose(text, Loader=yaml.SafeLoader)
            entries = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise self._error(f"is {yaml_problem(error)}") from None
        if not isinstance(entries, dict) or not entries:
            raise self._error("has no patterns; write `name: 'expression'`, one per line")
        names = [key.value for key, _ in tree.value]
        for name in names:
            if names.count(name) > 1:
                raise self._error("is defined twice, and YAML would keep only the last one; rename or remove one", name)
        return entries

    def _compile(self, name, entry) -> Pattern:
        if not isinstance(name, str):
            raise self._error("its name is not text in YAML; quote the name", name)
        if isinstance(entry, str):
            entry = {"pattern": entry}
        if not isinstance(entry, dict) or not isinstance(entry.get("pattern"), str):
            raise self._error("expected an expression or a mapping with `pattern`; quote the expression", name)
        if unknown := set(entry) - {"pattern", "score", "flags"}:
            raise self._error(f"has unknown keys ({few(unknown)}); use pattern, score and flags", name)
        score = entry.get("score", 1.0)
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise self._error("score: expected a number from 0 to 1", name)
        flags = entry.get("flags", [])
        if not isinstance(flags, list) or not all(flag in list(_FLAGS) for flag in flags):
            raise self._error(f"flags: expected a list of {', '.join(_FLAGS)}", name)
        if "\b" in entry["pattern"]:
            raise self._error(r"contains a backspace, since YAML reads \b so in double quotes; use single quotes", name)
        try:
            compiled = regex.compile(entry["pattern"], flags=sum(_FLAGS[flag] for flag in set(flags)))
        except regex.error as error:  # regex's stubs leave out its attributes
            place = "" if error.pos is None else f" at character {error.pos}"  # pyright: ignore[reportAttributeAccessIssue]
            raise self._error(f"is not a valid regular expression: {error.msg}{place}", name) from None  # pyright: ignore[reportAttributeAccessIssue]
        return Pattern(name, compiled, float(score))

    def _error(self, problem: str, name=None) -> LabelerError:
        pattern = "" if name is None else f" pattern {name!r}:"
        return LabelerError(f"{self.key}.path: {self.path}:{pattern} {problem}")
