"""Writes the rows of a mix into a file: JSON lines or Parquet, with the digests for its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zstandard

from ..storage import opener, sha256_of

_LEVEL = 3
_ROW_GROUP = 1000


class Rows:
    """A file of rows. It appears when it is complete.

    Args:
        path: its suffix is the format.
        mode: its permissions.
    """

    def __init__(self, path: Path, mode: int):
        self._path, self._opener = path, opener(mode)
        self._documents, self._digest = 0, hashlib.sha256()

    def __enter__(self) -> Rows:
        # always the same name: what a kill leaves is written again, and not moved with the folder
        self._part = self._path.with_name(f"{self._path.name}.part")
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._raw = open(self._part, "wb", opener=self._opener)
        name = self._path.name
        self._parquet = _ParquetRows(self._raw) if name.endswith(".parquet") else None
        self._file: Any = self._raw
        if name.endswith(".zst"):
            packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            self._file = packer.stream_writer(self._raw, closefd=False)
        return self

    def write(self, lines: Iterable[bytes]) -> None:
        """Append rows, each as JSON with a line break."""
        lines = list(lines)
        content = b"".join(lines)
        self._documents += len(lines)
        self._digest.update(content)
        if self._parquet:
            self._parquet.write(lines)
        else:
            self._file.write(content)

    def __exit__(self, kind, error, trace):
        if self._parquet:
            self._parquet.close()
        elif self._file is not self._raw:
            self._file.close()
        if kind is None:
            # before the journal says that it is done
            self._raw.flush()
            os.fsync(self._raw.fileno())
        self._raw.close()
        if kind is None:
            self._size, self._sha256 = self._part.stat().st_size, sha256_of(self._part)
            self._part.replace(self._path)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the complete file."""
        return {
            "name": self._path.name,
            "documents": self._documents,
            "bytes": self._size,
            "sha256": self._sha256,
            "rows_sha256": self._digest.hexdigest(),
        }


class _ParquetRows:
    def __init__(self, file):
        import pyarrow
        from pyarrow import parquet

        names = ("id", "source", "text", "spans")
        self._schema = pyarrow.schema([(name, pyarrow.string()) for name in names])
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, lines: list[bytes]) -> None:
        import pyarrow

        for start in range(0, len(lines), _ROW_GROUP):
            rows = [json.loads(line) for line in lines[start : start + _ROW_GROUP]]
            self._writer.write_table(pyarrow.Table.from_pylist(rows, self._schema))

    def close(self) -> None:
        self._writer.close()
