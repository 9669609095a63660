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
"""Ends a stored value whose spans have kinds, or names that are not the labeler's: no score from 0 to 1 ends in these
bytes. Before it are the rows, for each row the index of its name and kind, the names and kinds in turn, and the number
of rows."""


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
            self.store.put([(keys[index], self._packed(spans)) for index, spans in fresh.items()])
        return [fresh[i] if i in fresh else self._unpacked(known[key]) for i, key in enumerate(keys)]

    def _unpacked(self, blob: bytes) -> list[Span]:
        rows, which, names = _opened(blob)
        whose = [(name or self.name, kind) for name, kind in names]
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist(), which.tolist()
        return [Span(start, end, score, *whose[one]) for start, end, score, one in zip(*columns)]

    def _packed(self, spans: Sequence[Span]) -> bytes:
        rows = np.array([span[:3] for span in spans], _ROW).tobytes()
        # the labeler's own name is not stored: it may be another one in the next run
        whose = [("" if span.labeler == self.name else span.labeler, span.kind) for span in spans]
        names = sorted(set(whose))
        if not any(map(any, names)):
            return rows
        which = np.array([names.index(one) for one in whose], "<u4").tobytes()
        flat = "\0".join(part for one in names for part in one).encode()
        return b"".join([rows, which, flat, len(spans).to_bytes(4, "little"), _KINDS])


def _opened(blob: bytes) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """The rows of a stored value, for each row an index, and the names and kinds that these count.

    A name is empty for the labeler's own. Raises `ValueError` for a value of another form.
    """
    if not blob.endswith(_KINDS):
        rows = np.frombuffer(blob, _ROW)
        return rows, np.zeros(len(rows), np.int64), [("", "")]
    number = int.from_bytes(blob[-8:-4], "little")
    if number == 0:
        raise ValueError
    rows = np.frombuffer(blob, _ROW, number)
    which = np.frombuffer(blob, "<u4", number, offset=rows.nbytes)
    parts = blob[rows.nbytes + which.nbytes : -8].decode().split("\0")
    return rows, which, list(zip(parts[::2], parts[1::2], strict=True))


def _fits(blob: object, length: int) -> bool:
    """Whether a stored value holds the spans of a text of `length` characters."""
    if not isinstance(blob, bytes):
        return False
    try:
        rows, which, names = _opened(blob)
    except ValueError:
        return False
    start, end, score = rows["start"], rows["end"], rows["score"]
    return bool(
        (start < end).all()
        and (end <= length).all()
        and (start[:-1] <= start[1:]).all()
        and ((score >= 0) & (score <= 1)).all()  # false for NaN
        and (which < len(names)).all()
    )
