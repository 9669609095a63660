"""Files on disk: texts, digests, downloads, and caches that many processes share."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .errors import SlungError, first_line

LOG = logging.getLogger(__name__)

TIMEOUT = 60
"""Seconds without a byte after which a download is given up."""

_BATCH = 500
"""Keys per query; SQLite limits how many a statement can have."""

_OPENINGS = 20
"""Attempts to open a database while other processes create it. SQLite does not wait for that by itself."""

_T = TypeVar("_T")


class FileError(SlungError):
    """A file that cannot be read or downloaded, or that has other content than expected."""


def read_text(key: str, path: Path) -> str:
    """A UTF-8 file's text, without a byte order mark.

    Raises:
        FileError: no such file, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"{key}: cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        # from None: the exception holds the file's content
        message = f"{key}: {path} is not UTF-8 (at byte {error.start}); save it as UTF-8"
        raise FileError(message) from None


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
    """A file's SHA-256, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`. It takes the name `path` once the block ends without an error.

    Several processes may write at once; the last one to finish wins.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def download(key: str, url: str, path: Path, sha256: str | None) -> None:
    """Download `url` to `path`, which appears only when complete and, where `sha256` is given, verified.

    Args:
        key: the YAML key that errors begin with.
        url: http or https; redirects are followed.
        path: the file; its folder is created.
        sha256: in hexadecimal, or None.

    Raises:
        FileError: the download failed, or its SHA-256 is another one.
    """
    import httpx  # takes a tenth of a second, and few labelers download anything

    LOG.info("downloading %s to %s", url, path)
    try:
        with replacing(path) as part:
            _fetch(url, part)
            if sha256 is not None and (found := sha256_of(part)) != sha256.lower():
                raise FileError(
                    f"{key}: {url} has the sha256 {found}, not {sha256.lower()}: it has changed, or `sha256` is wrong"
                )
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise FileError(
            f"{key}: cannot download {url}: {first_line(error)}; download it elsewhere and put it at {path}"
        ) from error


def _fetch(url: str, path: Path) -> None:
    import httpx

    options = {"timeout": TIMEOUT, "follow_redirects": True, "headers": {"Accept-Encoding": "identity"}}
    with httpx.stream("GET", url, **options) as response, path.open("wb") as file:
        response.raise_for_status()
        for block in response.iter_raw(1 << 20):
            file.write(block)


class Store:
    """A table in a file that any number of threads and processes may use at once: keys of bytes to values.

    A store that cannot be read or written is left alone for the rest of the run, with one warning: it saves time and
    decides nothing. A connection belongs to one process, so a store may be used after a fork or a pickle.

    Args:
        path: the file; it and its folder are created on first use.
        table: `name (key column TYPE PRIMARY KEY, value column TYPE)`, in SQL.
        remedy: what the warning tells the user to do.

    Attributes:
        broken: whether the store is no longer used.
    """

    def __init__(self, path: Path, table: str, remedy: str):
        self.path, self.broken = path, False
        self._table, self._remedy = table, remedy
        self._name, self._key, self._value = re.match(r"(\w+) \((\w+) .*, (\w+)", table).groups()
        self._forget()

    def __getstate__(self):
        return (self.path, self._table, self._remedy), self.broken

    def __setstate__(self, state):
        arguments, broken = state
        self.__init__(*arguments)
        self.broken = broken

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """The values of those keys that are known."""
        keys = list(dict.fromkeys(keys))

        def select(database):
            found = {}
            for start in range(0, len(keys), _BATCH):
                some = keys[start : start + _BATCH]
                marks = ",".join("?" * len(some))
                query = f"SELECT {self._key}, {self._value} FROM {self._name} WHERE {self._key} IN ({marks})"
                found.update(database.execute(query, some))
            return found

        return self._guarded(select) or {}

    def put(self, rows: Sequence[tuple[bytes, object]]) -> None:
        """Keep values by their keys; once this returns they outlive the process."""

        def insert(database):
            with database:
                database.executemany(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", rows)

        self._guarded(insert)

    def _guarded(self, action: Callable[[sqlite3.Connection], _T]) -> _T | None:
        if self.broken:
            return None
        try:
            database, lock = self._connection()
            with lock:
                return action(database)
        except (sqlite3.Error, OSError) as error:
            with self._opening:
                if not self.broken:
                    LOG.warning("slung: the cache %s is not used: %s; %s", self.path, error, self._remedy)
                self.broken = True
            return None

    def _forget(self) -> None:
        self._opened: tuple[sqlite3.Connection, threading.Lock] | None = None
        self._opening = threading.Lock()
        self._process = os.getpid()

    def _connection(self) -> tuple[sqlite3.Connection, threading.Lock]:
        if self._process != os.getpid():
            self._forget()  # neither a connection nor a lock must be taken through a fork
        with self._opening:
            if self._opened is None:
                self._opened = self._open(), threading.Lock()
            return self._opened

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        for attempt in range(_OPENINGS):
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} WITHOUT ROWID")
                database.commit()
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or attempt == _OPENINGS - 1:
                    database.close()
                    raise
                time.sleep(0.05)
            except sqlite3.Error:
                database.close()
                raise
        return database
