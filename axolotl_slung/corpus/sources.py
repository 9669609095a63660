"""Sources of documents: files of JSON lines, Parquet files and hub data sets, read in chunks from any position."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import os_problem
from ..packed import mismatch
from . import tables
from .chunks import Bad, Chunk, cut
from .lines import JsonLines
from .tables import SourceError

__all__ = ["Bad", "Chunk", "Source", "SourceError"]


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
    columns: tuple[str, ...] | None = None

    @property
    def size(self) -> int | None:
        """Bytes of the file; None for a hub data set."""
        return None if self.kind == "hub" else Path(self.path).stat().st_size

    def identity(self) -> dict[str, Any]:
        """What the source is, as JSON values: of a file its size, its time, and a digest of its first and last MB."""
        if self.kind == "hub":
            return {"hub": [self.path, self.subset, self.split], "columns": self.columns and list(self.columns)}
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            stat = os.fstat(file.fileno())
            digest.update(file.read(1 << 20))
            file.seek(max(0, stat.st_size - (1 << 20)))
            digest.update(file.read())
        return {
            "bytes": stat.st_size,
            "modified": stat.st_mtime_ns,
            "ends": digest.hexdigest(),
            "columns": self.columns and list(self.columns),
        }

    def check(self) -> dict[str, str] | None:
        """Open the source and compare its content with its name.

        Returns:
            Each column with what its values are; None if only the rows tell.

        Raises:
            SourceError: it cannot be opened, is not what its name says, or has columns that JSON cannot hold.
        """
        try:
            if self.kind == "hub":
                return tables.hub_columns(self.path, self.subset, self.split, self.columns)
            if self.kind == "parquet":
                return tables.parquet_columns(self.path, self.columns)
            if wrong := mismatch(self.path):
                raise SourceError(f"{self.path}: {wrong}")
        except OSError as error:
            raise SourceError(os_problem(error, self.path)) from None
        return None

    def chunks(self, begin: dict | None = None) -> Iterator[Chunk]:
        """Read the source in chunks. The chunks are the same in every run.

        Args:
            begin: the `end` of the last chunk to skip; None for the beginning.

        Raises:
            SourceError: the file's content is not what its name says, or a hub data set cannot be opened.
        """
        self.check()
        if self.kind == "hub":
            reader = tables.HubRows(self.path, self.subset, self.split, self.columns, begin or {})
        elif self.kind == "parquet":
            reader = tables.ParquetRows(self.path, self.columns, begin or {})
        else:
            reader = JsonLines(self.path, begin or {})
        return cut(reader)
