"""A fastText classifier of two labels, collapsed to two floats per row.

A softmax over two labels depends only on the difference of their outputs, `(w1 - w0) . hidden`. `hidden` is the mean of
the rows for a line's words and n-grams. A table of `(w1 - w0) . row` therefore replaces the whole matrix. Beside each value
stands the size of the products that it sums, which bounds what fastText's rounding can do to it. The decisions stay
fastText's: if its rounding might matter, the line is scored from the model's file with fastText's own arithmetic.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ...storage import cache_folder, replacing
from ..identity import sources
from .file import Layout, read_layout
from .kernels import Vocabulary, index_words, score, score_as_fasttext

_MAGIC = b"slungft2"
"""The beginning of a table's file. Change it whenever the same model gets a different table."""

_CHUNK = 1 << 16
"""Rows of the input matrix per read."""

_LARGEST = 1e9
"""A limit for sums of products. No trained model exceeds it, and beyond it fastText's float32 could overflow."""


class MappedModel:
    """A classifier's mapped file, which scores as fastText does. All processes share its pages.

    Args:
        path: the model's file.
        layout: the result of `read_layout`; `layout.collapsible` must be true.
        label: the label whose probability is the score.
    """

    def __init__(self, path: Path, layout: Layout, label: str):
        self.layout = layout
        self.content = np.memmap(path, np.uint8, "r").view(np.ndarray)
        self.output = self.floats(layout.output.start, 2 * layout.dim).reshape(2, layout.dim).copy()
        self.target = layout.labels.index(label)
        slots = np.zeros((1 << (2 * len(layout.places)).bit_length(), 2), np.uint64)
        end = index_words(self.content, layout.places, slots)
        sizes = (layout.words, layout.bucket, layout.ngrams, layout.minn, layout.maxn)
        self.known = Vocabulary(self.content, layout.places, slots, *sizes, *map(int, end))

    def floats(self, start: int, count: int) -> np.ndarray:
        """float32 (count,) that begin at the byte `start` of the file."""
        return np.frombuffer(self.content, "<f4", count, start)

    def rows(self, first: int, count: int) -> np.ndarray:
        """float64 (count, dim) of the input matrix."""
        dim = self.layout.dim
        numbers = self.floats(self.layout.input.start + 4 * dim * first, count * dim)
        return numbers.reshape(count, dim).astype(np.float64)

    def scratch(self, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """Arrays for the hashes and rows of a line of `longest` bytes. They use memory only where they are written."""
        words = longest // 2 + 2
        subwords = (longest + 2 * words) * max(self.layout.maxn, 0)
        return np.empty(words, np.int64), np.empty(words * max(self.layout.ngrams, 1) + subwords, np.int32)

    def scores_as_fasttext(self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """float32 (n,), not clipped; see `Collapsed.scores`."""
        scratch = self.scratch(int((ends - starts).max(initial=0)))
        matrix = self.layout.input.start
        return score_as_fasttext(buffer, starts, ends, self.known, *scratch, matrix, self.output, self.target)[0]


class Collapsed:
    """Scores lines as fastText's `predict` does, without loading the model.

    The table is stored in a file in `cache_folder() / "fasttext"` and mapped. If none can be written, it is in memory.

    Args:
        path, layout, label: see `MappedModel`.
        digest: the file's sha256.

    Raises:
        ValueError: some weights of the model are not finite, or too large.
    """

    def __init__(self, path: Path, layout: Layout, label: str, digest: str):
        self.model = MappedModel(path, layout, label)
        self._table = _table(self.model, digest)

    def scores(
        self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, thresholds: Sequence[float] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score lines.

        Args:
            buffer: uint8 (bytes,), UTF-8.
            starts, ends: int64 (n,), the lines' bytes in `buffer`. A newline in a line counts as a space.
            thresholds: the score is on the same side of each of them as fastText's, and of every t and 1 - t of at
                most four significant digits.

        Returns:
            float32 (n,), clipped to [0, 1], within 1e-6 of fastText's (1e-5 with subwords); and int64, the lines that
            fastText itself must score, none if `exact`.
        """
        scratch = self.model.scratch(int((ends - starts).max(initial=0)))
        bounds = np.array(thresholds, np.float64)
        dim, target = self.model.layout.dim, self.model.target
        scores, close = score(buffer, starts, ends, self.model.known, *scratch, self._table, dim, target, bounds)
        close = np.flatnonzero(close)
        if not close.size or not self.exact:
            return scores, close
        exact = self.model.scores_as_fasttext(buffer, starts[close], ends[close])
        scores[close] = np.minimum(exact, np.float32(1))
        return scores, close[:0]

    @cached_property
    def exact(self) -> bool:
        """Whether this computer's build of fastText computes the same bits as `score_as_fasttext`.

        A build for another processor may add in another order, or fuse multiplications and additions. As a test, both
        score lines with a small model. It is made of the outputs and of some rows of the large one.
        """
        import fasttext

        layout = self.model.layout
        chosen = np.linspace(0, layout.input.rows - 1, 64).astype(np.int64)
        rows = np.concatenate([self.model.rows(row, 1) for row in chosen])
        random = np.random.default_rng(0)
        lines = [" ".join(f"w{i}" for i in random.integers(64, size=size)) for size in [*range(1, 64), 100, 1000]]
        lengths = np.array([len(line) for line in lines])
        ends = np.cumsum(lengths)
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "small.bin"
                path.write_bytes(_model_file(rows, self.model.output))
                labels, values = fasttext.load_model(str(path)).predict(lines, k=-1)
                small = MappedModel(path, read_layout(path), "__label__0")
        except OSError:
            return False  # no place to write the file: unknown
        scores = small.scores_as_fasttext(np.frombuffer("".join(lines).encode(), np.uint8), ends - lengths, ends)
        theirs = [float(value[names.index("__label__0")]) for names, value in zip(labels, values)]
        return scores.tolist() == theirs


def _table(model: MappedModel, digest: str) -> np.ndarray:
    """The table (see `_collapse`) from its file, which is written first if necessary."""
    # named by the source too: another version of this package may compute a different table
    path = cache_folder() / "fasttext" / f"{digest}.{sources('labeling')[:16]}.{_MAGIC.decode()}"
    rows = model.layout.input.rows
    try:
        return _read(path, rows)
    except (OSError, ValueError):
        pass  # missing, or damaged
    table = _collapse(model)
    try:
        body = table.tobytes()
        with replacing(path) as part:
            part.write_bytes(_MAGIC + hashlib.sha256(body).digest() + body)
        return _read(path, rows)
    except (OSError, ValueError):
        return table


def _read(path: Path, rows: int) -> np.ndarray:
    """The file: the magic, the sha256 of the table, the table."""
    content = np.memmap(path, np.uint8, "r").view(np.ndarray)
    if content.size != 40 + 8 * rows or content[:8].tobytes() != _MAGIC:
        raise ValueError("not a table of this version and size")
    if hashlib.sha256(content[40:].tobytes()).digest() != content[8:40].tobytes():
        raise ValueError("damaged")
    return content[40:].view("<f4").reshape(rows, 2)


def _collapse(model: MappedModel) -> np.ndarray:
    """The table, float32 (rows, 2): each row's sum of products, and the same sum without the signs.

    The second is the size of the numbers that fastText rounds. For most rows of a trained model both are nearly equal.
    """
    weights = model.output.astype(np.float64)
    difference, sizes = weights[1] - weights[0], np.abs(weights).sum(0)
    rows = model.layout.input.rows
    table = np.empty((rows, 2), np.float32)
    for first in range(0, rows, _CHUNK):
        chunk = model.rows(first, min(_CHUNK, rows - first))
        products = np.abs(chunk) @ sizes
        if not products.max() < _LARGEST:
            raise ValueError("some of its weights are not finite, or too large")
        table[first : first + len(chunk)] = np.stack([chunk @ difference, products], 1)
    return table


def _model_file(rows: np.ndarray, output: np.ndarray) -> bytes:
    """A fastText model with two labels, without n-grams. Its words are w0, w1 and so on, one per row."""
    entries = [(f"w{i}", 0) for i in range(len(rows))] + [("__label__0", 1), ("__label__1", 1)]
    arguments = struct.pack("<14id", 793712314, 12, rows.shape[1], 5, 1, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4)
    dictionary = struct.pack("<3i2q", len(entries), len(rows), 2, len(entries), -1)
    dictionary += b"".join(word.encode() + struct.pack("<BqB", 0, 1, kind) for word, kind in entries)
    matrices = [struct.pack("<?2q", False, *m.shape) + m.astype("<f4").tobytes() for m in (rows, output)]
    return arguments + dictionary + b"".join(matrices)
