r"""Decodes escaped text: JSON and source code, HTML, URLs and terminals.

There are four kinds of escapes:

- `backslash`: escapes of JSON (`\n`, `\u00e9`, `\u003c`), where a surrogate pair is one character, and of source code
  and logs (`\x41`, `\101`, `\0`, `\U0001f600`, `\u{1f600}`, `\x{41}`, `\N{BULLET}`). Bytes that form UTF-8
  together are one character (`\xc3\xa9`). Before ASCII punctuation and white space a backslash means the
  character itself (`\"`, `\/`, Markdown's `\_`). Before anything else it stays.
- `entity`: HTML's character references, exactly as in `html.unescape`.
- `percent`: bytes of URLs, `%20` and `%C3%A9`. Bytes that are not UTF-8 stay.
- `terminal`: ANSI sequences (colors, links). They mean no character.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from html.entities import html5
from typing import TYPE_CHECKING

from .pieces import Pieces

if TYPE_CHECKING:
    import numpy as np

KINDS = ("backslash", "entity", "percent", "terminal")
"""See the module's docstring."""

DEPTH = 4
"""Levels of nesting: for example, JSON in JSON in JSON, with HTML inside."""

_SIGN = {"backslash": "\\", "entity": "&", "percent": "%", "terminal": "\x1b"}


def _utf8(lead2: str, lead3: str, lead4: str, more: str) -> str:
    """A pattern for bytes, in some notation, that may be one character of UTF-8."""
    return f"{lead2}{more}|{lead3}(?:{more}){{2}}|{lead4}(?:{more}){{3}}"


_X_BYTES = _utf8(r"\\x[cdCD][0-9a-fA-F]", r"\\x[eE][0-9a-fA-F]", r"\\x[fF][0-4]", r"\\x[89abAB][0-9a-fA-F]")
_OCTAL_BYTES = _utf8(r"\\3[0-3][0-7]", r"\\3[45][0-7]", r"\\36[0-4]", r"\\2[0-7][0-7]")
_PERCENT_BYTES = _utf8("%[cdCD][0-9a-fA-F]", "%[eE][0-9a-fA-F]", "%[fF][0-4]", "%[89abAB][0-9a-fA-F]")

# each quantifier is bounded or stops at the next sign, so the time is linear in the text
_PATTERNS = {
    "backslash": rf"(?P<x>{_X_BYTES})|(?P<octal>{_OCTAL_BYTES})"
    r"|(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\(?:(?P<hex>u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[ux]\{[0-9a-fA-F]{1,8}\})"
    r"|(?P<digits>[0-3][0-7]{2}|0)|N\{(?P<named>[^{}\\\n]{1,88})\}"
    r"|(?P<char>[abefnrtv!-/:-@\[-`{-~\s]))",
    "entity": r"&(?P<reference>#[0-9]{1,20};?|#[xX][0-9a-fA-F]{1,20};?|[0-9a-zA-Z]{1,32};?)",
    "percent": rf"(?P<bytes>{_PERCENT_BYTES}|%[0-7][0-9a-fA-F])",
    "terminal": r"(?P<ansi>\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z^-~]))",
}
_CHARS = dict(zip("abefnrtv", "\a\b\x1b\f\n\r\t\v"))


class View:
    """The meaning of a text, with a mapping back to the text's characters.

    Attributes:
        text: the meaning.
    """

    def __init__(self, text: str, pieces: Pieces, inner: View | None = None):
        self.text = text
        self._pieces = pieces
        self._inner = inner

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original's characters `[start, end)`, in whole escapes, for a non-empty range of the meaning."""
        start, end = self._pieces.original(start, end)
        return (start, end) if self._inner is None else self._inner.original(start, end)

    @property
    def starts(self) -> np.ndarray:
        """int64 (len(text),): the start in the original of each character of the meaning."""
        return self._arrays[0]

    @property
    def ends(self) -> np.ndarray:
        """int64 (len(text),): its end. Characters of one escape share their start and end."""
        return self._arrays[1]

    @cached_property
    def _arrays(self):
        starts, ends = self._pieces.arrays()
        if self._inner is None or not len(starts):
            return starts, ends
        return self._inner.starts[starts], self._inner.ends[ends - 1]


def unescaped(text: str, kinds: Sequence[str] = KINDS, depth: int = DEPTH) -> Iterator[View]:
    """Unescape a text once, twice and so on, while it still contains escapes.

    With only `backslash`, `json.dumps(text)[1:-1]` means `text` at the first level. n nested dumps mean `text` at
    level n.

    Args:
        text: any Unicode.
        kinds: the kinds of escapes that count, from `KINDS`. Each level decodes all of them.
        depth: the most levels.

    Yields:
        One view per level; none for a text without escapes. No view is longer than the one before it.
    """
    inner = None
    for _ in range(depth):
        decoded = _decoded(text, kinds)
        if decoded is None:
            return
        inner = View(*decoded, inner)
        text = inner.text
        yield inner


def _decoded(text: str, kinds: Sequence[str]) -> tuple[str, Pieces] | None:
    present = tuple(kind for kind in KINDS if kind in kinds and _SIGN[kind] in text)
    if not present:
        return None
    search, pieces, parts, done = _compiled(present).search, Pieces(), [], 0
    at = 0
    while escape := search(text, at):
        start, (meaning, at) = escape.start(), _meaning(escape)
        if meaning is None:
            continue
        parts += text[done:start], meaning
        pieces.add(start - done, done, start)
        pieces.add(len(meaning), start, at)
        done = at
    if not done:
        return None
    pieces.add(len(text) - done, done, len(text))
    return "".join([*parts, text[done:]]), pieces


@cache
def _compiled(kinds: tuple[str, ...]) -> re.Pattern:
    return re.compile("|".join(_PATTERNS[kind] for kind in kinds))


def _meaning(escape: re.Match) -> tuple[str | None, int]:
    """The meaning of an escape and its end. If it has no meaning: None, and where to continue."""
    kind = escape.lastgroup or ""  # every alternative is a named group
    value, end = escape[kind], escape.end()
    if kind == "char":
        return _CHARS.get(value, value), end
    if kind == "hex":
        code = int(value.strip("uUx{}"), 16)
        return (chr(code), end) if code <= 0x10FFFF else (None, escape.start() + 1)
    if kind == "pair":
        high, low = int(value[2:6], 16), int(value[8:12], 16)
        return chr(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)), end
    if kind == "digits":
        return chr(int(value, 8)), end
    if kind == "reference":
        return _reference(value, escape.start() + 1)
    if kind == "ansi":
        return "", end
    if kind == "named":
        try:
            return unicodedata.lookup(value), end
        except KeyError:
            return None, escape.start() + 1
    # bytes
    base, width = (8, 4) if kind == "octal" else (16, 4 if kind == "x" else 3)
    codes = [int(value[i - 3 if base == 8 else i - 2 : i], base) for i in range(width, len(value) + 1, width)]
    try:
        return bytes(codes).decode(), end
    except UnicodeDecodeError:
        # if the bytes are not UTF-8, the first one is a character, except in URLs
        return (None if kind == "bytes" else chr(codes[0])), escape.start() + width


def _reference(value: str, start: int) -> tuple[str | None, int]:
    if value[0] == "#":
        return html.unescape(f"&{value}"), start + len(value)
    # the longest prefix that HTML defines; few are defined without the semicolon
    for length in range(len(value), 1, -1):
        if value[:length] in html5:
            return html5[value[:length]], start + length
    return None, start
