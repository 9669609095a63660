"""What a fastText model file says of itself, and whether all of it is there."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_MAGIC, _VERSIONS, _SUPERVISED, _LABEL = 793712314, (11, 12), 3, 1


def read_labels(path: Path) -> list[str]:
    """A classifier's labels, without loading its weights.

    fastText itself takes a file that was cut short: it loops for ever, or predicts from what happens to be in
    memory. So the file is walked through from its header to its last matrix, whose end has to be its own.

    Raises:
        ValueError: not a whole fastText classifier; the message says why.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != struct.pack("<i", _MAGIC):
            raise ValueError("it is no fastText model")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Walk(content).labels()


class _Walk:
    """One pass over the file, in the order in which fastText writes it."""

    def __init__(self, content: mmap.mmap):
        self.content = content
        self.position = 4

    def labels(self) -> list[str]:
        # the arguments: 12 int32 (the eighth is the kind of model) and a double
        version, *arguments = self.take("<13id")
        if version not in _VERSIONS:
            raise ValueError(f"its format has the version {version}, which is not known")
        if arguments[7] != _SUPERVISED:
            raise ValueError("it holds word vectors; a supervised model is needed")
        labels = self.dictionary()
        (quantised,) = self.take("<?")
        self.matrix(quantised)
        (output_quantised,) = self.take("<?")
        self.matrix(quantised and output_quantised)
        if self.position != len(self.content):
            raise ValueError(f"it has {len(self.content)} bytes where {self.position} were expected")
        return labels

    def take(self, form: str) -> tuple:
        start = self.position
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.content, start)

    def skip(self, size: int) -> None:
        if size < 0 or self.position + size > len(self.content):
            raise ValueError("it is cut short or damaged")
        self.position += size

    def dictionary(self) -> list[str]:
        """Entries (text, NUL, int64 count, int8 kind), then the kept n-grams of a pruned one."""
        entries, _, _, _, pruned = self.take("<3i2q")
        labels = []
        for _ in range(entries):
            start = self.position
            self.skip(self.content.find(b"\0", start) - start + 9)
            (kind,) = self.take("<b")
            if kind == _LABEL:
                labels.append(self.content[start : self.position - 10].decode("utf-8", "replace"))
        self.skip(8 * max(pruned, 0))
        return labels

    def matrix(self, quantised: bool) -> None:
        if not quantised:
            rows, columns = self.take("<2q")
            return self.skip(4 * rows * columns)
        with_norms, rows, _, codes = self.take("<?2qi")
        self.skip(codes)
        self.quantiser()
        if with_norms:
            self.skip(rows)
            self.quantiser()

    def quantiser(self) -> None:
        dimension, _, _, _ = self.take("<4i")
        self.skip(4 * 256 * dimension)
