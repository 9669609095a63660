"""Steps that are done, one line each, so that a restart leaves them out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..storage import opener


class Journal:
    """Lines of JSON in a file. A line that was cut by a kill does not count.

    Args:
        path: the file.
        mode: its permissions.

    Attributes:
        entries: of an earlier run, in order.
    """

    def __init__(self, path: Path, mode: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b", opener=opener(mode))  # noqa: SIM115 - closed by `close`
        self._file.seek(0)
        self.entries: list[Any] = []
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self.entries.append(json.loads(line))
            whole += len(line)
        self._file.truncate(whole)

    def add(self, entry: Any) -> None:
        """Add an entry. It is on the disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_):
        self._file.close()
