"""Reads the header and the layout of a fastText model file, and checks that the file is complete."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MAGIC, _VERSIONS, _SUPERVISED, _SOFTMAX, _LABEL = 793712314, (11, 12), 3, 3, 1
_TREE, _LOSSES = 1, (1, 2, 3, 4)
"""Hierarchical softmax, negative sampling, softmax, one against all."""

_LONGEST_NGRAM = 64
"""Memory and time grow with the longest n-gram of words or characters. Trained models have less than ten."""

_MOST_OCCURRENCES = 1 << 40
"""fastText builds a tree from the labels' counts, and adds them up. With larger counts the sums could overflow."""


class Matrix(NamedTuple):
    """A matrix in the file: little-endian float32, row by row, or quantized."""

    start: int
    """The offset of its first number, in bytes from the beginning of the file."""
    rows: int
    columns: int
    quantized: bool


class Layout(NamedTuple):
    """A classifier's arguments, and the places of its dictionary and its matrices in the file."""

    labels: list[str]
    loss: int
    dim: int
    ngrams: int
    """The longest word n-gram."""
    bucket: int
    minn: int
    maxn: int
    words: int
    places: np.ndarray
    """int64 (entries, 3): the offset of an entry's text, its length in bytes, and its kind (0: word, 1: label)."""
    pruned: bool
    input: Matrix
    output: Matrix

    @property
    def collapsible(self) -> bool:
        """Whether it is a softmax over two labels with plain matrices, which `collapsed.Collapsed` can score."""
        return (
            self.loss == _SOFTMAX
            and len(set(self.labels)) == len(self.labels) == 2
            and "</s>" not in self.labels
            and not (self.pruned or self.input.quantized or self.output.quantized)
        )


def read_layout(path: Path) -> Layout:
    """Read the layout of a classifier's file, without loading its weights.

    fastText itself accepts a truncated or damaged file: it crashes, loops forever, or predicts from arbitrary memory.
    This function therefore reads from the header to the last matrix, which must end at the end of the file. It checks
    every number that fastText or the kernels of this package use as a size, a divisor or an index.

    Raises:
        ValueError: not a complete fastText classifier. The message says why.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != struct.pack("<i", _MAGIC):
            raise ValueError("it is not a fastText model")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Walk(content).layout()


class _Walk:
    """One pass over the file, in the order in which fastText writes it."""

    def __init__(self, content: mmap.mmap):
        self.content = content
        self.position = 4

    def layout(self) -> Layout:
        # the arguments: 12 int32 and a double
        version, dim, _, _, _, _, ngrams, loss, model, bucket, minn, maxn, _, _ = self.take("<13id")
        if version not in _VERSIONS:
            raise ValueError(f"its format has the unknown version {version}")
        if model != _SUPERVISED:
            raise ValueError("expected a supervised model, got word vectors")
        maxn = maxn if version > 11 else 0  # as in fastText: old classifiers have no character n-grams
        hashed = ngrams > 1 or maxn > 0
        _expect("loss", loss, loss in _LOSSES)
        _expect("dim", dim, dim > 0)
        _expect("wordNgrams", ngrams, 0 <= ngrams <= _LONGEST_NGRAM)
        _expect("minn", minn, minn >= 0)
        _expect("maxn", maxn, 0 <= maxn <= _LONGEST_NGRAM)
        _expect("bucket", bucket, bucket >= hashed)
        words, kept, places = self.dictionary(least=int(loss == _TREE))
        quantized = self.flag()
        input = self.matrix(quantized, dim)
        output_quantized = self.flag()
        output = self.matrix(quantized and output_quantized, dim)
        if self.position != len(self.content):
            raise ValueError(f"expected {self.position} bytes, got {len(self.content)}")
        if kept is None:
            _expect("rows of the input matrix", input.rows, input.rows == words + bucket)
        else:
            _expect("rows of the input matrix", input.rows, input.rows > words + int(kept.max(initial=-1)))
        _expect("rows of the output matrix", output.rows, output.rows == len(places) - words)
        if kept is not None and not quantized:
            raise ValueError("its dictionary is pruned, but its input matrix is not quantized")
        texts = [self.content[start : start + size] for start, size, kind in places.tolist() if kind == _LABEL]
        return Layout(
            [text.decode("utf-8", "replace") for text in texts],
            loss,
            dim,
            ngrams,
            bucket,
            minn,
            maxn,
            words,
            places,
            kept is not None,
            input,
            output,
        )

    def take(self, form: str) -> tuple:
        start = self.position
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.content, start)

    def skip(self, size: int) -> None:
        if size < 0 or self.position + size > len(self.content):
            raise ValueError("it is truncated or damaged")
        self.position += size

    def flag(self) -> bool:
        (byte,) = self.take("<B")
        _expect("a flag", byte, byte <= 1)
        return byte == 1

    def dictionary(self, least: int) -> tuple[int, np.ndarray | None, np.ndarray]:
        """Entries (text, NUL, int64 count, int8 kind), then the n-grams that a pruned dictionary keeps.

        Args:
            least: the least count that a label may have.

        Returns:
            The number of words; int32 (n-grams,), the rows of the n-grams that are kept, counted from the words on, or
            None if all are; and `Layout.places`.
        """
        entries, words, labels, _, pruned = self.take("<3i2q")
        _expect("words", words, words >= 0)
        _expect("labels", labels, labels > 0)
        _expect("entries", entries, entries == words + labels)
        _expect("pruned n-grams", pruned, pruned >= -1)
        places = []
        for index in range(entries):
            start = self.position
            size = self.content.find(b"\0", start) - start
            self.skip(size + 1 if size >= 0 else -1)
            count, kind = self.take("<qb")
            _expect("the kind of an entry", kind, kind == (_LABEL if index >= words else 0))
            _expect("the count of an entry", count, (least if kind else 0) <= count < _MOST_OCCURRENCES)
            places.append((start, size, kind))
        start = self.position
        self.skip(8 * max(pruned, 0))
        kept = None
        if pruned >= 0:
            kept = np.frombuffer(self.content[start : self.position], "<i4").reshape(-1, 2)[:, 1]
            _expect("a pruned n-gram", int(kept.min(initial=0)), kept.min(initial=0) >= 0)
        return words, kept, np.array(places, np.int64).reshape(-1, 3)

    def matrix(self, quantized: bool, dim: int) -> Matrix:
        with_norms = self.flag() if quantized else False
        rows, columns = self.take("<2q")
        _expect("rows", rows, rows >= 0)
        _expect("columns", columns, columns == dim)
        if not quantized:
            start = self.position
            self.skip(4 * rows * columns)
            return Matrix(start, rows, columns, False)
        (codes,) = self.take("<i")
        start = self.position
        self.skip(codes)
        parts = self.quantizer(dim)
        _expect("codes", codes, codes == rows * parts)
        if with_norms:
            self.skip(rows)
            self.quantizer(1)
        return Matrix(start, rows, columns, True)

    def quantizer(self, dim: int) -> int:
        """The number of codes of a vector with `dim` numbers."""
        dimension, parts, size, last = self.take("<4i")
        _expect("dimension of a quantizer", dimension, dimension == dim)
        _expect("size of a code", size, 0 < size <= dim)
        _expect("parts of a quantizer", parts, parts == -(-dim // size))
        _expect("size of the last code", last, last == dim - (parts - 1) * size)
        self.skip(4 * 256 * dimension)
        return parts


def _expect(name: str, value: int, holds: bool | np.bool_) -> None:
    if not holds:
        raise ValueError(f"it is damaged: {name}: {value} cannot be right")
