r"""Matches regular expressions in time linear in the text, with the meaning that they have in the `regex` module.

RE2 does the matching. It has another version of Unicode than `regex`, other word boundaries and other offsets. It
therefore never sees the text, but one byte per character: characters that a pattern does not tell apart share a byte.
`regex` says which characters each `\w`, `[^a-z]` or letter matches. Offsets of bytes are then offsets of characters, and
RE2 only has to know sequences, alternatives and repetitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import re2
import regex

from .syntax import Atom, Syntax, Unsupported, parse

_CODE_POINTS = 0x110000

_BLOCK = 1 << 20
"""Characters that are encoded at once. This bounds the memory for a long text."""

_LINE = 0x0A
"""The byte before and after which RE2 finds the ends of lines. Between texts it is what no atom matches."""

_WORD = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""The bytes that are letters for RE2's `\\b`."""

_OTHER = bytes(byte for byte in range(256) if byte != _LINE and byte not in _WORD)

_MEMORY = 1 << 25
"""Bytes that RE2 may use per pattern. If it needs more it is slower, but still linear."""

_NEWLINE, _LETTER = Atom(r"\n", 0), Atom(r"\w", 0)


class Encoded(NamedTuple):
    """Texts in ranges of an alphabet, joined by a range that no pattern matches."""

    ranges: np.ndarray
    """uint16 or int32 (characters + texts,)"""
    starts: list[int]
    """Where each text begins, and one past the end."""


class Linear:
    """A pattern that RE2 can match.

    Args:
        matcher: the compiled pattern.
        bytes: uint8 (ranges + 1,): the byte of each range of characters (see `Alphabet`), and what is between texts.
        newline: the range of the newline, if the last one of a text becomes `_LINE`; otherwise -1.
        edges: whether each text has to be searched separately, since the pattern asks where it begins or ends.
    """

    def __init__(self, matcher: Any, bytes: np.ndarray, newline: int, edges: bool):
        self._matcher, self._bytes, self._newline, self._edges = matcher, bytes, newline, edges

    def spans(self, encoded: Encoded) -> Iterator[tuple[int, int, int]]:
        """The index of the text, start and end of each match, in characters, as `regex`'s `finditer` finds them."""
        starts = encoded.starts
        if not self._edges:
            index = 0
            for match in self._matcher.finditer(self._bytes[encoded.ranges].tobytes()):
                start, end = match.span()
                while start >= starts[index + 1]:
                    index += 1
                yield index, start - starts[index], end - starts[index]
            return
        for index, (begin, stop) in enumerate(pairwise(starts)):
            ranges = encoded.ranges[begin : stop - 1]
            text = self._bytes[ranges]
            if text.size and ranges[-1] == self._newline:
                text[-1] = _LINE
            for match in self._matcher.finditer(text.tobytes()):
                yield index, *match.span()


class Alphabet:
    """The characters that some expressions tell apart, as ranges of code points.

    Args:
        expressions: each with its flags, IGNORECASE, MULTILINE and DOTALL of `regex`. `regex` can compile them.

    Attributes:
        patterns: for each expression its `Linear`, or None if RE2 cannot match it as `regex` does.
    """

    def __init__(self, expressions: Sequence[tuple[str, int]]):
        parsed = [_parsed(*expression) for expression in expressions]
        atoms = {piece for syntax in parsed if syntax for piece in syntax.pieces if isinstance(piece, Atom)}
        bounds = [_bounds(atom) for atom in sorted(atoms | {_NEWLINE, _LETTER})]
        self._starts = np.unique(np.concatenate([np.zeros(1, np.int64), *bounds]))
        self._starts = self._starts[self._starts < _CODE_POINTS]
        lengths = np.diff(self._starts, append=_CODE_POINTS)
        indexes = np.arange(lengths.size, dtype=np.uint16 if lengths.size < 1 << 16 else np.int32)
        self._range_of = np.repeat(indexes, lengths)
        self.patterns = [syntax and self._compiled(syntax) for syntax in parsed]

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The texts for `Linear.spans`. Any Unicode."""
        text = "".join(texts)
        blocks = [text[i : i + _BLOCK].encode("utf-32-le", "surrogatepass") for i in range(0, len(text), _BLOCK)]
        ranges = [self._range_of[np.frombuffer(block, np.uint32)] for block in blocks]
        ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
        joined = np.insert(np.concatenate([self._range_of[:0], *ranges]), ends, self._starts.size)
        return Encoded(joined, [0, *(ends + np.arange(1, len(texts) + 1)).tolist()])

    def _compiled(self, syntax: Syntax) -> Linear | None:
        atoms = sorted({piece for piece in syntax.pieces if isinstance(piece, Atom)})
        kinds = [*atoms, _NEWLINE] + [_LETTER] * syntax.words
        # which range matches which atom; ranges with the same row share a byte
        rows = np.stack([np.searchsorted(_bounds(atom), self._starts, "right") % 2 == 1 for atom in kinds], 1)
        rows, row_of_range = np.unique(rows, axis=0, return_inverse=True)
        bytes = _bytes(rows[:, len(atoms)], rows[:, -1] if syntax.words else None, syntax.multiline)
        if bytes is None:
            return None
        sets = {atom: bytes[rows[:, i]].tolist() for i, atom in enumerate(atoms)}
        table = np.append(bytes[row_of_range.ravel()], np.uint8(_LINE))
        newline = self._range_of[_LINE] if syntax.final else -1
        if syntax.final:
            last = bytes[rows[:, len(atoms)]][0]
            sets = {atom: [*matched, _LINE] if last in matched else matched for atom, matched in sets.items()}
        options = re2.Options()
        options.encoding, options.log_errors, options.max_mem = re2.Options.Encoding.LATIN1, False, _MEMORY
        source = b"".join(_set(sets[piece]) if isinstance(piece, Atom) else piece for piece in syntax.pieces)
        try:
            return Linear(re2.compile(source, options), table, int(newline), syntax.edges)
        except re2.error:
            return None  # it is too large


def _parsed(expression: str, flags: int) -> Syntax | None:
    try:
        return parse(expression, flags)
    except (Unsupported, RecursionError):
        return None


@cache
def _characters() -> str:
    return "".join(map(chr, range(_CODE_POINTS)))


@cache
def _bounds(atom: Atom) -> np.ndarray:
    """int64, ascending: where the code points that match an atom begin and end, in turns."""
    spans = regex.compile(f"(?:{atom.text})+", atom.flags).finditer(_characters())
    return np.array([bound for match in spans for bound in match.span()], np.int64)


def _bytes(newlines: np.ndarray, letters: np.ndarray | None, multiline: bool) -> np.ndarray | None:
    r"""A byte for each kind of character, uint8 (kinds,); None if there are not enough bytes.

    Args:
        newlines: bool (kinds,): which of them is the newline.
        letters: bool (kinds,): which of them are letters for `\b`. None: no matter.
        multiline: whether the newline has to be RE2's.
    """
    bytes = np.zeros(newlines.size, np.uint8)
    rest = ~newlines if multiline else np.ones_like(newlines)
    bytes[~rest] = _LINE
    groups = [(rest, _OTHER + _WORD)] if letters is None else [(rest & letters, _WORD), (rest & ~letters, _OTHER)]
    for kinds, free in groups:
        if kinds.sum() > len(free):
            return None
        bytes[kinds] = list(free[: kinds.sum()])
    return bytes


def _set(bytes: list[int]) -> bytes:
    r"""RE2's syntax for one of some bytes."""
    return b"[%s]" % b"".join(b"\\x%02x" % byte for byte in bytes) if bytes else b"[^\\x00-\\xff]"
