"""What decides the labels, as one digest, so that no prepared data set outlives a change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from glob import glob, has_magic
from pathlib import Path

LABELS_VERSION = 1
"""Raise it when the same block and the same files come to give other labels."""


def fingerprint(block: Mapping, labeler_files: Iterable[Path], dataset_files: Iterable[Path]) -> str:
    """A digest of the block, of the labelers' files and of local data files, all by content.

    Args:
        block: the resolved `slung:` block, JSON-able.
        labeler_files: files of names, patterns, classifiers, attributes.
        dataset_files: the local files that the data sets are read from.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256(json.dumps([LABELS_VERSION, block], sort_keys=True).encode())
    for group in (labeler_files, dataset_files):
        digest.update(b"|")
        for content in sorted(file_digest(path) for path in group):
            digest.update(content.encode())
    return digest.hexdigest()


_digests: dict[tuple, str] = {}


def file_digest(path: Path) -> str:
    """sha256 of a file's content; kept while path, size and time of change stay the same."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with open(path, "rb") as file:
            _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]


def local_files(dataset_config: Mapping) -> list[Path]:
    """The local files that a `datasets:` entry reads: its path, or everything in it, and its data_files."""
    data_files = dataset_config.get("data_files") or []
    if isinstance(data_files, Mapping):
        data_files = list(data_files.values())
    named = [dataset_config.get("path"), *([data_files] if isinstance(data_files, str) else data_files)]
    files = []
    for name in filter(None, named):
        path = Path(name)
        if path.is_file():
            files.append(path)
        elif path.is_dir():
            files.extend(sorted(p for p in path.rglob("*") if p.is_file()))
        elif has_magic(name):
            files.extend(sorted(Path(p) for p in glob(name, recursive=True) if Path(p).is_file()))
    return files
