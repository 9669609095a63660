"""Finds what named regular expressions match: those of a YAML file, and those that come with the package."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import regex

from .base import Labeler, LabelerError, Span
from .pattern_files import BUILTIN, Pattern, builtin_patterns, patterns_of_file
from .text.linear import Alphabet, Encoded

ALLOWANCE, PER_MILLION = 10.0, 10.0
"""Seconds of CPU time that one pattern may take in one process: so many, and so many more per million characters."""


_ADVICE = {
    True: "bound its repetitions, such as .{0,200} in place of .*",
    False: "remove nested or adjacent repetitions such as (a+)+; or remove lookarounds, backreferences and possessive "
    "repetitions, and it is matched in linear time",
}
"""By whether RE2 matches the pattern."""


class PatternsLabeler(Labeler):
    r"""Everything that a list of regular expressions matches.

    The file maps each name to an expression, or to an expression with a score and flags:

        account: '\b\d{10}\b'
        slur: {pattern: '\bfoo\w*', score: 0.5, flags: [ignorecase]}

    Expressions have the syntax of the `regex` module: Python's own and more (`\p{L}`, for example). Matches of one
    pattern do not overlap. Empty matches do not count. An escaped text is searched both as it is and as what it means
    (see `escapes.py`).

    RE2 matches the patterns that it can match as `regex` does, in linear time (see `linear.py`). `regex` itself matches
    the others. A `check` then accepts a part of a match, or nothing (`pattern_checks.py`). Each pattern has a budget of CPU time over all texts that a process searches (`ALLOWANCE`). If it is
    exceeded, `label` raises a `LabelerError` that names the pattern, and raises it at once from then on.

    Args:
        key: the labeler's place in the YAML.
        path: the file, UTF-8. None for the package's own patterns only.
        builtin: names of the package's own patterns (`builtin_patterns.yml`).
    """

    scope = "text"
    lazy = ("_patterns", "_alphabet")
    packages = ("regex", "google-re2", "phonenumbers")

    def __init__(self, key: str, path: str | None = None, builtin: Sequence[str] | None = None):
        super().__init__(key)
        self.path = None if path is None else Path(path).expanduser()
        self.builtin = tuple(builtin or ())
        self._patterns = self._alphabet = None

    def check(self) -> None:
        """Compile the patterns."""
        self.patterns  # noqa: B018

    def files(self) -> list[Path]:
        return ([] if self.path is None else [self.path]) + [BUILTIN] * bool(self.builtin)

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns, compiled on first use."""
        if self._patterns is None:
            patterns = builtin_patterns(f"{self.key}.builtin", self.builtin)
            if self.path is not None:
                patterns += patterns_of_file(f"{self.key}.path", self.path)
            self._alphabet = Alphabet([(pattern.pattern.pattern, pattern.pattern.flags) for pattern in patterns])
            for pattern, linear in zip(patterns, self._alphabet.patterns):
                pattern.linear = linear
            self._patterns = patterns
        return self._patterns

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per match; see `Labeler.label`."""
        found: list[list[Span]] = [[] for _ in texts]
        patterns = self.patterns
        encoded = self._alphabet.encode(texts)
        for pattern in patterns:
            for index, start, end in self._matches(pattern, texts, encoded):
                # a check takes at most milliseconds, so it needs no budget
                parts = ((start, end),) if pattern.check is None else pattern.check(texts[index], start, end)
                found[index] += [Span(*part, pattern.score, kind=pattern.kind) for part in parts]
        return [sorted(spans) for spans in found]

    def _matches(self, pattern: Pattern, texts: Sequence[str], encoded: Encoded) -> list[tuple[int, int, int]]:
        """The index of the text, start and end of each match."""
        pattern.characters += sum(map(len, texts))
        started = time.process_time()
        stop = started + ALLOWANCE + PER_MILLION * pattern.characters / 1e6 - pattern.seconds
        try:
            if pattern.linear is None:
                return _backtracked(pattern.pattern, texts, stop)
            return list(_until(stop, pattern.linear.spans(encoded)))
        except TimeoutError:
            pattern.seconds = math.inf  # a caller that tries again does not pay again
            raise LabelerError(
                f"{pattern.where}: pattern {pattern.name!r}: took more CPU time than its budget, {ALLOWANCE:g} s "
                f"and {PER_MILLION:g} s per million characters; {_ADVICE[pattern.linear is not None]}"
            ) from None
        finally:
            pattern.seconds += time.process_time() - started


def _until(stop: float, matches: Iterable) -> Iterator:
    """The matches. Raises `TimeoutError` when the process has used `stop` seconds of CPU time."""
    # finding one match takes linear time, but there may be many
    for match in matches:
        yield match
        if time.process_time() > stop:
            raise TimeoutError


def _backtracked(pattern: regex.Pattern, texts: Sequence[str], stop: float) -> list[tuple[int, int, int]]:
    """The matches by `regex`, within the time of `_until`. Empty ones do not count."""
    found = []
    for index, text in enumerate(texts):
        left = stop - time.process_time()
        if left <= 0:
            raise TimeoutError
        for match in pattern.finditer(text, timeout=left):
            start, end = match.span()
            if end > start:
                found.append((index, start, end))
    return found
