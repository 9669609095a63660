"""Steps that are done, one line each, so that a restart leaves them out."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..storage import opener
from .config import MixError


def lock(file: IO, shared: bool = False) -> None:
    """Lock an open file until it is closed.

    Args:
        file: the file.
        shared: whether others may lock it so, too.

    Raises:
        MixError: another run has locked it. The file is then closed.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise MixError(f"{file.name}: another run is writing to this folder; wait until that run ends") from None


def whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file up to one that was cut by a kill."""
    file.seek(0)
    for line in file:
        if not line.endswith(b"\n"):
            return
        yield line


def entries_of(path: Path) -> list[Any]:
    """The entries of a journal that another process may be writing. Empty if there is none."""
    try:
        with open(path, "rb") as file:
            return [json.loads(line) for line in whole_lines(file)]
    except FileNotFoundError:
        return []


class Journal:
    """Lines of JSON in a file that only one process writes. A line that was cut by a kill does not count.

    Args:
        path: the file.
        mode: its permissions.

    Attributes:
        entries: of an earlier run, in order.

    Raises:
        MixError: another process writes it.
    """

    def __init__(self, path: Path, mode: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b", opener=opener(mode))  # noqa: SIM115 - closed by `close`
        lock(self._file)
        lines = list(whole_lines(self._file))
        self.entries: list[Any] = [json.loads(line) for line in lines]
        self._file.truncate(sum(map(len, lines)))

    def add(self, entry: Any) -> None:
        """Add an entry. It is on the disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_):
        self.close()


class Results:
    """Results by key. Each task has a journal of its own, and finds the results of all tasks.

    Args:
        folder: of the journals.
        task: the number of this task.
        mode: the permissions of the journals.

    Attributes:
        found: what all tasks had added when this was opened, and what this one adds.
    """

    def __init__(self, folder: Path, task: int, mode: int):
        self._journal = Journal(folder / f"{task:05}.journal", mode)
        self.found = results_in(folder)

    def add(self, key: str, result: Any) -> None:
        """Add a result. It is on the disk when this returns."""
        self._journal.add([key, result])
        self.found[key] = result

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_):
        self._journal.close()


def results_in(folder: Path) -> dict[str, Any]:
    """The results of all tasks by their keys."""
    return dict(entry for path in sorted(folder.glob("*.journal")) for entry in entries_of(path))
