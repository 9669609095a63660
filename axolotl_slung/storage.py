"""The files that labelers read: texts, and downloads in a cache."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import urllib.request
import uuid
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from .labeling.base import LabelerError

LOG = logging.getLogger(__name__)

TIMEOUT = 60
"""Seconds without a byte after which a download is given up."""


def read_text(key: str, path: Path) -> str:
    """A UTF-8 file's text, without a byte order mark.

    Raises:
        LabelerError: no such file, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelerError(f"{key}: cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        # from None: the exception holds the file's content
        message = f"{key}: {path} is not UTF-8 (at byte {error.start}); save it as UTF-8"
        raise LabelerError(message) from None


def walk(folder: Path) -> list[tuple[str, Path]]:
    """All files in a folder but hidden ones, sorted, with their paths below it."""
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        paths = [Path(here, name) for name in files if not name.startswith(".")]
        found += [(path.relative_to(folder).as_posix(), path) for path in paths if path.is_file()]
    return sorted(found)


def cache_folder() -> Path:
    """Where downloads and caches are kept: $AXOLOTL_SLUNG_CACHE, or else ~/.cache/axolotl-slung."""
    return Path(os.environ.get("AXOLOTL_SLUNG_CACHE") or "~/.cache/axolotl-slung").expanduser()


def cache_path(url: str) -> Path:
    """Where a URL's file is kept, in `cache_folder`."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(url).path.rpartition("/")[2])
    # the digest keeps two URLs that end in the same name apart
    return cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(key: str, url: str, path: Path, sha256: str | None) -> None:
    """Download `url` to `path`, which appears only when complete and, where `sha256` is given, verified.

    Raises:
        LabelerError: the download failed, or its SHA-256 is another one.
    """
    # a name of its own: several ranks may download at once, and the last one to finish wins
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    LOG.info("downloading %s to %s", url, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part)
        if sha256 is not None and (found := sha256_of(part)) != sha256.lower():
            raise LabelerError(
                f"{key}: {url} has the sha256 {found}, not {sha256.lower()}: it has changed, or `sha256` is wrong"
            )
        part.replace(path)
    except (OSError, HTTPException) as error:
        raise LabelerError(
            f"{key}: cannot download {url}: {error}; download it elsewhere and put it at {path}"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, path.open("wb") as file:
        size = response.headers.get("Content-Length")
        while block := response.read(1 << 20):
            file.write(block)
        if size is not None and file.tell() != int(size):
            raise OSError(f"the connection closed after {file.tell()} of {size} bytes")
