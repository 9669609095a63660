"""Sources of documents: JSON lines, Parquet and hub data sets, read in chunks from any position."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from ..errors import SlungError, few, os_errors

JSON_LINES = tuple(f".{kind}{packed}" for kind in ("jsonl", "json", "ndjson") for packed in ("", ".gz", ".zst"))
PARQUET = (".parquet",)

CHUNK_BYTES = 1 << 20
"""Uncompressed bytes of a chunk of JSON lines, approximately."""
CHUNK_ROWS = 500
"""Rows per chunk of a Parquet file or hub data set."""
LONGEST_LINE = 1 << 26
"""Longest line in bytes. Longer lines are rejected, because memory must hold several copies of a line."""

Bad = tuple[int, str]
"""A line or row that could not be labeled: its number, counted from 1, and the reason."""


class SourceError(SlungError):
    """An input cannot be read. The message names the input and the fix."""


class Chunk(NamedTuple):
    """A piece of a source.

    Attributes:
        content: lines as bytes, or rows as mappings.
        first: the number of the first line or row, counted from 1.
        end: the position in the source after this chunk (see `Source.chunks`), as JSON values.
        read: the same position, in the unit of `Source.size`.
        bad: lines that could not be read, so they are not in `content`.
    """

    content: Sequence[Any]
    first: int
    end: dict
    read: int
    bad: list[Bad]


@dataclass(frozen=True)
class Source:
    """One file, or one split of a hub data set.

    Attributes:
        name: the output's name, relative to the output folder.
        path: the file's path, or the hub data set's id.
        kind: `json`, `parquet` or `hub`.
        subset, split: of a hub data set.
        columns: the columns to read of a Parquet file or hub data set; None reads all.
    """

    name: str
    path: str
    kind: str
    subset: str | None = None
    split: str | None = None
    columns: tuple[str, ...] | None = field(default=None)

    @property
    def size(self) -> int | None:
        """Bytes of the file; None for a hub data set."""
        return None if self.kind == "hub" else Path(self.path).stat().st_size

    def identity(self) -> str:
        """A digest of the columns, the file's size, and its first and last megabyte."""
        if self.kind == "hub":
            return f"{self.path} {self.subset} {self.split} {self.columns}"
        digest = hashlib.sha256(f"{self.size} {self.columns}".encode())
        with os_errors(self.path, SourceError), open(self.path, "rb") as file:
            digest.update(file.read(1 << 20))
            file.seek(max(0, self.size - (1 << 20)))
            digest.update(file.read())
        return digest.hexdigest()

    def chunks(self, begin: dict | None = None) -> Iterator[Chunk]:
        """Read the source in chunks. The chunks are the same in every run.

        Args:
            begin: the `end` of the last chunk to skip; None for the beginning.

        Raises:
            SourceError: the file's content is not what its name says, or a hub data set cannot be opened.
        """
        with os_errors(self.path, SourceError):
            yield from {"json": self._lines, "parquet": self._row_groups, "hub": self._rows}[self.kind](begin or {})

    def _lines(self, begin):
        number, offset = begin.get("line", 0), begin.get("byte", 0)
        first, lines, bad, size = number + 1, [], [], 0
        with open(self.path, "rb") as raw:
            stream = io.BufferedReader(_unpacked(raw, self.path), 1 << 18)
            _skip(stream, offset)
            while line := stream.readline(LONGEST_LINE):
                number += 1
                offset += len(line)
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                        offset += len(rest)
                    offset += len(rest)
                    bad.append((number, f"longer than {LONGEST_LINE} bytes"))
                    line = b""
                lines.append(line)
                size += len(line)
                if size >= CHUNK_BYTES or bad:
                    yield Chunk(lines, first, {"line": number, "byte": offset}, raw.tell(), bad)
                    first, lines, bad, size = number + 1, [], [], 0
            damage = getattr(stream.raw, "damage", None)
            if damage and not begin.get("damaged"):
                bad.append((number + 1, f"the file cannot be decompressed beyond this line: {damage}"))
            if lines or bad:
                yield Chunk(lines, first, {"line": number, "byte": offset, "damaged": bool(damage)}, self.size, bad)

    def _row_groups(self, begin):
        import pyarrow
        from pyarrow import parquet

        done = begin.get("row", 0)
        try:
            with parquet.ParquetFile(self.path) as file:
                self._check_columns(file.schema_arrow.names)
                groups, total, before = file.metadata.num_row_groups, max(file.metadata.num_rows, 1), 0
                for group in range(groups):
                    rows = file.metadata.row_group(group).num_rows
                    if before + rows > done:
                        for batch in file.iter_batches(CHUNK_ROWS, row_groups=[group], columns=self.columns):
                            if before >= done:
                                end = before + batch.num_rows
                                read = self.size * end // total
                                yield Chunk(batch.to_pylist(), before + 1, {"row": end}, read, [])
                            before += batch.num_rows
                    else:
                        before += rows
        except (pyarrow.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno and error.strerror:
                raise
            raise SourceError(
                f"{self.path}: not a complete Parquet file ({type(error).__name__}); replace it"
            ) from None

    def _rows(self, begin):
        from datasets import load_dataset

        done = begin.get("row", 0)
        try:
            rows = load_dataset(self.path, self.subset, split=self.split, streaming=True)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SourceError(f"{self.path}: cannot open this data set: {reason}; check its id and --subset") from error
        if self.columns:
            self._check_columns(rows.column_names or self.columns)
            rows = rows.select_columns(list(self.columns))
        for batch in rows.skip(done).batch(CHUNK_ROWS):
            content = [dict(zip(batch, values)) for values in zip(*batch.values())]
            done += len(content)
            yield Chunk(content, done - len(content) + 1, {"row": done}, done, [])

    def _check_columns(self, there):
        for column in self.columns or ():
            if column not in there:
                raise SourceError(f"--columns: {column!r}: not a column of {self.path}; choose from {few(there)}")


class _Unpacked(io.RawIOBase):
    """A file of gzip members or zstd frames as one stream.

    Unlike the libraries' own readers, it returns everything before damaged data, and it detects a missing end. In both
    cases `damage` says what is wrong.
    """

    def __init__(self, raw, new, pad: bytes):
        self._raw, self._new, self._pad = raw, new, pad
        self._packed, self._ready = None, memoryview(b"")
        self.damage: str | None = None

    def readable(self):
        return True

    def readinto(self, buffer):
        while not len(self._ready) and not self.damage:
            # small blocks: a few bytes can decompress to megabytes
            block = self._raw.read(1 << 13)
            if not block:
                if self._packed is not None and not self._packed.eof:
                    self.damage = "its end is missing"
                break
            self._ready = memoryview(self._unpack(block))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self, block: bytes) -> bytes:
        pieces = []
        while block:
            if self._packed is None or self._packed.eof:
                block = block.lstrip(self._pad) if self._pad else block
                if not block:
                    break
                self._packed = self._new()
            try:
                pieces.append(self._packed.decompress(block))
            except (zlib.error, zstandard.ZstdError):
                self.damage = "it is damaged"
                break
            block = self._packed.unused_data if self._packed.eof else b""
        return b"".join(pieces)


def _unpacked(raw, path: str):
    if path.endswith(".gz"):
        return _Unpacked(raw, lambda: zlib.decompressobj(31), b"\0")
    if path.endswith(".zst"):
        decompressor = zstandard.ZstdDecompressor()
        return _Unpacked(raw, decompressor.decompressobj, b"")
    return raw


def _skip(stream, size: int) -> None:
    if isinstance(stream.raw, _Unpacked):
        while size > 0 and (block := stream.read(min(size, 1 << 20))):
            size -= len(block)
    else:
        stream.seek(size)
