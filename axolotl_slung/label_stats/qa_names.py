r"""Find names in texts: the truth of `slung qa --names`, with its own rules and not the labeler's.

The code is simple and slow. It reads a text as it is, and with its backslash escapes and HTML references resolved once,
twice and three times; each of these with and without HTML tags, and with words that a hyphen divides at a line end both
divided and joined. In each reading:

- An escaped character or a ligature counts as the characters that it means.
- Accents, invisible and control characters, superscripts, circled digits and trademark signs are ignored. `ü` may be
  `ue`. Letters of Cyrillic and Greek that look like Latin ones are the same.
- Any run of white space, underscores, asterisks, `~` and middle dots is one separator, with the marks of quotes and
  comments (`>`, `|`, `#`, `//`, `;`, `%`) that follow a line break. Words may also be separated by one of `.`, `-`, `+`
  and `/`, or by nothing.
- Initials may lack dots or spaces. There may be a comma before Jr. and the like. The last words may stand first, with or
  without a comma.
- A name of several words matches in any case. A single word matches as it is listed, or in capitals.
- Between Chinese characters and kana, white space does not count.
- No letter or digit may be right before or after a name, except in Chinese, Japanese and Thai.

With `parts`, pieces of a name match too. A piece is what lies between white space or hyphens. It has at least two
letters and does not begin with a lowercase letter (van, de). A piece of a hyphenated name does not match next to a hyphen: the
Al of Al-Said is not the Al of Al-Rumhi. Letters after an apostrophe are not part of the name.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

from ..labeling.base import Span

Reading = list[tuple[str, int, int]]
"""Characters, and the start and end in the text of what each one comes from."""

READINGS = 4
"""Number of readings: the text as it is, and three levels of escapes."""

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    rf"\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\x{_HEX}{{2}}"
    r"|\\[^A-Za-z0-9]|\\[nrtbf0]|&#?\w+;"
)
_CONTROL = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": " ", "0": " "}
_QUOTE = re.compile(r"(?<=[\n\r])(?:[ \t]*(?:[>|#;%]|//))+")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_DIVIDED = re.compile(r"(?<=\w)[-\u2010\u00ad][ \t]*\r?\n\s*(?=\w)")
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_ALIKE = str.maketrans("АВЕЅІЈКМНОРСТУХаеѕіјорсухԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧονı", "ABESIJKMHOPCTYXaesijopcyxdhABEZHIKMNOPTYXovi")
_LETTERS = {"Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Þ": "Th", "þ": "th"}
_LETTERS |= {"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ħ": "H", "ħ": "h", "ß": "ss", "ẞ": "SS"}
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff]")
_JOINED = re.compile("[\u2e80-\u9fff\u1100-\u11ff]")
_SUFFIX = re.compile("(?:jr|sr|jnr|snr|i{2,3}|iv|phd|md|esq)", re.IGNORECASE)


def name_spans(text: str, names: Sequence[str], parts: bool = True) -> list[Span]:
    """All places of all names, sorted by `start`, with score 1. They may overlap."""
    wholes = set(filter(None, (name.strip() for name in names)))
    pieces = set()
    if parts:
        wholes |= set(filter(_is_piece, (piece for name in wholes for piece in re.split(r"[\s\u30fb\u00b7]+", name))))
        pieces = set(filter(_is_piece, (piece for name in wholes for piece in name.split("-"))))
    patterns = [_pattern(name, "") for name in wholes] + [_pattern(piece, "-") for piece in pieces]
    found: set[tuple[int, int]] = set()
    for reading in _readings(text):
        simple = [(one, start, end) for char, start, end in reading for one in _simple(char)]
        plain = "".join(char for char, _, _ in simple)
        for pattern in filter(None, patterns):
            found |= {(simple[m.start()][1], simple[m.end() - 1][2]) for m in pattern.finditer(plain)}
    return [Span(start, end, 1.0) for start, end in sorted(found)]


def _readings(text: str) -> Iterator[Reading]:
    reading = [(char, index, index + 1) for index, char in enumerate(text)]
    for _ in range(READINGS):
        unquoted = _without(reading, _QUOTE)
        for some in (unquoted, _without(unquoted, _TAG)):
            yield some
            yield _without(some, _DIVIDED)
            yield _without(some, _DIVIDED, kept="-")
        if (following := _unescaped(reading)) == reading:
            break
        reading = following


def _without(reading: Reading, pattern: re.Pattern, kept: str = "") -> Reading:
    """What is left of a reading without what matches, or with `kept` in its place."""
    text = "".join(char for char, _, _ in reading)
    result, done = [], 0
    for match in pattern.finditer(text):
        start, end = match.span()
        result += reading[done:start]
        result += [(char, reading[start][1], reading[end - 1][2]) for char in kept]
        done = end
    return result + reading[done:]


def _is_piece(piece: str) -> bool:
    return sum(map(str.isalpha, piece)) >= 2 and not piece[0].islower()


def _pattern(name: str, no_edge: str) -> re.Pattern | None:
    """A pattern for a name in a simplified text. It does not match next to the character `no_edge`."""
    words = "".join(map(_simple, name)).split()
    if not words:
        return None
    if len(words) == 1:
        forms = [_word(name), re.escape(words[0].upper())]
    else:
        last = len(words) - 1 if _SUFFIX.fullmatch(words[-1].replace(".", "")) and len(words) > 2 else len(words)
        suffix = "" if last == len(words) else rf",? *{re.escape(words[-1].rstrip('.'))}\.?"
        listed = "".join(" " if _simple(char) == " " else char for char in name).split()
        some = [_word(word) for word in listed if _simple_text(word)][:last]
        some[-1] = some[-1].removesuffix(",")
        orders = [_sequence(some), *(f"{_sequence(some[cut:])},? +{_sequence(some[:cut])}" for cut in range(1, last))]
        forms = [order + suffix for order in orders]
        if last == len(words) and sum(word.endswith(",") for word in some) == 1:  # listed with the last name first
            cut = next(number for number, word in enumerate(some, 1) if word.endswith(","))
            forms.append(_sequence([*some[cut:], *some[: cut - 1], some[cut - 1][:-1]]))
    # the edges depend on the first and the last character of each form, so they are looked for in the text
    before = rf"(?:(?<![^\W_]){f'(?<!{no_edge})' if no_edge else ''}|(?={_UNSPACED.pattern}))"
    after = rf"(?:(?![^\W_]){f'(?!{no_edge})' if no_edge else ''}|(?<={_UNSPACED.pattern}))"
    return re.compile(f"{before}(?:{'|'.join(forms)}){after}", re.IGNORECASE if len(words) > 1 else 0)


def _sequence(words: Sequence[str]) -> str:
    return "(?: +|[-.+/]|)".join(words)


def _word(word: str) -> str:
    """A pattern for one word of a name."""
    if re.fullmatch(r"(?:\w\.)+|\w", _simple_text(word)) and not _JOINED.match(word):
        return r" ?".join(rf"{re.escape(letter)}\.?" for letter in _simple_text(word).replace(".", ""))
    between = " *" if re.fullmatch(f"(?:{_UNSPACED.pattern})+", word) else ""
    return between.join(
        re.escape(_simple(char)) + ("[eE]?" if char in "äöüÄÖÜ" else "") for char in unicodedata.normalize("NFC", word)
    )


def _simple_text(text: str) -> str:
    return "".join(map(_simple, text))


@cache
def _simple(char: str) -> str:
    if char.isspace() or char in "_*~\u30fb\uff65\u00b7\u2022\u2027\u2800":
        return " "
    category = unicodedata.category(char)
    if category[0] == "M" or category in ("Cf", "Cc") or char in _INVISIBLE:
        return ""
    decomposition = unicodedata.decomposition(char)
    if char in "®©†‡" or decomposition.startswith("<super>") or (decomposition.startswith("<") and category == "No"):
        return ""
    if char in "’‘ʼ`´′":
        return "'"
    if category == "Pd":
        return "-"
    letters = unicodedata.normalize("NFKD", char).translate(_ALIKE)
    letters = _LETTERS.get(letters, letters)
    return letters if letters == char else "".join(map(_simple, letters))


def _unescaped(reading: Reading) -> Reading:
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
