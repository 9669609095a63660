"""Output files that survive being killed at any moment."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import SlungError
from .job import Labeled
from .sources import Bad, Source

STATE = ".slung"
"""The folder, within the output, of the journals."""

_COMMIT_EVERY = 1.0
"""Seconds between entries in the journal."""


class OutputError(SlungError):
    """An output folder that cannot be gone on with; the message says why, and the mend."""


@dataclass
class Progress:
    """How far the labeling of a source is.

    Attributes:
        end: the place in the source (`Chunk.end`); None at its beginning.
        read: the same, in the unit of `Source.size`.
        size: bytes of output.
        documents: labeled so far.
        bad: how many lines or rows could not be.
        finished: whether the source is done.
    """

    end: dict | None = None
    read: int = 0
    size: int = 0
    documents: int = 0
    bad: int = 0
    finished: bool = False


@dataclass
class Output:
    """The output of one source.

    While a source is being labeled, its output grows in `NAME.part`, and every second a line is added to a journal:
    how much of the source is done, and how long the output was then. A run that finds a journal cuts the output to
    the journal's last whole line and goes on from there, so that nothing is lost and nothing comes twice.

    Args:
        folder: of the output.
        source: what is labeled.
        identity: of the job (`Job.identity`).
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
        """Take the output up where an earlier run left it, or begin it.

        Raises:
            OutputError: another job's output, or another run at work on it.
        """
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._log = open(self._journal, "a+b")
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._log.close()
            raise OutputError(f"{self.path}: another run is writing it; wait for that one to end") from None
        header = {"job": self.identity, "source": self.source.identity()}
        entries = self._entries()
        if entries and entries[0] != header:
            what = "was labeled in another way" if entries[0].get("job") != self.identity else "has changed since"
            self._log.close()
            raise OutputError(
                f"{self.path}: its input {self.source.path} {what}; choose another --output, or delete this folder"
            )
        if not entries:
            if self.path.exists():
                self._log.close()
                raise OutputError(f"{self.path} exists, and was not begun by this command; choose another --output")
            self._log.truncate(0)
            self._write(header)
        self.progress = (
            Progress(**{k: v for k, v in entries[-1].items() if k != "lines"}) if entries[1:] else Progress()
        )
        if not self.progress.finished:
            self._open_part()
        elif self._part.exists():
            self._finish()
        elif not self.path.exists():
            # it was deleted: label it again
            self._log.truncate(0)
            self._write(header)
            self.progress = Progress()
            self._open_part()
        return self.progress

    def add(self, labeled: Labeled, end: dict, read: int) -> None:
        """The next chunk's output."""
        self._file.write(labeled.content)
        now = self.progress
        self.progress = Progress(
            end, read, now.size + len(labeled.content), now.documents + labeled.documents, now.bad + len(labeled.bad)
        )
        self._bad += labeled.bad
        if time.monotonic() - self._committed > _COMMIT_EVERY:
            self._commit()

    def finish(self) -> None:
        """The source is at its end."""
        self.progress.finished = True
        self._commit()
        self._finish()

    def close(self) -> None:
        """Let go of the files, finished or not."""
        if getattr(self, "_file", None):
            self._file.close()
        self._log.close()

    @property
    def bad_lines(self) -> Path:
        """Where lines and rows that could not be labeled are listed, once the source is done, if there are any."""
        return self.folder / STATE / f"{self.source.name}.bad_lines.txt"

    def _open_part(self) -> None:
        self._file = open(self._part, "ab")
        if self._file.tell() < self.progress.size:
            self.close()
            raise OutputError(f"{self._part} is shorter than its journal says; delete it and {self._journal}")
        self._file.truncate(self.progress.size)
        self._bad: list[Bad] = []
        self._committed = time.monotonic()

    def _commit(self) -> None:
        # first the output, then the journal that vouches for it
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
        """The journal's first and last lines; one that a kill has torn is cut off."""
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
