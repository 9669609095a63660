"""Files on disk: texts, digests, downloads, and caches that processes share."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .errors import FileError, first_line, get_logger, os_errors

LOG = get_logger(__name__)

TIMEOUT = 60
"""Seconds without data after which a download fails."""

_BATCH = 500
"""Keys per query. SQLite limits the number of parameters of a statement."""

_OPENINGS = 20
"""Attempts to open a database while other processes create it. SQLite itself does not wait for that."""

_T = TypeVar("_T")


def read_text(key: str, path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        FileError: the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        place = "" if path.is_absolute() else f" (in {Path.cwd()})"
        raise FileError(f"{key}: cannot read {path}{place}: {error.strerror}; check the path") from None
    except UnicodeDecodeError as error:
        # from None: the exception contains the file's content
        raise FileError(f"{key}: {path}: is not UTF-8 (at byte {error.start}); save it as UTF-8") from None


def walk(folder: Path, left_out: Counter[str] | None = None) -> list[tuple[str, Path]]:
    """All files in a folder, sorted, each with its path relative to the folder.

    Hidden files and folders, whose names begin with `.` or `__`, are left out. Links to folders are followed, and each
    folder is read once, under its own name if it has one in the folder.

    Args:
        folder: the folder.
        left_out: counts what is left out, by kind. The package's own folders `.slung` do not count.

    Raises:
        FileError: a folder cannot be read.
    """
    left_out = Counter() if left_out is None else left_out
    found, later, seen = [], [folder], set()

    def fail(error: OSError):
        raise FileError(f"{error.filename}: cannot be read: {error.strerror}; change its permissions, or move it away")

    while later:
        start = later.pop(0)
        if _inode(start) in seen:
            left_out["links to folders that are read already"] += 1
            continue
        for here, folders, files in os.walk(start, onerror=fail):
            seen.add(_inode(here))
            inner = []
            for name in sorted(folders):
                path = Path(here, name)
                if name.startswith(_HIDDEN):
                    left_out.update(["hidden folders"] if name != ".slung" else [])
                elif path.is_symlink():
                    later.append(path)
                elif _inode(path) not in seen:
                    inner.append(name)
            folders[:] = inner
            for path in (Path(here, name) for name in files):
                if path.name.startswith(_HIDDEN):
                    left_out["hidden files"] += 1
                elif path.is_file():
                    found.append((path.relative_to(folder).as_posix(), path))
                else:
                    left_out[_PLURALS[special(path)]] += 1
    return sorted(found)


_HIDDEN = (".", "__")
_PLURALS = {
    "a link to nothing": "links to nothing",
    "a pipe (FIFO)": "pipes (FIFO)",
    "a socket": "sockets",
    "a device": "devices",
}


def special(path: Path) -> str:
    """What a path is that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return "a link to nothing"
    if stat.S_ISFIFO(mode):
        return "a pipe (FIFO)"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _inode(folder: str | Path) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def cache_folder() -> Path:
    """The folder of downloads and caches: $AXOLOTL_SLUNG_CACHE, or by default ~/.cache/axolotl-slung."""
    return Path(os.environ.get("AXOLOTL_SLUNG_CACHE") or "~/.cache/axolotl-slung").expanduser()


def cache_path(url: str) -> Path:
    """The path in `cache_folder` for a URL's file."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(url).path.rpartition("/")[2])
    # the digest distinguishes URLs that end in the same name
    return cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opener(mode: int) -> Callable[[str, int], int]:
    """An `opener` for `open` that creates files with these permissions, less the umask."""
    return lambda path, flags: os.open(path, flags, mode)


def write_private(path: Path, text: str) -> None:
    """Write a text that only the owner may read, and create its folder. The file appears whole or not at all.

    Raises:
        FileError: the file cannot be written.
    """
    with os_errors(path), replacing(path) as part, open(part, "x", encoding="utf-8", opener=opener(0o600)) as file:
        file.write(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`. It replaces `path` when the block ends without an error.

    Several processes may write at once. The last one to finish wins.

    Raises:
        OSError: the folder is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def download(key: str, url: str, path: Path, sha256: str | None) -> None:
    """Download `url` to `path`. The file appears only when it is complete and matches `sha256`, if given.

    Args:
        key: the YAML key at the beginning of errors.
        url: http or https. Redirects are followed.
        path: the file. Its folder is created.
        sha256: the expected digest in hexadecimal, or None.

    Raises:
        FileError: the download failed, or its SHA-256 is not the expected one.
    """
    import httpx  # the import takes 0.1 s, and few labelers download anything

    LOG.info("downloading %s to %s", url, path)
    try:
        with replacing(path) as part:
            _fetch(url, part)
            if sha256 is not None and (found := sha256_of(part)) != sha256.lower():
                raise FileError(
                    f"{key}: {url}: expected sha256 {sha256.lower()}, got {found}; correct `sha256` or the URL"
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
    """A table in a file that maps keys (bytes) to values. Any number of threads and processes may use it at once.

    A store that cannot be read or written is disabled for the rest of the run, with one warning: it only saves time
    and never changes results. Each process opens its own connection, so a store works after a fork or a pickle. Only
    the owner may read or write the file, and a file of another user is not used.

    Args:
        path: the file. The file and its folder are created on first use.
        table: `name (key column TYPE PRIMARY KEY, value column TYPE)`, in SQL.
        remedy: the warning's advice to the user.

    Attributes:
        broken: whether the store is disabled.
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
        """The values of the keys that are stored."""
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
        """Store values by their keys. After this returns they survive the end of the process."""

        def insert(database):
            with database:
                database.executemany(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", rows)

        self._guarded(insert)

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove the values of these keys."""
        rows = [(key,) for key in keys]

        def remove(database):
            with database:
                database.executemany(f"DELETE FROM {self._name} WHERE {self._key} = ?", rows)

        self._guarded(remove)

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
            self._forget()  # a connection or a lock must not be used after a fork
        with self._opening:
            if self._opened is None:
                self._opened = self._open(), threading.Lock()
            return self._opened

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its other files the permissions of this one
        open(self.path, "ab", opener=opener(0o600)).close()
        if self.path.stat().st_uid != os.geteuid():
            raise OSError("it belongs to another user")
        self.path.chmod(0o600)
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
