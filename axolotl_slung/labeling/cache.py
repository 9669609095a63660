"""Spans that were found before, by the text's content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..storage import Store, cache_folder
from .base import Span

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
        path = (folder or cache_folder() / "labels") / f"{digest[:32]}.sqlite"
        self.store = Store(path, "spans (text BLOB PRIMARY KEY, spans BLOB)", "delete it, or set `cache: false`")
        self.name = name

    def fill(self, texts: Sequence[str], label: Callable[[list[int]], list[list[Span]]]) -> list[list[Span]]:
        """The spans of every text, from the cache or else from `label`, whose answers are kept.

        Args:
            texts: the batch.
            label: labels the texts with the given indices.
        """
        if self.store.broken:
            return label(list(range(len(texts))))
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        known = {key: blob for key, blob in self.store.get(keys).items() if len(blob) % _ROW.itemsize == 0}
        missing = [index for index, key in enumerate(keys) if key not in known]
        fresh = dict(zip(missing, label(missing))) if missing else {}
        if fresh:
            self.store.put([(keys[index], _packed(spans)) for index, spans in fresh.items()])
        return [fresh[i] if i in fresh else self._unpacked(known[key]) for i, key in enumerate(keys)]

    def _unpacked(self, blob: bytes) -> list[Span]:
        rows = np.frombuffer(blob, _ROW)
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist()
        return [Span(start, end, score, self.name) for start, end, score in zip(*columns)]


def _packed(spans: Sequence[Span]) -> bytes:
    return np.array([span[:3] for span in spans], _ROW).tobytes()
