"""Lines of a source, cut into chunks by their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

CHUNK_BYTES = 1 << 20
"""Bytes of a chunk, approximately: one chunk is in memory per worker, and one more waits for it."""
LONGEST_LINE = 1 << 26
"""Longest line in bytes. Longer lines are rejected, because memory must hold several copies of a line."""
_LEAST = 100
"""A line counts as this many bytes at least, so that a chunk has no millions of blank lines."""

Bad = tuple[int, str]
"""A line or row that could not be labeled: its number, counted from 1, and the reason."""


class Chunk(NamedTuple):
    """A piece of a source.

    Attributes:
        content: lines of JSON. They are empty for what could not be read.
        first: the number of the first line or row, counted from 1.
        end: the position in the source after this chunk (see `Source.chunks`), as JSON values.
        read: the same position, in the unit of `Source.size`.
        bad: lines that could not be read.
    """

    content: Sequence[bytes]
    first: int
    end: dict
    read: int
    bad: list[Bad]


class Reader(Protocol):
    """Reads the lines of a source from some position on.

    Attributes:
        number: the number of the last line that was read, counted from 1.
    """

    number: int

    def __iter__(self) -> Iterator[tuple[bytes | None, str | None]]:
        """Lines, each with the reason if it cannot be read. Such lines are empty. None: a chunk ends here."""
        ...

    def position(self) -> tuple[dict, int]:
        """`Chunk.end` and `Chunk.read` after the last line that was read."""
        ...


def cut(reader: Reader) -> Iterator[Chunk]:
    """Cut lines into chunks. Where they are cut depends only on the lines since the last cut."""
    first, lines, bad, size = reader.number + 1, [], [], 0
    for line, reason in reader:
        if line is not None:
            lines.append(line)
            size += max(len(line), _LEAST)
        if reason:
            bad.append((reader.number, reason))
        if lines and (line is None or size >= CHUNK_BYTES):
            yield Chunk(lines, first, *reader.position(), bad)
            first, lines, bad, size = reader.number + 1, [], [], 0
    if lines:
        yield Chunk(lines, first, *reader.position(), bad)
