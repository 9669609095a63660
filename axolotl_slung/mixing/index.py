"""The index of an input: one record per usable document, on disk, which a restart goes on with."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from ..corpus.chunks import Bad
from ..storage import opener
from .config import MixError
from .journal import lock, whole_lines
from .reading import RECORD, Read

_COMMIT_EVERY = 1.0
"""Seconds between entries in the journal."""
_BLOCK = 1 << 16
"""Records that are in memory at once."""


@dataclass
class State:
    """How far an input was read.

    Attributes:
        end: the position after the last chunk (`Chunk.end`).
        lines: lines read, also blank ones and those that are not documents.
        records, tokens: of the index.
        bad: lines that are not documents.
        counts: see `Read.counts`.
        digest: of all lines that were read: of the digest before a chunk, and the chunk's.
        finished: whether the input has ended.
    """

    end: dict | None = None
    lines: int = 0
    records: int = 0
    tokens: int = 0
    bad: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    finished: bool = False


class Index:
    """The records of one input, in the order of its lines.

    Records are appended to a file. Every second a line is added to a journal, which says how many records there are and
    where reading goes on. A restart cuts both to the last complete line.

    Args:
        path: the file, without suffix.
        mode: the permissions of the files.
        state: how far it is; None means as far as its journal says. Another process may be writing that.
    """

    def __init__(self, path: Path, mode: int, state: State | None = None):
        self._path, self._mode, self._state = path, mode, state
        self._bad: list[Bad] = []

    @property
    def state(self) -> State:
        """How far it is."""
        if self._state is None:
            try:
                with open(self._journal, "rb") as log:
                    self._state, _ = _recorded(log)
            except FileNotFoundError:
                self._state = State()
        return self._state

    @property
    def _records(self) -> Path:
        return self._path.with_suffix(".records")

    @property
    def _journal(self) -> Path:
        return self._path.with_suffix(".journal")

    def open(self) -> None:
        """Resume what an earlier run read, or begin.

        Raises:
            MixError: the records are fewer than the journal says, or another run reads the same input.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._log = open(self._journal, "a+b", opener=opener(self._mode))  # noqa: SIM115 - closed by `close`
        lock(self._log)
        self._file = open(self._records, "ab", opener=opener(self._mode))  # noqa: SIM115 - closed by `close`
        self._state, whole = _recorded(self._log)
        self._log.truncate(whole)
        size = self._state.records * RECORD.itemsize
        if self._file.tell() < size:
            self.close()
            raise MixError(f"{self._records}: shorter than its journal says; delete the output folder and start again")
        self._file.truncate(size)
        self._committed = time.monotonic()

    def add(self, end: dict, read: Read) -> None:
        """Append the records of the next chunk.

        Args:
            end: the position after it (`Chunk.end`).
            read: what it holds.
        """
        now = self.state
        self._file.write(read.records.tobytes())
        self._state = State(
            end=end,
            lines=now.lines + read.lines,
            records=now.records + len(read.records),
            tokens=now.tokens + int(read.records["tokens"].sum()),
            bad=now.bad + len(read.bad),
            counts=dict(Counter(now.counts) + Counter(read.counts)),
            digest=hashlib.sha256(now.digest.encode() + read.digest).hexdigest(),
        )
        self._bad += read.bad
        if time.monotonic() - self._committed > _COMMIT_EVERY:
            self.commit()

    def commit(self) -> None:
        """Write what was added to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._log.write(json.dumps({**asdict(self.state), "lines_bad": self._bad}).encode() + b"\n")
        self._log.flush()
        os.fsync(self._log.fileno())
        self._bad, self._committed = [], time.monotonic()

    def finish(self) -> None:
        """The input has ended."""
        self.state.finished = True
        self.commit()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._log.close()

    def bad(self) -> Iterator[Bad]:
        """The lines that are not documents, from the journal."""
        with open(self._journal, "rb") as log:
            for line in log:
                yield from ((number, reason) for number, reason in json.loads(line)["lines_bad"])

    def records(self, start: int, count: int) -> np.ndarray:
        """Some records, `RECORD`."""
        return np.fromfile(self._records, RECORD, count, offset=start * RECORD.itemsize)


def _recorded(log: IO[bytes]) -> tuple[State, int]:
    """What a journal says last, and the bytes of its whole lines."""
    last, size = b"", 0
    for line in whole_lines(log):
        last, size = line, size + len(line)
    if not last:
        return State(), 0
    return State(**{key: value for key, value in json.loads(last).items() if key != "lines_bad"}), size


class Records:
    """The records of several indices as one sequence. A document's place in it is its number.

    Args:
        indices: in their order.
    """

    def __init__(self, indices: Sequence[Index]):
        self._indices = list(indices)
        self.starts = np.cumsum([0, *(one.state.records for one in indices)]).tolist()

    def __len__(self) -> int:
        return self.starts[-1]

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All records in blocks, each with the number of its first document."""
        for start, index in zip(self.starts, self._indices):
            for begin in range(0, index.state.records, _BLOCK):
                yield start + begin, index.records(begin, min(_BLOCK, index.state.records - begin))


def among(digests: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Which of the digests are among some, bool `[digests]`.

    Args:
        digests: uint64.
        some: uint64, sorted.
    """
    if not len(some):
        return np.zeros(len(digests), bool)
    return some[np.minimum(np.searchsorted(some, digests), len(some) - 1)] == digests
