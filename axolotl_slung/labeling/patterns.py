"""Finds what the named regular expressions of a YAML file match."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import regex
import yaml

from ..errors import closest, few, kind_of, meant, yaml_problem
from ..storage import read_text
from .base import Labeler, LabelerError, Span
from .text.linear import Alphabet, Encoded, Linear

ALLOWANCE, PER_MILLION = 10.0, 10.0
"""Seconds of CPU time that one pattern may take in one process: so many, and so many more per million characters."""

_ADVICE = {
    True: "bound its repetitions, such as .{0,200} in place of .*",
    False: "remove nested or adjacent repetitions such as (a+)+; or remove lookarounds, backreferences and possessive "
    "repetitions, and it is matched in linear time",
}
"""By whether RE2 matches the pattern."""

MOST_REPEATED = 100_000
"""The most parts that the repetitions of an expression may add to it. `regex` writes out those that have to be there."""
_PIECES = regex.compile(r"\\.|\[\]?(?:\\.|[^\]\\])*+\]|\{(\d{1,9})\d*(?:,\d*)?\}|.", regex.DOTALL)

_SHORT = {"i": "ignorecase", "m": "multiline", "s": "dotall"}
_FLAGS = {"ignorecase": regex.IGNORECASE, "multiline": regex.MULTILINE, "dotall": regex.DOTALL}


@dataclass
class Pattern:
    """One pattern of the file, compiled, and what it has cost in this process."""

    name: str
    pattern: regex.Pattern
    score: float
    linear: Linear | None = None
    """The same pattern for RE2, where RE2 matches it as `regex` does."""
    characters: int = 0
    seconds: float = 0.0


class PatternsLabeler(Labeler):
    r"""Everything that a list of regular expressions matches.

    The file maps each name to an expression, or to an expression with a score and flags:

        account: '\b\d{10}\b'
        slur: {pattern: '\bfoo\w*', score: 0.5, flags: [ignorecase]}

    Expressions have the syntax of the `regex` module: Python's own and more (`\p{L}`, for example). Matches of one
    pattern do not overlap. Empty matches do not count. An escaped text is searched both as it is and as what it means
    (see `escapes.py`).

    RE2 matches the patterns that it can match as `regex` does, in linear time (see `linear.py`). `regex` itself matches
    the others. Each pattern has a budget of CPU time over all texts that a process searches (`ALLOWANCE`). If it is
    exceeded, `label` raises a `LabelerError` that names the pattern, and raises it at once from then on.

    Args:
        key: the labeler's place in the YAML.
        path: the file, UTF-8.
    """

    scope = "text"
    lazy = ("_patterns", "_alphabet")
    packages = ("regex", "google-re2")

    def __init__(self, key: str, path: str):
        super().__init__(key)
        self.path = Path(path).expanduser()
        self._patterns = self._alphabet = None

    def check(self) -> None:
        """Compile the patterns."""
        self.patterns  # noqa: B018

    def files(self) -> list[Path]:
        return [self.path]

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns, compiled on first use."""
        if self._patterns is None:
            patterns = [self._compile(name, entry) for name, entry in self._read().items()]
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
                found[index].append(Span(start, end, pattern.score))
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
            raise self._error(
                f"took more CPU time than its budget, {ALLOWANCE:g} s and {PER_MILLION:g} s per million characters; "
                f"{_ADVICE[pattern.linear is not None]}",
                pattern.name,
            ) from None
        finally:
            pattern.seconds += time.process_time() - started

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
        for name, times in Counter(names).items():
            if times > 1:
                raise self._error("is defined twice, and YAML would keep only the last one; rename or remove one", name)
        return entries

    def _compile(self, name, entry) -> Pattern:
        if not isinstance(name, str):
            raise self._error("its name is not text in YAML; quote the name", name)
        if isinstance(entry, str):
            entry = {"pattern": entry}
        if isinstance(entry, dict) and (unknown := [key for key in entry if key not in ("pattern", "score", "flags")]):
            guess = meant(unknown[0], ["pattern", "score", "flags"])
            raise self._error(f"has unknown keys ({few(unknown)}); use pattern, score and flags{guess}", name)
        if not isinstance(entry, dict) or not isinstance(entry.get("pattern"), str):
            raise self._error("expected an expression or a mapping with `pattern`; quote the expression", name)
        if not entry["pattern"]:
            raise self._error("is empty, and would find nothing; write an expression or remove it", name)
        score = entry.get("score", 1.0)
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise self._error(f"score: expected a number from 0 to 1, got {_shown(score)}", name)
        flags = entry.get("flags", [])
        if not isinstance(flags, list) or not all(flag in list(_FLAGS) for flag in flags):
            wrong = next(flag for flag in flags if flag not in list(_FLAGS)) if isinstance(flags, list) else flags
            found = closest(wrong, _FLAGS) or _SHORT.get(str(wrong).lower())
            guess = f"; did you mean [{found}]?" if found else ""
            raise self._error(f"flags: expected a list of {', '.join(_FLAGS)}, got {_shown(wrong)}{guess}", name)
        if _repeated(entry["pattern"]) > MOST_REPEATED:
            raise self._error(f"repeats its parts more than {MOST_REPEATED:,} times; use smaller numbers", name)
        if "\b" in entry["pattern"]:
            raise self._error(r"contains a backspace, since YAML reads \b so in double quotes; use single quotes", name)
        try:
            compiled = regex.compile(entry["pattern"], flags=sum(_FLAGS[flag] for flag in set(flags)))
        except (RecursionError, MemoryError):
            raise self._error("is nested too deeply; remove parentheses", name) from None
        except regex.error as error:  # regex's stubs leave out its attributes
            place = "" if error.pos is None else f" at character {error.pos}"  # pyright: ignore[reportAttributeAccessIssue]
            raise self._error(f"is not a valid regular expression: {error.msg}{place}", name) from None  # pyright: ignore[reportAttributeAccessIssue]
        return Pattern(name, compiled, float(score))

    def _error(self, problem: str, name=None) -> LabelerError:
        pattern = "" if name is None else f" pattern {name!r}:"
        return LabelerError(f"{self.key}.path: {self.path}:{pattern} {problem}")


def _repeated(expression: str) -> int:
    """How many parts the repetitions add: 9 for `a{10}`, 99 for `(a{10}){10}`."""
    groups, last, pieces = [0], 0, 0
    for piece in _PIECES.finditer(expression):
        if piece[0] == "(":
            groups.append(0)
        elif piece[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif piece[1]:
            times = max(int(piece[1]), 1)
            groups[-1] += last * (times - 1)
            last *= times
        else:
            last, pieces = 1, pieces + 1
            groups[-1] += 1
    return sum(groups) - pieces


def _shown(value) -> str:
    """A wrong score or flag. Anything long may be an expression, which is not quoted."""
    plain = isinstance(value, (bool, int, float, str)) and 0 < len(str(value)) <= 20
    return str(value).lower() if plain and isinstance(value, bool) else str(value) if plain else kind_of(value)


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
