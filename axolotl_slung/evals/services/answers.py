"""Answers that were paid for before, by what was asked."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...storage import cache_folder

LOG = logging.getLogger(__name__)

_OPENINGS = 20
"""How often to try while other processes are busy making the same new file; sqlite does not wait for that by itself."""


def digest(request: Sequence[str]) -> bytes:
    """32 bytes that stand for a request: all that decides its answer, such as a model and a text.

    Args:
        request: strings, lone surrogates included.
    """
    # JSON keeps ["ab", "c"] and ["a", "bc"] apart, and escapes lone surrogates
    return hashlib.blake2b(json.dumps(list(request)).encode(), digest_size=32).digest()


class AnswerCache:
    """A file of answers: the digest of a request to a JSON value, never the request itself.

    Any number of threads and processes may use it at once. A cache that cannot be read or written is left alone for
    the rest of the run, with a warning: it saves time and money and decides nothing.

    Args:
        path: the file; None for `answers/answers.sqlite` in the folder of downloads and caches.
    """

    def __init__(self, path: Path | str | None = None):
        self.path = cache_folder() / "answers" / "answers.sqlite" if path is None else Path(path).expanduser()
        self._opened: tuple[int, sqlite3.Connection, threading.Lock] | None = None
        self._opening = threading.Lock()
        self._broken = False

    def __getstate__(self):
        return {"path": self.path, "_broken": self._broken}

    def __setstate__(self, state):
        self.__init__(state["path"])
        self._broken = state["_broken"]

    def read(self, digests: Iterable[bytes]) -> dict[bytes, object]:
        """The answers that are known among these; a damaged one counts as unknown."""
        found = self._guarded(self._select, list(dict.fromkeys(digests))) or {}
        answers = {}
        for key, value in found.items():
            try:
                answers[key] = json.loads(value)
            except (TypeError, ValueError):
                continue
        return answers

    def write(self, key: bytes, answer: object) -> None:
        """Keep an answer; once this returns it outlives the process.

        Args:
            key: `digest` of the request.
            answer: anything that JSON can hold.
        """
        self._guarded(self._insert, (key, json.dumps(answer)))

    def _guarded(self, action, argument):
        if self._broken:
            return None
        try:
            database, lock = self._connection()
            with lock:
                return action(database, argument)
        except (sqlite3.Error, OSError) as error:
            with self._opening:
                if not self._broken:
                    LOG.warning("slung: the cache %s is not used: %s; delete it, or move it away", self.path, error)
                self._broken = True
            return None

    def _connection(self) -> tuple[sqlite3.Connection, threading.Lock]:
        # neither a connection nor a lock must be taken through a fork
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            if opened is not None:
                self._opening = threading.Lock()
            with self._opening:
                if self._opened is None or self._opened[0] != os.getpid():
                    self._opened = (os.getpid(), self._open(), threading.Lock())
                opened = self._opened
        return opened[1:]

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        for attempt in range(_OPENINGS):
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS answers (request BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
                )
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

    def _select(self, database, keys) -> dict[bytes, str]:
        found = {}
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            found.update(database.execute(f"SELECT request, answer FROM answers WHERE request IN ({marks})", some))
        return found

    def _insert(self, database, row) -> None:
        with database:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", row)
