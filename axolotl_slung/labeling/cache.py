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
_KINDS = b"kind"
"""Ends a stored value whose spans have kinds: no score from 0 to 1 ends in these bytes. Before it are the rows, for each
row the index of its kind, the names of the kinds, and the number of rows."""


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
        rows, which, kinds = _opened(blob)
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist(), which.tolist()
        return [Span(start, end, score, self.name, kinds[kind]) for start, end, score, kind in zip(*columns)]


def _opened(blob: bytes) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The rows of a stored value, the index of each row's kind, and the kinds. Raises `ValueError` for anything else."""
    if not blob.endswith(_KINDS):
        rows = np.frombuffer(blob, _ROW)
        return rows, np.zeros(len(rows), np.int64), [""]
    number = int.from_bytes(blob[-8:-4], "little")
    if number == 0:
        raise ValueError
    rows = np.frombuffer(blob, _ROW, number)
    which = np.frombuffer(blob, "<u4", number, offset=rows.nbytes)
    return rows, which, blob[rows.nbytes + which.nbytes : -8].decode().split("\0")


def _fits(blob: object, length: int) -> bool:
    """Whether a stored value holds the spans of a text of `length` characters."""
    if not isinstance(blob, bytes):
        return False
    try:
        rows, which, kinds = _opened(blob)
    except ValueError:
        return False
    start, end, score = rows["start"], rows["end"], rows["score"]
    return bool(
        (start < end).all()
        and (end <= length).all()
        and (start[:-1] <= start[1:]).all()
        and ((score >= 0) & (score <= 1)).all()  # false for NaN
        and (which < len(kinds)).all()
    )


def _packed(spans: Sequence[Span]) -> bytes:
    rows = np.array([span[:3] for span in spans], _ROW).tobytes()
    kinds = sorted({span.kind for span in spans})
    if not any(kinds):
        return rows
    which = np.array([kinds.index(span.kind) for span in spans], "<u4").tobytes()
    return b"".join([rows, which, "\0".join(kinds).encode(), len(spans).to_bytes(4, "little"), _KINDS])
