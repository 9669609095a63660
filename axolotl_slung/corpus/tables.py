"""Reads Parquet files and hub data sets as lines of JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from ..errors import SlungError, few
from . import chunks

_BATCH_BYTES = 1 << 17
"""Bytes of rows that are decoded at once, on average."""
_MOST_ROWS = 1000
_HUB_ROWS = 16
"""Rows of a hub data set that are decoded at once. Their size is not known beforehand."""


class SourceError(SlungError):
    """An input cannot be read. The message names the input and the fix."""


class ParquetRows:
    """The rows of a Parquet file, from a position on; see `chunks.Reader`.

    A damaged file is read as far as it goes. One more row then says so.

    One batch of about 128 kB is in memory, besides the page from which it comes. Of pages that are larger than that,
    as pyarrow writes them for large texts, one is in memory per column.
    """

    def __init__(self, path: str, columns: Sequence[str] | None, begin: dict):
        self._path, self._columns = path, columns
        self.number, self._damaged, self._total = begin.get("row", 0), begin.get("damaged", False), 1

    def __iter__(self) -> Iterator[tuple[bytes | None, str | None]]:
        import pyarrow

        with _parquet(self._path) as file:
            _check(self._path, file.schema_arrow, self._columns)
            self._total = max(file.metadata.num_rows, 1)
            try:
                if not self._damaged:
                    yield from self._rows(file)
            except (pyarrow.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno and error.strerror:
                    raise
                self._damaged = True
                self.number += 1
                yield (
                    b"",
                    f"the file cannot be read from this row on: pyarrow finds it damaged ({type(error).__name__})",
                )

    def _rows(self, file) -> Iterator[tuple[bytes | None, str | None]]:
        import pyarrow

        before = 0
        for group in range(file.metadata.num_row_groups):
            meta = file.metadata.row_group(group)
            if before + meta.num_rows <= self.number:
                before += meta.num_rows
                continue
            rows = max(1, min(_MOST_ROWS, _BATCH_BYTES * meta.num_rows // max(meta.total_byte_size, 1)))
            for batch in file.iter_batches(rows, row_groups=[group], columns=self._columns, use_threads=False):
                skipped = min(max(self.number - before, 0), batch.num_rows)
                before += batch.num_rows
                # `columns` above also takes a.b for b in a
                batch = batch.select(self._columns) if self._columns else batch
                yield from numbered(self, batch.slice(skipped))
                pyarrow.default_memory_pool().release_unused()  # 6 MB less than without
            yield None, None  # a file may be read from any row group on, with the same chunks

    def position(self) -> tuple[dict, int]:
        read = Path(self._path).stat().st_size * min(self.number, self._total) // self._total
        return ({"row": self.number, "damaged": True} if self._damaged else {"row": self.number}), read


class HubRows:
    """The rows of one split of a hub data set, from a position on; see `chunks.Reader`."""

    def __init__(self, path: str, subset: str | None, split: str | None, columns: Sequence[str] | None, begin: dict):
        self._hub, self._columns = (path, subset, split), columns
        self.number = begin.get("row", 0)

    def __iter__(self) -> Iterator[tuple[bytes, str | None]]:
        before = 0
        for table in hub_rows(*self._hub).iter(_HUB_ROWS):
            skipped = min(max(self.number - before, 0), table.num_rows)
            before += table.num_rows
            if skipped < table.num_rows:
                _check(self._hub[0], table.schema, self._columns)
                table = table.select(self._columns) if self._columns else table
                for batch in table.slice(skipped).to_batches():
                    yield from numbered(self, batch)

    def position(self) -> tuple[dict, int]:
        return {"row": self.number}, self.number


def parquet_columns(path: str, columns: Sequence[str] | None) -> dict[str, str]:
    """The columns that are read of a Parquet file, and what their values are.

    Raises:
        SourceError: the file cannot be read, or has columns that JSON cannot hold.
    """
    with _parquet(path) as file:
        return _check(path, file.schema_arrow, columns)


def parquet_rows(path: str) -> int:
    """The number of rows of a Parquet file.

    Raises:
        SourceError: the file cannot be read.
    """
    with _parquet(path) as file:
        return file.metadata.num_rows


def hub_columns(path: str, subset: str | None, split: str | None, columns: Sequence[str] | None) -> dict[str, str]:
    """The columns that are read of a hub data set, and what their values are, by its first rows.

    Raises:
        SourceError: the data set cannot be opened, or has columns that JSON cannot hold.
    """
    first = next(iter(hub_rows(path, subset, split).iter(1)), None)
    return {} if first is None else _check(path, first.schema, columns)


@lru_cache(maxsize=4)
def hub_rows(path: str, subset: str | None, split: str | None):
    """A hub data set as a stream of Arrow tables.

    Raises:
        SourceError: it cannot be opened.
    """
    from datasets import load_dataset_builder

    try:
        builder = load_dataset_builder(path, subset)
        if hasattr(builder.config, "batch_size"):
            builder.config.batch_size = _HUB_ROWS  # Parquet: the default is a whole row group
        rows = builder.as_streaming_dataset(split)
        # images and sounds stay what is in the file
        return (rows.decode(False) if rows.features else rows).with_format("arrow")
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{path}: cannot open this data set: {reason}; check its id, --subset and --split") from error


def numbered(reader, batch) -> Iterator[tuple[bytes, str | None]]:
    """The rows of an Arrow batch as lines, counted in `reader.number`; see `chunks.Reader`."""
    from .json_rows import NOT_VALID, lines

    for line in lines(batch):
        reader.number += 1
        if line is None:
            yield b"", NOT_VALID
        elif len(line) > chunks.LONGEST_LINE:
            yield b"", f"longer than {chunks.LONGEST_LINE} bytes"
        else:
            yield line, None


def _check(path: str, schema, columns: Sequence[str] | None) -> dict[str, str]:
    from .json_rows import kind_of_column, problems

    for column in columns or ():
        if column not in schema.names:
            raise SourceError(f"--columns: {column!r}: not a column of {path}; choose from {few(schema.names)}")
    fields = [field for field in schema if not columns or field.name in columns]
    if found := problems(fields):
        raise SourceError(f"{path}: JSON cannot hold all columns: {'; '.join(found)}; choose others with --columns")
    return {field.name: kind_of_column(field.type) for field in fields}


@contextmanager
def _parquet(path: str):
    # Arrow's own allocator holds more memory than its buffers take. Which one it is, is decided by the first import
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow
    from pyarrow import parquet

    try:
        # page by page: by default a whole row group is in memory
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno and error.strerror:
            raise
        raise SourceError(f"{path}: not a complete Parquet file ({type(error).__name__}); replace it") from None
