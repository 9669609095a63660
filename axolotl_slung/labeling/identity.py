"""What decides a labeler's labels, as a digest: for fingerprints, caches and files of labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from .base import Labeler

LABELS_VERSION = 2
"""Raise it when the same labeler with the same files comes to give other labels."""

_NOT_DECISIVE = ("datasets", "name", "path", "model", "batch_size")
"""Where a file lies does not matter, its content does; nor does what the scores are called."""


def digest(labeler: Labeler, options: Mapping) -> str:
    """64 hex digits that change whenever the labeler may come to give other labels.

    Args:
        labeler: opened and checked.
        options: its entry under `slung.labelers`, JSON-able, with whatever else it was built with.
    """
    decisive = {key: value for key, value in options.items() if key not in _NOT_DECISIVE}
    versions = {package: version(package) for package in labeler.packages}
    files = sorted(file_digest(path) for path in labeler.files())
    return hashlib.sha256(json.dumps([LABELS_VERSION, decisive, versions, files], sort_keys=True).encode()).hexdigest()


_digests: dict[tuple, str] = {}


def file_digest(path: Path) -> str:
    """sha256 of a file's content; kept while path, size and time of change stay the same."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with open(path, "rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]
