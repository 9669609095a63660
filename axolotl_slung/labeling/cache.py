"""A cache of spans, by the text's content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import get_logger
from ..storage import Store, cache_folder
from .base import RowError, Span

LOG = get_logger(__name__)

_ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("score", "<f8"), ("name", "<u2")])
"""One span. `name` is an index into the list of names before the rows."""


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
        names, rows = _parts(blob)
        whose = [(labeler or self.name, kind) for labeler, kind in names]
        columns = (rows[field].tolist() for field in _ROW.names)  # pyright: ignore[reportOptionalIterable]
        return [Span(start, end, score, *whose[name]) for start, end, score, name in zip(*columns)]


def _fits(blob: object, length: int) -> bool:
    """Whether a stored value holds the spans of a text of `length` characters."""
    try:
        names, rows = _parts(blob)  # pyright: ignore[reportArgumentType]
        known = all(isinstance(part, str) for labeler, kind in names for part in (labeler, kind))
    except (TypeError, ValueError, AttributeError):
        return False
    start, end, score = rows["start"], rows["end"], rows["score"]
    return known and bool(
        (start < end).all()
        and (end <= length).all()
        and (start[:-1] <= start[1:]).all()
        and ((score >= 0) & (score <= 1)).all()  # false for NaN
        and (rows["name"] < len(names)).all()
    )


def _packed(spans: Sequence[Span]) -> bytes:
    names = sorted({(span.labeler, span.kind) for span in spans})
    place = {name: index for index, name in enumerate(names)}
    rows = [(span.start, span.end, span.score, place[span.labeler, span.kind]) for span in spans]
    return json.dumps(names).encode() + b"\n" + np.array(rows, _ROW).tobytes()


def _parts(blob: bytes) -> tuple[list[list[str]], np.ndarray]:
    """The names and the rows. Raises `TypeError`, `ValueError` or `AttributeError` for a value of another form."""
    names, _, rows = blob.partition(b"\n")
    return json.loads(names), np.frombuffer(rows, _ROW)
