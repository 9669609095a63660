"""Reads patterns files, and the patterns that come with the package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import regex
import yaml

from ..errors import closest, few, kind_of, meant, yaml_problem
from ..storage import read_text
from ..yaml_text import load_yaml
from .base import LabelerError
from .pattern_checks import CHECKS, Check
from .text.linear import Linear

BUILTIN = Path(__file__).with_name("builtin_patterns.yml")

MOST_REPEATED = 100_000
"""The most parts that the repetitions of an expression may add to it. `regex` writes out those that have to be there."""
_PIECES = regex.compile(r"\\.|\[\]?(?:\\.|[^\]\\])*+\]|\{(\d{1,9})\d*(?:,\d*)?\}|.", regex.DOTALL)

_SHORT = {"i": "ignorecase", "m": "multiline", "s": "dotall"}
_FLAGS = {"ignorecase": regex.IGNORECASE, "multiline": regex.MULTILINE, "dotall": regex.DOTALL}
_KEYS = ("pattern", "score", "flags", "check")


@dataclass
class Pattern:
    """One pattern of a file, compiled, and what it has cost in this process."""

    where: str
    """The key in the YAML that brings it, and its file if that is the user's."""
    name: str
    pattern: regex.Pattern
    score: float
    kind: str
    """The name of the group that it belongs to; the pattern's own name in a file."""
    check: Check | None = None
    linear: Linear | None = None
    """The same pattern for RE2, where RE2 matches it as `regex` does."""
    characters: int = 0
    seconds: float = 0.0


def patterns_of_file(place: str, path: Path) -> list[Pattern]:
    """The patterns of a file of one's own.

    Args:
        place: the key that names it in the YAML.
        path: the file, UTF-8.

    Raises:
        LabelerError: the file cannot be used.
    """
    where = f"{place}: {path}"
    text = read_text(place, path)
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        pairs = tree.value if isinstance(tree, yaml.MappingNode) else []
        names = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)]
        for name, times in Counter(names).items():
            if times > 1:
                raise _error(
                    where, "is defined twice, and YAML would keep only the last one; rename or remove one", name
                )
        entries = load_yaml(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _error(where, f"is {yaml_problem(error)}") from None
    if not isinstance(entries, dict) or not entries:
        raise _error(where, "has no patterns; write `name: 'expression'`, one per line")
    return [_compiled(where, name, entry, name) for name, entry in entries.items()]


@cache
def _builtin() -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load(BUILTIN.read_text(encoding="utf-8"))


def builtin_names() -> tuple[str, ...]:
    """The names that `builtin` accepts, in the order of the file."""
    return tuple(_builtin())


def builtin_patterns(place: str, names: Sequence[str]) -> list[Pattern]:
    """The patterns with these names that come with the package."""
    return [_compiled(place, name, entry, group) for group in names for name, entry in _builtin()[group].items()]


def _compiled(where: str, name, entry, kind) -> Pattern:
    if not isinstance(name, str):
        raise _error(where, "its name is not text in YAML; quote the name", name)
    if isinstance(entry, str):
        entry = {"pattern": entry}
    if isinstance(entry, dict) and (unknown := [key for key in entry if key not in _KEYS]):
        guess = meant(unknown[0], _KEYS)
        raise _error(where, f"has unknown keys ({few(unknown)}); use pattern, score, flags and check{guess}", name)
    if not isinstance(entry, dict) or not isinstance(entry.get("pattern"), str):
        raise _error(where, "expected an expression or a mapping with `pattern`; quote the expression", name)
    if not entry["pattern"]:
        raise _error(where, "is empty, and would find nothing; write an expression or remove it", name)
    score = entry.get("score", 1.0)
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise _error(where, f"score: expected a number from 0 to 1, got {_shown(score)}", name)
    flags = entry.get("flags", [])
    if not isinstance(flags, list) or not all(flag in list(_FLAGS) for flag in flags):
        wrong = next(flag for flag in flags if flag not in list(_FLAGS)) if isinstance(flags, list) else flags
        found = closest(wrong, _FLAGS) or _SHORT.get(str(wrong).lower())
        guess = f"; did you mean [{found}]?" if found else ""
        raise _error(where, f"flags: expected a list of {', '.join(_FLAGS)}, got {_shown(wrong)}{guess}", name)
    check = entry.get("check")
    if check is not None and (not isinstance(check, str) or check not in CHECKS):
        raise _error(
            where, f"check: expected one of {', '.join(CHECKS)}, got {_shown(check)}{meant(check, CHECKS)}", name
        )
    if _repeated(entry["pattern"]) > MOST_REPEATED:
        raise _error(where, f"repeats its parts more than {MOST_REPEATED:,} times; use smaller numbers", name)
    if "\b" in entry["pattern"]:
        raise _error(where, r"contains a backspace, since YAML reads \b so in double quotes; use single quotes", name)
    try:
        compiled = regex.compile(entry["pattern"], flags=sum(_FLAGS[flag] for flag in set(flags)))
    except (RecursionError, MemoryError):
        raise _error(where, "is nested too deeply; remove parentheses", name) from None
    except regex.error as error:  # regex's stubs leave out its attributes
        at = "" if error.pos is None else f" at character {error.pos}"  # pyright: ignore[reportAttributeAccessIssue]
        raise _error(where, f"is not a valid regular expression: {error.msg}{at}", name) from None  # pyright: ignore[reportAttributeAccessIssue]
    return Pattern(where, name, compiled, float(score), kind, CHECKS[check] if check else None)


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


def _error(where: str, problem: str, name=None) -> LabelerError:
    pattern = "" if name is None else f" pattern {name!r}:"
    return LabelerError(f"{where}:{pattern} {problem}")
