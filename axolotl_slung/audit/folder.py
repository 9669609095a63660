"""The folder of an audit. It holds risky text, so only its owner may read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import FileError, SlungError, os_errors
from ..evals.audit_file import read_about
from ..storage import opener, replacing

_LEFT = "*.part"
"""Files that a killed command leaves."""


def check(folder: Path) -> None:
    """Check that a folder may be written, before anything expensive. Only an earlier audit may be in it.

    Raises:
        FileError: there is something else.
    """
    with os_errors(folder):
        if not os.path.lexists(folder):
            return
        if not folder.is_dir():
            raise FileError(f"{folder}: is not a folder; name another one")
        if all(path.match(_LEFT) for path in folder.iterdir()):
            return
    try:
        read_about(folder)
    except SlungError:
        raise FileError(f"{folder}: is another kind of folder, which is not replaced; choose another name") from None


def make(folder: Path) -> None:
    """Create the folder for its owner only, and remove what a killed command has left in it.

    Raises:
        FileError: it cannot be created.
    """
    with os_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for path in folder.glob(_LEFT):
            path.unlink()


@contextmanager
def private(path: Path) -> Iterator[IO[str]]:
    """A text file for its owner only. It appears whole or not at all."""
    with replacing(path) as part, open(part, "x", encoding="utf-8", opener=opener(0o600)) as file:
        yield file
