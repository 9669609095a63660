"""Reads the header and the layout of a fastText model file, and checks that the file is complete."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MAGIC, _VERSIONS, _SUPERVISED, _SOFTMAX, _LABEL = 793712314, (11, 12), 3, 3, 1


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
        kinds = self.places[:, 2]
        hashed = self.ngrams > 1 or self.maxn > 0
        return (
            self.loss == _SOFTMAX
            and len(set(self.labels)) == len(self.labels) == 2
            and "</s>" not in self.labels
            and not (self.pruned or self.input.quantized or self.output.quantized)
            and kinds.size == self.words + 2
            and not kinds[: self.words].any()
            and (kinds[self.words :] == _LABEL).all()
            and self.input[1:3] == (self.words + self.bucket, self.dim)
            and self.output[1:3] == (2, self.dim)
            and (self.bucket > 0 or (self.bucket == 0 and not hashed))
        )


def read_layout(path: Path) -> Layout:
    """Read the layout of a classifier's file, without loading its weights.

    fastText itself accepts a truncated file: it loops forever, or predicts from arbitrary memory. This function
    therefore reads from the header to the last matrix. That matrix must end at the end of the file.

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
        words, pruned, places = self.dictionary()
        (quantized,) = self.take("<?")
        input = self.matrix(quantized)
        (output_quantized,) = self.take("<?")
        output = self.matrix(quantized and output_quantized)
        if self.position != len(self.content):
            raise ValueError(f"expected {self.position} bytes, got {len(self.content)}")
        texts = [self.content[start : start + size] for start, size, kind in places.tolist() if kind == _LABEL]
        return Layout(
            [text.decode("utf-8", "replace") for text in texts],
            loss,
            dim,
            ngrams,
            bucket,
            minn,
            maxn if version > 11 else 0,  # as in fastText: old classifiers have no character n-grams
            words,
            places,
            pruned,
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

    def dictionary(self) -> tuple[int, bool, np.ndarray]:
        """Entries (text, NUL, int64 count, int8 kind), then the n-grams that a pruned dictionary keeps."""
        entries, words, _, _, pruned = self.take("<3i2q")
        places = []
        for _ in range(entries):
            start = self.position
            size = self.content.find(b"\0", start) - start
            self.skip(size + 10 if size >= 0 else -1)
            places.append((start, size, self.content[self.position - 1]))
        self.skip(8 * max(pruned, 0))
        return words, pruned >= 0, np.array(places, np.int64).reshape(-1, 3)

    def matrix(self, quantized: bool) -> Matrix:
        if not quantized:
            rows, columns = self.take("<2q")
            start = self.position
            self.skip(4 * rows * columns)
            return Matrix(start, rows, columns, False)
        with_norms, rows, columns, codes = self.take("<?2qi")
        start = self.position
        self.skip(codes)
        self.quantiser()
        if with_norms:
            self.skip(rows)
            self.quantiser()
        return Matrix(start, rows, columns, True)

    def quantiser(self) -> None:
        dimension, _, _, _ = self.take("<4i")
        self.skip(4 * 256 * dimension)
