"""Output files that can be resumed after a kill at any moment."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import SlungError
from ..labeling.dolma import IN_ORDER
from ..storage import opener
from ..visible import visible
from .chunks import Bad
from .found import summed
from .job import JobError, Labeled
from .sources import Source
from .tally import Counts, merged

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
        found: numbers of spans and of documents with any, by labeler; see `found.Found`.
        entries: entries of the labelers' lists that were found since the journal's last line, by labeler.
        tally, order: see `Labeled`, for all documents so far.
    """

    end: dict | None = None
    read: int = 0
    size: int = 0
    documents: int = 0
    bad: int = 0
    seconds: float = 0.0
    finished: bool = False
    found: Mapping[str, Sequence[int]] = field(default_factory=dict)
    entries: dict[str, list[int]] = field(default_factory=dict)
    tally: Counts = field(default_factory=dict)
    order: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass
class Output:
    """The output of one source.

    While a source is labeled, its output is written to `NAME.part`. Every second a line is added to a journal. The
    line says how much of the source is done and how long the output is. A run that finds a journal cuts the output to
    the length in the journal's last complete line and resumes there. No document is lost or written twice.

    Nobody may read the output, its journal and its list of bad lines who may not read the source.

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

    def check(self) -> Progress:
        """Check that this job can write the output, and change nothing.

        Returns:
            How far an earlier run came.

        Raises:
            OutputError: the output belongs to another job, its input has changed, or its name is too long.
        """
        longest = max((self.bad_lines, self._part), key=lambda path: len(os.fsencode(path.name)))
        if len(os.fsencode(longest.name)) > 255:
            raise OutputError(f"{self.source.path}: its name is too long for {longest.name}; rename it")
        entries = []
        if self._journal.exists():
            with open(self._journal, "rb") as log:
                entries, _ = _read_journal(log)
        return self._checked(entries)

    def open(self) -> Progress:
        """Resume the output of an earlier run, or begin it.

        Raises:
            OutputError: the output belongs to another job, or another run is writing it.
        """
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._log = open(self._journal, "a+b", opener=self._opener())  # noqa: SIM115 - closed by `close`
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._log.close()
            raise OutputError(f"{self.path}: another run is writing it; wait until that run ends") from None
        entries, whole = _read_journal(self._log)
        self._log.truncate(whole)
        self._log.seek(0, os.SEEK_END)
        try:
            self.progress = self._checked(entries)
        except OutputError:
            self._log.close()
            raise
        if not entries:
            self._write(self._header())
        if not self.progress.finished:
            self._open_part()
        elif self._part.exists():
            self._finish()
        elif not self.path.exists():
            # the output was deleted: label the source again
            self._log.truncate(0)
            self._write(self._header())
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
        with open(self._journal, "w+b", opener=self._opener()) as self._log:
            self._write(self._header())
            with open(self._part, "wb", opener=self._opener()) as self._file:
                yield self._file
                self.progress, self._bad = progress, bad
                self.finish()

    def add(self, labeled: Labeled, end: dict, read: int) -> None:
        """Append the output of the next chunk.

        Args:
            labeled: the output.
            end: the position after the chunk; see `Chunk`.
            read: the same position, in the unit of `Source.size`.

        Raises:
            JobError: the documents are not in the order of a labeler's files.
        """
        order = follow(self.progress.order, labeled.order, self.source.path)
        self._file.write(labeled.content)
        now = self.progress
        for name, numbers in labeled.found.entries.items():
            new = set(numbers) - self._entries_found.setdefault(name, set())
            self._entries_found[name] |= new
            now.entries[name] = [*now.entries.get(name, ()), *sorted(new)]
        self.progress = Progress(
            end=end,
            read=read,
            size=now.size + len(labeled.content),
            documents=now.documents + labeled.documents,
            bad=now.bad + len(labeled.bad),
            seconds=now.seconds + labeled.seconds,
            found=summed([now.found, labeled.found.spans]),
            entries=now.entries,
            tally=merged(now.tally, labeled.tally),
            order=order,
        )
        self._bad += labeled.bad
        if time.monotonic() - self._committed > _COMMIT_EVERY:
            self._commit()

    def finish(self) -> None:
        """Finish the output, after the source's last chunk."""
        self.progress.finished = True
        self._commit()
        self._finish()

    def discard(self) -> None:
        """Remove an output without documents and all that belongs to it. Close it before."""
        for path in (self.path, self._part, self.bad_lines, self._journal):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files, finished or not."""
        for file in (getattr(self, "_file", None), getattr(self, "_log", None)):
            if file:
                file.close()

    @property
    def bad_lines(self) -> Path:
        """The list of lines and rows that could not be labeled. It exists once the source is done, if there are any."""
        return self.folder / STATE / f"{self.source.name}.bad_lines.txt"

    def entries_found(self) -> dict[str, list[int]]:
        """All `Found.entries` of the source, from the journal. The output must be closed."""
        found: dict[str, list[int]] = {}
        with open(self._journal, "rb") as log:
            for line in log:
                for name, numbers in json.loads(line).get("entries", {}).items():
                    found.setdefault(name, []).extend(numbers)
        return found

    def _opener(self):
        if self.source.kind in ("json", "parquet"):
            mode = os.stat(self.source.path).st_mode & 0o666
        else:  # a hub data set anybody can read; a config's data set may come from anywhere
            mode = 0o666 if self.source.kind == "hub" else 0o600
        return opener(mode | 0o600)

    def _open_part(self) -> None:
        self._file = open(self._part, "ab", opener=self._opener())  # noqa: SIM115 - closed by `close`
        if self._file.tell() < self.progress.size:
            self.close()
            raise OutputError(f"{self._part}: shorter than its journal says; delete it and {self._journal}")
        self._file.truncate(self.progress.size)
        self._bad: list[Bad] = []
        self._entries_found: dict[str, set[int]] = {}
        self._committed = time.monotonic()

    def _commit(self) -> None:
        # the output first: the journal says that it is there
        self._file.flush()
        os.fsync(self._file.fileno())
        self._write({**asdict(self.progress), "lines": self._bad})
        self._bad = []
        self.progress.entries = {}
        self._committed = time.monotonic()

    def _finish(self) -> None:
        if getattr(self, "_file", None):
            self._file.close()
        if self.progress.bad:
            self._log.seek(0)
            bad = (entry for line in self._log for entry in json.loads(line).get("lines", ()))
            with open(self.bad_lines, "w", encoding="utf-8", opener=self._opener()) as file:
                file.writelines(visible(f"{self.source.path}:{number}: {reason}") + "\n" for number, reason in bad)
        self._part.replace(self.path)

    def _write(self, entry) -> None:
        self._log.write(json.dumps(entry).encode() + b"\n")
        self._log.flush()
        os.fsync(self._log.fileno())

    def _header(self) -> dict:
        return {"job": self.identity, "source": self.source.identity()}

    def _checked(self, entries: list[dict]) -> Progress:
        """How far the run with these entries of the journal came."""
        if not entries:
            if self.path.exists():
                raise OutputError(f"{self.path}: exists, but not from this command; choose another --output")
            return Progress()
        self._check(entries[0])
        return _progress(entries[-1]) if entries[1:] else Progress()

    def _check(self, header: dict) -> None:
        now = self._header()
        if header == now:
            return
        if header.get("job") != self.identity:
            what = "was labeled with other settings; choose another --output"
        else:
            what = _change(header["source"], now["source"])
        raise OutputError(f"{self.path}: its input {self.source.path} {what}, or delete {self.folder}")


def follow(
    before: Mapping[str, Sequence[int]], after: Mapping[str, Sequence[int]], path: str
) -> dict[str, tuple[int, int]]:
    """`Labeled.order` of two pieces of a source, the second of which comes after the first.

    Raises:
        JobError: the second piece begins before the end of the first one in a labeler's files.
    """
    order = {name: (first, last) for name, (first, last) in before.items()}
    for name, (first, last) in after.items():
        if name in order and first <= order[name][1]:
            raise JobError(
                f"{path}: its documents are not in the order of the files of the labeler {name!r}; {IN_ORDER}"
            )
        order[name] = order[name][0] if name in order else first, last
    return order


def _change(before, now) -> str:
    """What distinguishes two identities of a source, and what to do."""
    changed = {key for key in now if before.get(key) != now[key]} if isinstance(before, dict) else set()
    if changed == {"columns"}:
        return "was labeled with other --columns; choose another --output"
    if changed == {"modified"}:
        restore = f"touch -d @{before['modified'] // 10**9}.{before['modified'] % 10**9:09}"
        return (
            "may have changed since: its modification time has. If its content has not, restore the time with "
            f"`{restore} FILE`; otherwise choose another --output"
        )
    return "has changed since; choose another --output"


def _progress(entry: dict) -> Progress:
    """The progress of an entry of a journal that is not its first line."""
    return Progress(**{key: value for key, value in entry.items() if key != "lines"})


def _read_journal(log) -> tuple[list[dict], int]:
    """A journal's first and last complete entries, and the bytes of all complete ones."""
    log.seek(0)
    first = last = None
    whole = 0
    for line in log:
        if not line.endswith(b"\n"):
            break
        first, last, whole = first or line, line, whole + len(line)
    try:
        return [json.loads(line) for line in ([first] if first is last else [first, last]) if line], whole
    except ValueError:
        raise OutputError(f"{log.name}: damaged; delete it and its output, and label again") from None
