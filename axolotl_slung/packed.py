"""Compressed files as one stream of bytes, and what a file's first bytes say that it is."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

_BLOCK = 1 << 11
"""Compressed bytes that are decompressed at once. A zstd block of 4 bytes can become 128 kB."""
_PIECE = 1 << 20
"""Decompressed bytes of bzip2 and xz at once."""


class Packing(NamedTuple):
    """A compressed format.

    Attributes:
        name: what messages call it.
        magic: the bytes that a file of it begins with; one of these.
        new: makes a decompressor of one member (gzip, bzip2, xz) or frame (zstd).
        pad: bytes that may stand between members.
    """

    name: str
    magic: tuple[bytes, ...]
    new: Callable[[], Any]
    pad: bytes = b""


def _zstd():
    # the default limit of 128 MiB refuses what `zstd --long=28` to `--long=31` write
    return zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()


# the others are skippable frames, with which pzstd and the seekable format begin
_ZSTD = Packing("zstd", (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60))), _zstd)
PACKINGS = {
    ".gz": Packing("gzip", (b"\x1f\x8b",), lambda: zlib.decompressobj(31), b"\0"),
    ".zst": _ZSTD,
    ".zstd": _ZSTD,
    ".bz2": Packing("bzip2", (b"BZh",), bz2.BZ2Decompressor),
    ".xz": Packing("xz", (b"\xfd7zXZ\0",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), b"\0"),
}
"""Keys are suffixes of names, in lower case."""

_OTHERS = {
    b"PAR1": ("Parquet", "rename it so that its name ends in .parquet"),
    b"ARROW1": ("an Arrow file", "convert it to Parquet or JSON lines"),
    b"PK\x03\x04": ("a ZIP archive", "unpack it"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"\x04\x22\x4d\x18": ("lz4", "unpack it"),
    b"SQLite format 3\0": ("SQLite", "convert it to JSON lines"),
    b"\xff\xfe": ("UTF-16 or UTF-32 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 or UTF-32 text", "save it as UTF-8"),
    b"\0\0\xfe\xff": ("UTF-16 or UTF-32 text", "save it as UTF-8"),
}
_HEAD = 512


def suffix_of(name: str | Path) -> str:
    """The suffix of a compressed file's name, in lower case; empty for other files."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in PACKINGS else ""


def mismatch(path: str | Path) -> str | None:
    """What is wrong with a file of lines whose content is not what its name says, and what to do; None if it fits.

    Raises:
        OSError: the file cannot be read.
    """
    suffix = suffix_of(path)
    with open(path, "rb") as raw:
        head = raw.read(_HEAD)
        if not suffix:
            return _misnamed("expected lines of text, but its content is", head)
        packing = PACKINGS[suffix]
        # a file may be cut within these bytes: that is damage, not another format
        if not any(head.startswith(magic) or magic.startswith(head) for magic in packing.magic):
            found = _misnamed(f"its name ends in {suffix}, but its content is", head)
            return found or f"its name ends in {suffix}, but its content is not {packing.name}; rename or replace it"
        raw.seek(0)
        return _misnamed(f"inside its {packing.name} it is", io.BufferedReader(Unpacked(raw, packing)).read(_HEAD))


def _misnamed(what: str, head: bytes) -> str | None:
    """A message for content that is known not to be lines of UTF-8."""
    for suffix, packing in reversed(PACKINGS.items()):
        if head.startswith(packing.magic):
            return f"{what} {packing.name}; rename it so that its name ends in {suffix}"
    if head[257:262] == b"ustar":
        return f"{what} a tar archive; unpack it"
    return next((f"{what} {name}; {do}" for magic, (name, do) in _OTHERS.items() if head.startswith(magic)), None)


def open_lines(path: str | Path) -> io.BufferedReader:
    """A file as a stream of decompressed bytes. The stream ends where damaged data begins; see `damage_of`.

    Raises:
        OSError: the file cannot be read.
    """
    suffix = suffix_of(path)
    raw = Unpacked(open(path, "rb"), PACKINGS[suffix]) if suffix else io.FileIO(path)  # noqa: SIM115 - the stream's
    return io.BufferedReader(raw, 1 << 18)


def damage_of(stream: io.BufferedReader) -> str | None:
    """What is wrong with the file beyond the end of its stream, or None. Known once the stream has been read."""
    return getattr(stream.raw, "damage", None)


class Unpacked(io.RawIOBase):
    """A file of gzip members, zstd frames or the like as one stream.

    Unlike the libraries' own readers, it returns everything before damaged data, and it detects a missing end. In both
    cases `damage` says what is wrong.
    """

    def __init__(self, raw, packing: Packing):
        self._raw, self._packing = raw, packing
        self._packed: Any = None
        self._rest, self._ready = b"", memoryview(b"")
        self.damage: str | None = None

    def readable(self):
        return True

    def tell(self):
        """The position in the compressed file."""
        return self._raw.tell()

    def close(self):
        self._raw.close()
        super().close()

    def readinto(self, buffer):
        while not len(self._ready) and not self.damage:
            if not self._rest and not self._waits():
                self._rest = self._raw.read(_BLOCK)
                if not self._rest:
                    if self._packed is not None and not self._packed.eof:
                        self.damage = "its end is missing"
                    break
            self._ready = memoryview(self._unpack())
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _waits(self) -> bool:
        """Whether the decompressor has more output without more input."""
        return self._packed is not None and not self._packed.eof and not getattr(self._packed, "needs_input", True)

    def _unpack(self) -> bytes:
        if self._packed is None or self._packed.eof:
            self._rest = self._rest.lstrip(self._packing.pad) if self._packing.pad else self._rest
            if not self._rest:
                return b""
            self._packed = self._packing.new()
        try:
            if hasattr(self._packed, "needs_input"):  # bzip2 and xz: one block can become megabytes
                piece = self._packed.decompress(self._rest, _PIECE)
            else:
                piece = self._packed.decompress(self._rest)
        except (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError):
            self.damage = "it is damaged"
            return b""
        self._rest = self._packed.unused_data if self._packed.eof else b""
        return piece
