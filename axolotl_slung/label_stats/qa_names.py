r"""Find names in texts: the truth of `slung qa --names`, with its own rules and not the labeler's.

The code is simple and slow. It reads a text as it is, and with its backslash escapes and HTML references resolved once,
twice and three times. In each reading:

- An escaped character or a ligature counts as the characters that it means.
- Accents, invisible characters, superscripts and trademark signs are ignored.
- Any run of white space, underscores and asterisks is one separator.
- A name of several words matches in any case. A single word matches as it is listed, or in capitals.
- No letter or digit may be right before or after a name, except in Chinese, Japanese and Thai.

With `parts`, pieces of a name match too. A piece is what lies between white space or hyphens. It has at least two
letters and does not begin with a lowercase letter (van, de). A piece of a hyphenated name does not match next to a hyphen: the
Al of Al-Said is not the Al of Al-Rumhi. Letters after an apostrophe are not part of the name.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from ..labeling.base import Span

READINGS = 4
"""Number of readings: the text as it is, and three levels of escapes."""

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\x{_HEX}{{2}}"
    r"|\\[^A-Za-z0-9]|\\[nrtbf0]|&#?\w+;"
)
_CONTROL = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": " ", "0": " "}
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff]")


def name_spans(text: str, names: Sequence[str], parts: bool = True) -> list[Span]:
    """All places of all names, sorted by `start`, with score 1. They may overlap."""
    wholes = set(filter(None, (name.strip() for name in names)))
    pieces = set()
    if parts:
        wholes |= set(filter(_is_piece, (piece for name in wholes for piece in name.split())))
        pieces = set(filter(_is_piece, (piece for name in wholes for piece in name.split("-"))))
    patterns = [_pattern(name, "") for name in wholes] + [_pattern(piece, "-") for piece in pieces]
    found: set[tuple[int, int]] = set()
    reading = [(char, index, index + 1) for index, char in enumerate(text)]
    for _ in range(READINGS):
        simple = [(one, start, end) for char, start, end in reading for one in _simple(char)]
        plain = "".join(char for char, _, _ in simple)
        for pattern in filter(None, patterns):
            found |= {(simple[m.start()][1], simple[m.end() - 1][2]) for m in pattern.finditer(plain)}
        if (following := _unescaped(reading)) == reading:
            break
        reading = following
    return [Span(start, end, 1.0) for start, end in sorted(found)]


def _is_piece(piece: str) -> bool:
    return sum(map(str.isalpha, piece)) >= 2 and not piece[0].islower()


def _pattern(name: str, no_edge: str) -> re.Pattern | None:
    """A pattern for a name in a simplified text. It does not match next to the character `no_edge`."""
    words = "".join(map(_simple, name)).split()
    if not words:
        return None
    forms = " +".join(map(re.escape, words))
    if len(words) == 1:
        forms += "|" + re.escape(words[0].upper())
    before = "" if _UNSPACED.match(words[0][0]) else rf"(?<![^\W_]){f'(?<!{no_edge})' if no_edge else ''}"
    after = "" if _UNSPACED.match(words[-1][-1]) else rf"(?![^\W_]){f'(?!{no_edge})' if no_edge else ''}"
    return re.compile(f"{before}(?:{forms}){after}", re.IGNORECASE if len(words) > 1 else 0)


@cache
def _simple(char: str) -> str:
    if char.isspace() or char in "_*":
        return " "
    category = unicodedata.category(char)
    if category[0] == "M" or category == "Cf" or char in _INVISIBLE:
        return ""
    if char in "®©" or unicodedata.decomposition(char).startswith("<super>"):
        return ""
    if char in "’‘ʼ`´′":
        return "'"
    if category == "Pd":
        return "-"
    letters = unicodedata.normalize("NFKD", char).replace("ß", "ss").replace("ẞ", "SS")
    return letters if letters == char else "".join(map(_simple, letters))


def _unescaped(reading: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    text = "".join(char for char, _, _ in reading)
    result, done = [], 0
    for escape in _ESCAPE.finditer(text):
        start, end = escape.span()
        result += reading[done:start]
        result += [(char, reading[start][1], reading[end - 1][2]) for char in _meaning(escape[0])]
        done = end
    return result + reading[done:]


def _meaning(escape: str) -> str:
    if escape[0] == "&":
        return html.unescape(escape)
    if len(escape) == 2:
        return _CONTROL.get(escape[1], escape[1])
    units = b"".join(int(digits, 16).to_bytes(2, "big") for digits in re.split(r"\\[ux]", escape)[1:])
    return units.decode("utf-16-be", "replace")
