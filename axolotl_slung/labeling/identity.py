"""What decides a labeler's labels, as a digest: for fingerprints, caches and files of labels."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ..storage import sha256_of
from .base import Labeler

LOG = logging.getLogger(__name__)

_PACKAGE = __package__.partition(".")[0]

_NOT_DECISIVE = ("datasets", "name", "path", "model", "batch_size")
"""Where a file lies does not matter, its content does; nor does what the scores are called."""


def digest(labeler: Labeler, options: Mapping) -> str:
    """64 hex digits that change whenever the labeler may come to give other labels.

    Args:
        labeler: opened and checked.
        options: its entry under `slung.labelers`, JSON-able, with whatever else it was built with.
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
    """64 hex digits of anything JSON-able; what JSON has no form for counts as its `str`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """The version of each distribution; None where it is not installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


@cache
def sources(*names: str) -> str:
    """A digest of the package's own source, read once a process.

    Args:
        names: files and folders of the package, folders with all that is in them.
    """
    found = {}
    for name in names:
        for path, file in _python_files(files(_PACKAGE) / name, name):
            found[path] = hashlib.sha256(file.read_bytes()).hexdigest()
    if not found:
        LOG.warning(
            "slung: the package's source cannot be read, so that its changes are not seen: after an update that keeps "
            "the version, delete prepared data sets and the labels that are cached"
        )
    return digest_of(found)


def _python_files(place, path: str) -> Iterator[tuple[str, Traversable]]:
    if place.is_file():
        # .pyc beside no .py: a package that is installed without its source
        if place.name.endswith((".py", ".pyc")):
            yield path, place
    elif place.name != "__pycache__":
        for inner in place.iterdir():
            yield from _python_files(inner, f"{path}/{inner.name}")


def named_digests(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Each file's path below the folder that holds all of them, and the digest of its content; in the order given."""
    if not paths:
        return []
    together = os.path.commonpath([os.path.abspath(path) for path in paths])
    return [(os.path.relpath(path, together), file_digest(path)) for path in paths]


_digests: dict[tuple, str] = {}


def stamp(path: Path) -> tuple:
    """What changes when a file's content does, at the cost of a look into its folder."""
    stat = path.stat()
    # a file that takes another one's name keeps its time of change, and coarse clocks give both the same one
    return str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file_digest(path: Path) -> str:
    """sha256 of a file's content; kept while its `stamp` stays the same."""
    key = stamp(path)
    if key not in _digests:
        _digests[key] = sha256_of(path)
    return _digests[key]
