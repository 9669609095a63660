"""Files that the commands write: pages and figures, which may quote risky text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import FileError, SlungError, os_errors
from ..storage import write_private
from .ending import settings

PAGE, FIGURES = b"<!doctype html>", b"{"
"""The beginnings of the files."""


def check(path: Path, begins: bytes) -> None:
    """Check that a file may be written, before anything expensive. Only a file of the same kind may be replaced.

    Raises:
        FileError: there is something else at this path.
    """
    with os_errors(path):
        if path.is_dir():
            raise FileError(f"{path}: is a folder; name a file in it")
        if path.exists():
            with open(path, "rb") as file:
                if file.read(len(begins)).lower() != begins:
                    raise FileError(f"{path}: is another kind of file, which is not replaced; choose another name")


def write(path: Path, text: str) -> str:
    """Write a file that only the owner may read.

    Returns:
        The path, and whether a file was replaced, for the user.

    Raises:
        FileError: the file cannot be written.
    """
    with os_errors(path):
        there = path.exists()
    write_private(path, text)
    return f"{path} (replaces the earlier one)" if there else str(path)


def replaceable(path: Path, read: Callable[[str, Path], object]) -> str:
    """Check that a file may be written, before anything expensive. Only one that `read` can read is replaced.

    Returns:
        What the user is told of the file when it is written.
    """
    if not path.exists():
        return "written"
    with settings():
        try:
            read("-o", path)
        except SlungError:
            raise FileError(f"{path}: is another kind of file, which is not replaced; choose another name") from None
    return "written (replaces the earlier one)"
