"""The forms in which a listed name is written: its order, initials, commas, capitals and parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import regex

from .text.characters import SIGNS, UNSPACED
from .text.fold import Folded

Fold = Callable[[str], str]
"""Folds a text as the texts are folded in which names are looked for."""

_PARTICLES = "af al av bin bint binti da dal de del dela della den der des di do dos du el et ibn la las le les \
lo los och of ten ter the und van vom von zu zum zur"
_SUFFIXES = frozenset({"esq", "ii", "iii", "iv", "jnr", "jr", "md", "phd", "snr", "sr", "vi"})
_TITLES = "dr frau herr jnr lady lord madame miss mr mrs ms prof professor saint sir st"
_NO_PARTS = frozenset(f"{_PARTICLES} {_TITLES}".split()) | _SUFFIXES
_INITIALS = regex.compile(r"(?:\p{L}\p{M}*\.)+")
_INITIAL = regex.compile(r"\p{Lu}\p{M}*")
_LETTER = regex.compile(r"\p{L}\p{M}*")
_EDGES = regex.compile(r"^[^\w\p{M}]+|[^\w\p{M}]+$")
# not the dot of Catalan (Gal·la)
_BETWEEN_PARTS = regex.compile(r"[ \-=]|(?<![lL])\u30fb|\u30fb(?![lL])")
_LOOSE_SIGNS = regex.compile(rf"^[\s{SIGNS}]+|[\s{SIGNS}]+$")
_BETWEEN_UNSPACED = regex.compile(
    rf"(?<=[{UNSPACED}]\p{{M}}*)[\s_\-=\u2010\u30a0\u30fb\uff1d\uff65\u00b7\u2022\u2027]+(?=[{UNSPACED}])"
)
_SPACE_BETWEEN_HANGUL = regex.compile(r"(?<=\p{Hangul}) (?=\p{Hangul})")
_KEPT_SMALL = regex.compile(r"((?<=\p{Lu}\p{M}*)(?:\p{Ll}\p{M}*)+(?=\p{Lu})|ß)")
_MOST_WORDS = 8
"""The most words of a name that is also found in other orders, and with only some words in capitals. Longer entries are
hardly names."""
_GREEK_ACCENTS = regex.compile(r"(?<=\p{Greek}\p{M}*)[\u0300\u0301\u0313\u0314\u0342]")


def whole_forms(name: str, fold: Fold) -> tuple[set[str], str]:
    """The folded forms of a name of a list as a whole, without those in capitals; and the one that is listed."""
    name = _LOOSE_SIGNS.sub("", name)
    folded = fold(name).strip()
    words = folded.split()
    forms = {folded, _SPACE_BETWEEN_HANGUL.sub("", folded)}
    pieces = _BETWEEN_UNSPACED.split(name)
    if len(pieces) > 1:
        forms |= {between.join(map(fold, pieces)) for between in ("", "\u30fb", "-", "=")}
    if 1 < len(words) <= _MOST_WORDS:
        forms |= {form for some in _with_initials(words) for form in _orders(some)}
    return forms, folded


def _with_initials(words: list[str]) -> Iterator[list[str]]:
    """The words with their initials as listed, and as `J. R.`, `J.R.`, `J R` and `JR`."""
    yield words
    runs: list[str | list[str]] = []  # a list of letters for each run of initials
    for word in words:
        if not (_INITIALS.fullmatch(word) or _INITIAL.fullmatch(word)):
            runs.append(word)
        elif runs and isinstance(runs[-1], list):
            runs[-1] += _LETTER.findall(word)
        else:
            runs.append(_LETTER.findall(word))
    if len(runs) < 2 or all(isinstance(run, str) for run in runs):
        return
    for dot, between in ((".", " "), (".", ""), ("", " "), ("", "")):
        text = " ".join(run if isinstance(run, str) else between.join(one + dot for one in run) for run in runs)
        yield text.split(" ")


def _orders(words: list[str]) -> Iterator[str]:
    """The words in their order, with any number of last ones moved to the front, and with suffixes written otherwise."""
    last = len(words)
    while last > 1 and words[last - 1].replace(".", "").casefold() in _SUFFIXES:
        last -= 1
    suffixes, words = words[last:], words[:last]
    words[-1] = words[-1].removesuffix(",")
    orders = [" ".join(words), *(" ".join([*words[cut:-1], f"{words[-1]},", *words[:cut]]) for cut in range(1, last))]
    if len(suffixes) == 0:
        yield from orders
        commas = [number for number, word in enumerate(words, 1) if word.endswith(",")]
        if len(commas) == 1 and commas[0] < last:  # listed with the last name first
            cut = commas[0]
            yield " ".join([*words[cut:], *words[: cut - 1], words[cut - 1][:-1]])
        return
    yield from orders[1:]
    for order in orders:
        for end in {" ".join(suffixes), " ".join(suffixes).replace(".", "")}:
            yield f"{order} {end}"
            yield f"{order}, {end}"


def part_forms(name: str, fold: Fold) -> set[str]:
    """The folded parts of a name that also count as names: Ji-Yeon, Ji, Yeon and Park of Ji-Yeon Park."""
    parts = set()
    for piece in _BETWEEN_UNSPACED.split(name):
        folded = fold(_LOOSE_SIGNS.sub("", piece)).strip()
        for part in {*folded.split(" "), *_BETWEEN_PARTS.split(folded)}:
            part = "" if _INITIALS.fullmatch(part) else _EDGES.sub("", part)
            if sum(map(str.isalpha, part)) >= 2 and not _is_small(part):
                parts.add(part)
    return parts


def in_capitals(name: str) -> set[str]:
    """The forms of a folded name with all words in capitals, only the first ones, or only the last ones.

    Lower-case words may stay (LUDWIG van BEETHOVEN). So may lower-case letters before a capital (McDONALD), and `ß`.
    Greek capitals are made with and without accents.
    """
    words = name.split(" ")
    forms = set()
    for upper in (str.upper, _mostly_upper):
        capitals = [upper(word) for word in words]
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
    words = [word for word in words if any(map(str.isalpha, word)) and not _is_small(word)]
    return words[:1] + words[1:][-1:]


def _is_small(word: str) -> bool:
    return word.replace(".", "").casefold() in _NO_PARTS
