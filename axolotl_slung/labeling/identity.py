"""Digests of what determines a labeler's labels, for fingerprints, caches and files of labels."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ..errors import get_logger
from ..storage import sha256_of
from .base import Labeler

LOG = get_logger(__name__)

_PACKAGE = __package__.partition(".")[0]

_NOT_DECISIVE = ("datasets", "name", "path", "model", "batch_tokens")
"""A file's content matters, not its path. The name of the scores does not matter either."""


def digest(labeler: Labeler, options: Mapping) -> str:
    """64 hex digits that change whenever the labeler's labels may change.

    Args:
        labeler: opened and checked.
        options: its entry under `slung.labelers`, JSON-able, and all other arguments that it was built with.
    """
    parts = {
        "options": {key: value for key, value in options.items() if key not in _NOT_DECISIVE},
        "files": named_digests(labeler.files()),
        "source": sources("labeling"),
        "versions": versions(labeler.packages),
        "unicode": unicodedata.unidata_version,
    }
    return digest_of(parts)


def digest_of(parts: Any) -> str:
    """64 hex digits of anything JSON-able. Values that JSON cannot represent count as their `str`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The version of each distribution; None if it is not installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


@cache
def sources(*names: str) -> str:
    """A digest of the package's own source, read once per process.

    Args:
        names: files and folders of the package. A folder includes everything in it.
    """
    found = {}
    for name in names:
        for path, file in _python_files(files(_PACKAGE) / name, name):
            found[path] = hashlib.sha256(file.read_bytes()).hexdigest()
    if not found:
        LOG.warning(
            "slung: the package's source cannot be read, so its changes are not detected; after an update with the "
            "same version, delete prepared data sets and cached labels"
        )
    return digest_of(found)


def _python_files(place, path: str) -> Iterator[tuple[str, Traversable]]:
    if place.is_file():
        # .pyc without .py: the package is installed without its source
        if place.name.endswith((".py", ".pyc")):
            yield path, place
    elif place.name != "__pycache__":
        for inner in place.iterdir():
            yield from _python_files(inner, f"{path}/{inner.name}")


def named_digests(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Each file's path relative to the common folder, and the digest of its content, in the given order."""
    if not paths:
        return []
    together = os.path.commonpath([os.path.abspath(path) for path in paths])
    return [(os.path.relpath(path, together), file_digest(path)) for path in paths]


_digests: dict[tuple, str] = {}


def stamp(path: Path) -> tuple:
    """Values that change when a file's content does, for the cost of one `stat`."""
    stat = path.stat()
    # a file renamed over another keeps its modification time, and coarse clocks may give both the same one
    return str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file_digest(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal. It is kept while the file's `stamp` stays the same."""
    key = stamp(path)
    if key not in _digests:
        _digests[key] = sha256_of(path)
    return _digests[key]
