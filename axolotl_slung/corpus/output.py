"""Output files that can be resumed after a kill at any moment."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import SlungError
from .job import Labeled
from .sources import Bad, Source

STATE = ".slung"
"""The subfolder of the output that holds the journals."""

_COMMIT_EVERY = 1.0
"""Seconds between entries in the journal."""


class OutputError(SlungError):
    """An output cannot be written or resumed. The message names the file and the fix."""


@dataclass
class Progress:
    """How much of a source is labeled.

    Attributes:
        end: the position in the source (`Chunk.end`); None at its beginning.
        read: the same position, in the unit of `Source.size`.
        size: bytes of output.
        documents: number of documents labeled.
        bad: number of lines or rows that could not be labeled.
        seconds: how long labeling took, summed over the processes.
        finished: whether the source is done.
    """

    end: dict | None = None
    read: int = 0
    size: int = 0
    documents: int = 0
    bad: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclass
class Output:
    """The output of one source.

    While a source is labeled, its output is written to `NAME.part`. Every second a line is added to a journal. The
    line says how much of the source is done and how long the output is. A run that finds a journal cuts the output to
    the length in the journal's last complete line and resumes there. No document is lost or written twice.

    Args:
        folder: the output folder.
        source: the source to label.
        identity: the job's `Job.identity`.
    """

    folder: Path
    source: Source
    identity: dict
    progress: Progress = field(default_factory=Progress)

    @property
    def path(self) -> Path:
        """The finished file."""
        return self.folder / self.source.name

    @property
    def _part(self) -> Path:
        return self.folder / f"{self.source.name}.part"

    @property
    def _journal(self) -> Path:
        return self.folder / STATE / f"{self.source.name}.journal"

    def open(self) -> Progress:
        """Resume the output of an earlier run, or begin it.

        Raises:
            OutputError: the output belongs to another job, or another run is writing it.
        """
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._log = open(self._journal, "a+b")  # noqa: SIM115 - closed by `close`
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._log.close()
            raise OutputError(f"{self.path}: another run is writing it; wait until that run ends") from None
        header, entries = self._header(), self._entries()
        if entries:
            try:
                self._check(entries[0])
            except OutputError:
                self._log.close()
                raise
        if not entries:
            if self.path.exists():
                self._log.close()
                raise OutputError(f"{self.path}: exists, but not from this command; choose another --output")
            self._log.truncate(0)
            self._write(header)
        self.progress = _progress(entries[-1]) if entries[1:] else Progress()
        if not self.progress.finished:
            self._open_part()
        elif self._part.exists():
            self._finish()
        elif not self.path.exists():
            # the output was deleted: label the source again
            self._log.truncate(0)
            self._write(header)
            self.progress = Progress()
            self._open_part()
        return self.progress

    def recorded(self) -> tuple[Progress, list[Bad]] | None:
        """What the journal says, without taking part in the run: progress and bad lines. None if there is no journal.

        Raises:
            OutputError: the output belongs to another job.
        """
        if not self._journal.exists():
            return None
        with open(self._journal, "rb") as journal:
            entries = [json.loads(line) for line in journal if line.endswith(b"\n")]
        if not entries:
            return None
        self._check(entries[0])
        bad = [(number, reason) for entry in entries[1:] for number, reason in entry.get("lines", ())]
        return _progress(entries[-1]) if entries[1:] else Progress(), bad

    @contextmanager
    def joined(self, progress: Progress, bad: list[Bad]) -> Iterator[BinaryIO]:
        """Write the whole output at once, in place of whatever an interrupted run left.

        Args:
            progress: the progress of the finished output.
            bad: its bad lines.
        """
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._journal, "w+b") as self._log:
            self._write(self._header())
            with open(self._part, "wb") as self._file:
                yield self._file
                self.progress, self._bad = progress, bad
                self.finish()

    def add(self, labeled: Labeled, end: dict, read: int) -> None:
        """Append the output of the next chunk.

        Args:
            labeled: the output.
            end: the position after the chunk; see `Chunk`.
            read: the same position, in the unit of `Source.size`.
        """
        self._file.write(labeled.content)
        now = self.progress
        self.progress = Progress(
            end,
            read,
            now.size + len(labeled.content),
            now.documents + labeled.documents,
            now.bad + len(labeled.bad),
            now.seconds + labeled.seconds,
        )
        self._bad += labeled.bad
        if time.monotonic() - self._committed > _COMMIT_EVERY:
            self._commit()

    def finish(self) -> None:
        """Finish the output, after the source's last chunk."""
        self.progress.finished = True
        self._commit()
        self._finish()

    def close(self) -> None:
        """Close the files, finished or not."""
        if getattr(self, "_file", None):
            self._file.close()
        self._log.close()

    @property
    def bad_lines(self) -> Path:
        """The list of lines and rows that could not be labeled. It exists once the source is done, if there are any."""
        return self.folder / STATE / f"{self.source.name}.bad_lines.txt"

    def _header(self) -> dict:
        return {"job": self.identity, "source": self.source.identity()}

    def _check(self, header: dict) -> None:
        if header != self._header():
            what = "was labeled with other settings" if header.get("job") != self.identity else "has changed since"
            raise OutputError(
                f"{self.path}: its input {self.source.path} {what}; choose another --output, or delete this folder"
            )

    def _open_part(self) -> None:
        self._file = open(self._part, "ab")  # noqa: SIM115 - closed by `close`
        if self._file.tell() < self.progress.size:
            self.close()
            raise OutputError(f"{self._part}: shorter than its journal says; delete it and {self._journal}")
        self._file.truncate(self.progress.size)
        self._bad: list[Bad] = []
        self._committed = time.monotonic()

    def _commit(self) -> None:
        # the output first: the journal says that it is there
        self._file.flush()
        os.fsync(self._file.fileno())
        self._write({**asdict(self.progress), "lines": self._bad})
        self._bad = []
        self._committed = time.monotonic()

    def _finish(self) -> None:
        if getattr(self, "_file", None):
            self._file.close()
        if self.progress.bad:
            self._log.seek(0)
            bad = (entry for line in self._log for entry in json.loads(line).get("lines", ()))
            listed = "".join(f"{self.source.path}:{number}: {reason}\n" for number, reason in bad)
            self.bad_lines.write_text(listed, encoding="utf-8")
        self._part.replace(self.path)

    def _write(self, entry) -> None:
        self._log.write(json.dumps(entry).encode() + b"\n")
        self._log.flush()
        os.fsync(self._log.fileno())

    def _entries(self) -> list[dict]:
        """The journal's first and last lines. A line that a kill left incomplete is cut off."""
        self._log.seek(0)
        first = last = None
        whole = 0
        for line in self._log:
            if not line.endswith(b"\n"):
                break
            first, last, whole = first or line, line, whole + len(line)
        self._log.truncate(whole)
        self._log.seek(0, os.SEEK_END)
        return [json.loads(line) for line in ([first] if first is last else [first, last]) if line]


def _progress(entry: dict) -> Progress:
    """The progress of an entry of a journal that is not its first line."""
    return Progress(**{key: value for key, value in entry.items() if key != "lines"})
