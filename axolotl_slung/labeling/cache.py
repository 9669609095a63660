"""Spans that were found before, by the text's content."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..storage import cache_folder
from .base import Span

LOG = logging.getLogger(__name__)

_ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("score", "<f8")])


class SpanCache:
    """A file of spans for one labeler: the digest of a text to its spans, never the text.

    Any number of processes may use it at once. A cache that cannot be read or written is left alone for the rest of
    the run, with a warning: it saves time and decides nothing.

    Args:
        digest: of the labeler (`identity.digest`), 64 hex digits; names the file.
        name: what the labeler's spans are called.
        folder: where the file is kept; None for `labels` in the folder of downloads.
    """

    def __init__(self, digest: str, name: str, folder: Path | None = None):
        self.path = (folder or cache_folder() / "labels") / f"{digest[:32]}.sqlite"
        self.name = name
        self._database: tuple[int, sqlite3.Connection] | None = None
        self._broken = False

    def __getstate__(self):
        return {**self.__dict__, "_database": None}

    def fill(self, texts: Sequence[str], label: Callable[[list[int]], list[list[Span]]]) -> list[list[Span]]:
        """The spans of every text, from the cache or else from `label`, whose answers are kept.

        Args:
            texts: the batch.
            label: labels the texts with the given indices.
        """
        if self._broken:
            return label(list(range(len(texts))))
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known = self._guarded(self._get, set(keys)) or {}
        missing = [index for index, key in enumerate(keys) if key not in known]
        fresh = dict(zip(missing, label(missing))) if missing else {}
        if fresh:
            self._guarded(self._put, [(keys[index], _packed(spans)) for index, spans in fresh.items()])
        return [fresh[i] if i in fresh else self._unpacked(known[key]) for i, key in enumerate(keys)]

    def _guarded(self, action, argument):
        if self._broken:
            return None
        try:
            return action(self._connection(), argument)
        except (sqlite3.Error, OSError) as error:
            LOG.warning("slung: the cache %s is not used: %s; delete it, or set `cache: false`", self.path, error)
            self._broken = True
            return None

    def _connection(self) -> sqlite3.Connection:
        # a connection must not be taken through a fork
        if self._database is None or self._database[0] != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("CREATE TABLE IF NOT EXISTS spans (text BLOB PRIMARY KEY, spans BLOB) WITHOUT ROWID")
            self._database = (os.getpid(), database)
        return self._database[1]

    def _get(self, database, keys) -> dict[bytes, bytes]:
        keys, found = list(keys), {}
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            found.update(database.execute(f"SELECT text, spans FROM spans WHERE text IN ({marks})", some))
        return {key: blob for key, blob in found.items() if len(blob) % _ROW.itemsize == 0}

    def _put(self, database, rows) -> None:
        with database:
            database.executemany("INSERT OR REPLACE INTO spans VALUES (?, ?)", rows)

    def _unpacked(self, blob: bytes) -> list[Span]:
        rows = np.frombuffer(blob, _ROW)
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist()
        return [Span(start, end, score, self.name) for start, end, score in zip(*columns)]


def _packed(spans: Sequence[Span]) -> bytes:
    return np.array([span[:3] for span in spans], _ROW).tobytes()
