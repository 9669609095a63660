"""A cache of spans, by the text's content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import get_logger
from ..storage import Store, cache_folder
from .base import RowError, Span

LOG = get_logger(__name__)

_ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("score", "<f8")])


class SpanCache:
    """One labeler's file of spans. It maps the digest of a text to its spans and never contains the text.

    Any number of processes may use it at once. A cache that cannot be read or written is disabled for the rest of
    the run, with a warning: it only saves time and never changes results. A row that does not fit its text is not
    used, also with a warning.

    Args:
        digest: the labeler's (`identity.digest`), 64 hex digits. It names the file.
        name: the labeler's name, for the spans.
        folder: the file's folder; None for `labels` in the folder of downloads.
    """

    def __init__(self, digest: str, name: str, folder: Path | None = None):
        path = (folder or cache_folder() / "labels") / f"{digest[:32]}.sqlite"
        self.store = Store(path, "spans (text BLOB PRIMARY KEY, spans BLOB)", "delete it, or set `cache: false`")
        self.name = name
        self._warned = False

    def fill(self, texts: Sequence[str], label: Callable[[list[int]], list[list[Span]]]) -> list[list[Span]]:
        """The spans of every text. Those not in the cache come from `label` and are stored.

        Args:
            texts: the batch.
            label: labels the texts with the given indices.

        Raises:
            RowError: `label` raised it; its rows are indices of `texts`.
        """
        if self.store.broken:
            return label(list(range(len(texts))))
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        lengths = {key: len(text) for key, text in zip(keys, texts)}
        known = {}
        for key, blob in self.store.get(keys).items():
            if _fits(blob, lengths[key]):
                known[key] = blob
            elif not self._warned:
                self._warned = True
                LOG.warning(
                    "slung: the cache %s has spans that do not fit their text; such texts are labeled again",
                    self.store.path,
                )
        missing = [index for index, key in enumerate(keys) if key not in known]
        try:
            fresh = dict(zip(missing, label(missing))) if missing else {}
        except RowError as error:
            raise error.moved(missing) from None
        if fresh:
            self.store.put([(keys[index], _packed(spans)) for index, spans in fresh.items()])
        return [fresh[i] if i in fresh else self._unpacked(known[key]) for i, key in enumerate(keys)]

    def _unpacked(self, blob: bytes) -> list[Span]:
        rows = np.frombuffer(blob, _ROW)
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist()
        return [Span(start, end, score, self.name) for start, end, score in zip(*columns)]


def _fits(blob: object, length: int) -> bool:
    """Whether a stored value holds the spans of a text of `length` characters."""
    if not isinstance(blob, bytes) or len(blob) % _ROW.itemsize:
        return False
    rows = np.frombuffer(blob, _ROW)
    start, end, score = rows["start"], rows["end"], rows["score"]
    return bool(
        (start < end).all()
        and (end <= length).all()
        and (start[:-1] <= start[1:]).all()
        and ((score >= 0) & (score <= 1)).all()  # false for NaN
    )


def _packed(spans: Sequence[Span]) -> bytes:
    return np.array([span[:3] for span in spans], _ROW).tobytes()
