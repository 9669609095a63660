r"""Reads regular expressions that RE2 can match, and divides them into characters and structure.

Only syntax that means the same to `regex` and to RE2 is read: characters, sets, groups, alternatives, repetitions,
`^`, `$`, `\A`, `\Z`, `\b` and `\B`, and the flags `i`, `m` and `s`. Anything else is `Unsupported`: lookarounds,
backreferences, possessive repetitions, and whatever this module does not know.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import regex

_CHARACTER = re.compile(
    r"\\(?:[dDsSwW]|[pP](?:\{\^?[\w &=:-]+\}|[A-Z])|[ntrfva]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[!-/:-@\[-`{-~ ])"
)
"""A backslash and what it makes a character or a set of characters."""

_SET = re.compile(rf"\[\^?\]?(?:{_CHARACTER.pattern}|\[:\^?\w+:\]|[^\]\[\\])*\]")
_SET_OPERATION = re.compile(r"--|\|\||&&|~~")
"""What `regex` reads in sets only in its version 1."""

_GROUP = re.compile(r"\((?:\?(?:P?<[A-Za-z_]\w*>|(?P<flags>[ims]*):))?(?!\?)")
_FLAGS = re.compile(r"\(\?(?P<flags>[ims]+)\)")
_REPETITION = re.compile(r"(?:[*+?]|\{(?P<low>\d*)(?P<comma>,)?(?P<high>\d*)\})(?P<lazy>\??)")
_LETTERS = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL}


class Unsupported(ValueError):
    """The expression has syntax that RE2 does not have, or does not read as `regex` does."""


class Atom(NamedTuple):
    """What matches exactly one character: a letter, an escape, a dot or a set."""

    text: str
    flags: int


class Syntax(NamedTuple):
    """An expression in RE2's syntax, with its atoms left open."""

    pieces: list[bytes | Atom]
    multiline: bool
    """Whether `^` or `$` of lines occurs."""
    final: bool
    """Whether `$` of the text occurs, which also matches before a newline at the end."""
    words: bool
    r"""Whether `\b` or `\B` occurs."""
    edges: bool
    r"""Whether `^`, `$`, `\A` or `\Z` occurs, which ask where a text begins or ends."""


def parse(expression: str, flags: int = 0) -> Syntax:
    """Read an expression.

    Args:
        expression: one that `regex` can compile.
        flags: of `regex`: IGNORECASE, MULTILINE and DOTALL.

    Raises:
        Unsupported: RE2 cannot match it as `regex` does.
    """
    return _Parser(expression).syntax(flags)


class _Parser:
    def __init__(self, expression: str):
        self.expression = expression
        self.at = 0
        self.multiline = self.final = self.words = self.edges = False

    def syntax(self, flags: int) -> Syntax:
        if begin := self.take(_FLAGS):
            flags |= _flags(begin["flags"])
        pieces, shortest = self.alternatives(flags)
        if self.at < len(self.expression):
            raise Unsupported("unbalanced parenthesis")
        if shortest == 0:
            raise Unsupported("it may match nothing, and where such a match ends is up to the engine")
        if self.multiline and self.final:
            raise Unsupported("`$` with two meanings")
        return Syntax(pieces, self.multiline, self.final, self.words, self.edges)

    def take(self, pattern: re.Pattern) -> re.Match | None:
        found = pattern.match(self.expression, self.at)
        if found:
            self.at = found.end()
        return found

    def next(self) -> str:
        return self.expression[self.at : self.at + 1]

    # each of these returns the pieces, and the least number of characters that they match

    def alternatives(self, flags: int) -> tuple[list[bytes | Atom], int]:
        pieces, shortest = self.sequence(flags)
        while self.next() == "|":
            self.at += 1
            more, length = self.sequence(flags)
            pieces += [b"|", *more]
            shortest = min(shortest, length)
        return pieces, shortest

    def sequence(self, flags: int) -> tuple[list[bytes | Atom], int]:
        pieces: list[bytes | Atom] = []
        shortest = 0
        while self.next() not in ("", "|", ")"):
            anchor = self.anchor(flags)
            if anchor is not None:
                if self.next() in tuple("*+?{"):
                    raise Unsupported("a repeated anchor")
                pieces.append(anchor)
                continue
            more, length = self.repeated(*self.item(flags))
            pieces += more
            shortest += length
        return pieces, shortest

    def anchor(self, flags: int) -> bytes | None:
        two = self.expression[self.at : self.at + 2]
        if two in (r"\b", r"\B", r"\A", r"\Z"):
            self.at += 2
            self.words |= two in (r"\b", r"\B")
            self.edges |= two in (r"\A", r"\Z")
            return b"\\z" if two == r"\Z" else two.encode()
        if two[:1] not in ("^", "$"):
            return None
        self.at += 1
        self.edges = True
        if flags & regex.MULTILINE:
            self.multiline = True
            return b"(?m:%s)" % two[:1].encode()
        if two[0] == "^":
            return b"\\A"
        self.final = True
        return b"(?m:$)"  # RE2 is given a newline only at the end of the text

    def item(self, flags: int) -> tuple[list[bytes | Atom], int]:
        if group := self.take(_GROUP):
            pieces, shortest = self.alternatives(flags | _flags(group["flags"] or ""))
            if self.next() != ")":
                raise Unsupported("unbalanced parenthesis")
            self.at += 1
            return [b"(?:", *pieces, b")"], shortest
        start = self.at
        if self.next() in ("(", "*", "+", "?", "{"):
            raise Unsupported("a group or a repetition of another kind")
        if self.next() in ("[", "\\"):
            found = self.take(_SET if self.next() == "[" else _CHARACTER)
            if not found or (found[0][0] == "[" and _SET_OPERATION.search(found[0])):
                raise Unsupported("a set or an escape of another kind")
        else:
            self.at += 1
        return [Atom(self.expression[start : self.at], flags & (regex.IGNORECASE | regex.DOTALL))], 1

    def repeated(self, pieces: list[bytes | Atom], shortest: int) -> tuple[list[bytes | Atom], int]:
        found = self.take(_REPETITION)
        if not found:
            return pieces, shortest
        if self.next() in tuple("*+?{"):
            raise Unsupported("a possessive or repeated repetition")
        sign = found[0][0]
        if sign == "{":
            low, high = int(found["low"] or 0), found["high"] or ("" if found["comma"] else found["low"])
            if not (found["low"] or found["high"]):
                raise Unsupported("a repetition without numbers")
            text = f"{{{low}}}" if high == str(low) else f"{{{low},{high}}}"
            many = high == "" or int(high) > 1
        else:
            low, text, many = int(sign == "+"), sign, sign != "?"
        if many and shortest == 0:
            raise Unsupported("a repetition of what may be empty, which engines leave in different ways")
        return [*pieces, f"{text}{found['lazy']}".encode()], low * shortest


def _flags(letters: str) -> int:
    return sum(_LETTERS[letter] for letter in set(letters))
