"""Reads files of JSON lines, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..packed import Unpacked, damage_of, open_lines
from . import chunks


class JsonLines:
    """The lines of a file, from a position on; see `chunks.Reader`.

    A compressed file that is damaged, or cut, is read as far as it goes. One more line then says so.
    """

    def __init__(self, path: str, begin: dict):
        self._path, self._damaged = path, begin.get("damaged", False)
        self._stream = None
        self.number, self._offset = begin.get("line", 0), begin.get("byte", 0)

    def __iter__(self) -> Iterator[tuple[bytes | None, str | None]]:
        longest = chunks.LONGEST_LINE
        with open_lines(self._path) as stream:
            self._stream = stream
            _skip(stream, self._offset)
            while line := stream.readline(longest):
                self.number += 1
                self._offset += len(line)
                if len(line) == longest and not line.endswith(b"\n"):
                    while (rest := stream.readline(longest)) and not rest.endswith(b"\n"):
                        self._offset += len(rest)
                    self._offset += len(rest)
                    yield b"", f"longer than {longest} bytes"
                    yield None, None  # so that the bytes of the other lines of a chunk add up
                else:
                    yield line, None
            self._stream = None
            if (damage := damage_of(stream)) and not self._damaged:
                self._damaged = True
                self.number += 1
                yield b"", f"the file cannot be decompressed beyond this line: {damage}"

    def position(self) -> tuple[dict, int]:
        end = {"line": self.number, "byte": self._offset}
        read = self._stream.raw.tell() if self._stream else Path(self._path).stat().st_size
        return ({**end, "damaged": True} if self._damaged else end), read


def _skip(stream, size: int) -> None:
    if isinstance(stream.raw, Unpacked):
        while size > 0 and (block := stream.read(min(size, 1 << 20))):
            size -= len(block)
    else:
        stream.seek(size)
