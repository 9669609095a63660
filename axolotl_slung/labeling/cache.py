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

_ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("score", "<f8"), ("kind", "<u4")])
"""A stored span. Its kind is an index into the names after the last row; 0 for a span without one."""


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
        rows, kinds = _opened(blob)
        columns = rows["start"].tolist(), rows["end"].tolist(), rows["score"].tolist(), rows["kind"].tolist()
        return [Span(start, end, score, self.name, kinds[kind]) for start, end, score, kind in zip(*columns)]


def _opened(blob: bytes) -> tuple[np.ndarray, list[str]]:
    """The rows of a stored value, and the names of kinds, of which the first is empty."""
    number = int.from_bytes(blob[:4], "little")
    rows = np.frombuffer(blob, _ROW, number, offset=4)
    return rows, blob[4 + rows.nbytes :].decode().split("\0")


def _fits(blob: object, length: int) -> bool:
    """Whether a stored value holds the spans of a text of `length` characters."""
    if not isinstance(blob, bytes) or len(blob) < 4:
        return False
    try:
        rows, kinds = _opened(blob)
    except ValueError:
        return False
    start, end, score = rows["start"], rows["end"], rows["score"]
    return bool(
        (start < end).all()
        and (end <= length).all()
        and (start[:-1] <= start[1:]).all()
        and ((score >= 0) & (score <= 1)).all()  # false for NaN
        and (rows["kind"] < len(kinds)).all()
        and kinds[0] == ""
    )


def _packed(spans: Sequence[Span]) -> bytes:
    kinds = ["", *sorted({span.kind for span in spans if span.kind})]
    rows = np.array([(*span[:3], kinds.index(span.kind)) for span in spans], _ROW)
    return len(rows).to_bytes(4, "little") + rows.tobytes() + "\0".join(kinds).encode()
