"""What decides the labels of a data set, as one digest, so that no prepared data set outlives a change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from glob import glob, has_magic
from pathlib import Path

from ..labeling.identity import file_digest


def fingerprint(block: Mapping, labelers: Iterable, dataset_files: Iterable[Path]) -> str:
    """A digest of the block, of its labelers and of local data files, these by content.

    Args:
        block: the resolved `slung:` block without its labelers, JSON-able.
        labelers: the labelers' digests and the data sets that each is for, JSON-able.
        dataset_files: the local files that the data sets are read from.

    Returns:
        64 hex digits.
    """
    parts = [block, list(labelers), sorted(file_digest(path) for path in dataset_files)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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
