"""From the entries of `base` and `risky` to files and hub data sets, and their lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Literal

from ..corpus.chunks import Chunk, cut
from ..corpus.inputs import find_sources
from ..corpus.lines import JsonLines
from ..corpus.sources import Source
from ..corpus.tables import SourceError, parquet_rows
from ..errors import few, os_problem
from ..packed import damage_of, mismatch, open_lines, suffix_of
from .config import Corpus, Mix, MixError

_SAMPLE = 1 << 22
"""Bytes of a compressed file that are read to estimate its size."""


@dataclass(frozen=True)
class Input:
    """One file, or one split of a hub data set, with its Dolma attributes.

    Attributes:
        role: which list of the YAML it is from.
        entry: the index in that list.
        name: its path below the entry's folder, or its own name.
        source: where the documents are.
        beside: files of Dolma attributes, line by line beside the documents.
    """

    role: Literal["base", "risky"]
    entry: int
    name: str
    source: Source
    beside: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What messages begin with."""
        return f"{self.role}[{self.entry}].path: {self.source.path}"

    def identity(self) -> list:
        """What a resumed run compares, as JSON values."""
        return [self.source.identity(), *(Source("", path, "json").identity() for path in self.beside)]

    def chunks(self, begin: dict | None = None) -> Iterator[Chunk]:
        """The lines in chunks; see `Source.chunks`. A line with attributes has these after line breaks."""
        if not self.beside:
            return self.source.chunks(begin)
        return cut(_Beside(self.source.path, self.beside, begin or {}))

    def extent(self) -> int | None:
        """The bytes of all lines, estimated for a compressed file, or the rows of a Parquet file. None for the hub."""
        if self.source.kind == "hub":
            return None
        if self.source.kind == "parquet":
            return parquet_rows(self.source.path)
        size = self.source.size or 0
        if not suffix_of(self.source.path):
            return size
        with open_lines(self.source.path) as stream:
            read = len(stream.read(_SAMPLE))
            packed = stream.raw.tell()
        return read if packed >= size else read * size // max(packed, 1)

    def done(self, end: dict | None) -> int:
        """How much of `extent` ends at a position (`Chunk.end`)."""
        place = (end or {}).get("documents", end) or {}
        return place.get("row" if self.source.kind == "parquet" else "byte", 0)


class _Beside:
    """Lines of documents with the lines of their attributes; see `chunks.Reader`."""

    def __init__(self, path: str, beside: Sequence[str], begin: dict):
        self._lines = JsonLines(path, begin.get("documents", {}))
        ends = begin.get("attributes", [{}] * len(beside))
        self._beside = [JsonLines(one, end) for one, end in zip(beside, ends)]

    @property
    def number(self) -> int:
        return self._lines.number

    def __iter__(self) -> Iterator[tuple[bytes | None, str | None]]:
        # kept: `position` asks their files after the last line, too
        self._others = [((line, why) for line, why in one if line is not None) for one in self._beside]
        for line, reason in self._lines:
            if line is None:
                yield None, None
                continue
            joined = [line.strip()]
            for other in self._others:
                found, why = next(other, (b"", "the file of attributes has no line for it"))
                joined.append((found or b"").strip())
                reason = reason or (why and f"attributes: {why}")
            yield b"" if reason else b"\n".join(joined), reason

    def position(self) -> tuple[dict, int]:
        end, read = self._lines.position()
        return {"documents": end, "attributes": [one.position()[0] for one in self._beside]}, read


def find_inputs(mix: Mix, output: Path) -> list[Input]:
    """All inputs: the risky ones first, then the base, each in the order of the YAML and of names.

    Raises:
        MixError: an entry names nothing, or a file is named twice.
    """
    found: list[Input] = []
    for role, entries in (("risky", mix.risky), ("base", mix.base)):
        for number, entry in enumerate(entries):
            try:
                found += _of_entry(role, number, entry, output)
            except SourceError as error:
                raise MixError(f"{role}[{number}].path: {error}") from None
    seen: dict[str, Input] = {}
    for one in found:
        source = one.source
        where = (
            f"{source.path} {source.subset} {source.split}" if source.kind == "hub" else os.path.realpath(source.path)
        )
        if (other := seen.setdefault(where, one)) is not one:
            raise MixError(
                f"{one.key}: is also in {other.role}[{other.entry}]; name each file once, since a risky document must "
                "not stand among base documents"
            )
    return found


def _of_entry(role, number: int, entry: Corpus, output: Path) -> list[Input]:
    folder = Path(entry.path).expanduser()
    documents = folder / "documents"
    attributes = getattr(entry, "attributes", None)
    if documents.is_dir():
        folder = documents
    elif attributes is not None:
        raise MixError(f"risky[{number}].path: {entry.path}: has no folder `documents`, which `attributes` needs")
    hub = entry.subset is not None or entry.split != "train"
    options = {"subset": entry.subset, "split": entry.split} if hub else {}
    if has_magic(entry.path) and not folder.exists():
        paths = sorted(glob(str(folder), recursive=True))
        if not paths:
            raise MixError(f"{role}[{number}].path: {entry.path}: no file has such a name; correct the pattern")
    else:
        paths = [str(folder) if folder.is_dir() else entry.path]
    inputs = []
    for path in paths:
        try:
            sources = find_sources([path], output, **options)
        except SourceError as error:
            # the messages of `slung label` name its options
            raise SourceError(str(error).replace("--subset, --split", "subset, split")) from None
        for source in sources:
            inside = Path(source.path).is_relative_to(folder) and folder.is_dir()
            name = str(Path(source.path).relative_to(folder)) if inside else Path(source.path).name
            beside = () if attributes is None else _beside(source, name, folder.parent, attributes, number)
            inputs.append(Input(role, number, name, source, beside))
    return inputs


def _beside(source: Source, name: str, folder: Path, attributes, number: int) -> tuple[str, ...]:
    """The files of attributes for a file of documents."""
    if source.kind != "json":
        raise MixError(f"risky[{number}].path: {source.path}: Dolma documents are JSON lines; convert this file")
    found = sorted(path for path in (folder / "attributes").glob(f"*/{_escaped(name)}") if path.is_file())
    if not found:
        raise MixError(
            f"risky[{number}].attributes: {folder / 'attributes'}: no folder in it has a file {name}; run the tagger on it"
        )
    wanted = [key for key in (attributes.score, attributes.document, attributes.language) if key is not None]
    used: dict[str, None] = {}
    for key in wanted:
        places = [(path, one) for path in found for one in matching(keys_in(path), key)]
        if len(places) != 1:
            what = "matches several attributes" if places else "no file of attributes has it"
            shown = f": {few(one for _, one in places)}" if places else ""
            raise MixError(f"risky[{number}].attributes: {key}: {source.path}: {what}{shown}; correct the key")
        used[str(places[0][0])] = None
    return tuple(used)


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def matching(keys: Sequence[str], wanted: str) -> list[str]:
    """The attributes' keys that a key of the YAML means: itself, or those that have it as a part between `__`."""
    return [wanted] if wanted in keys else [key for key in keys if f"__{wanted}__" in f"__{key}__"]


def keys_in(path: Path) -> list[str]:
    """The keys of the attributes in the first lines of a file."""
    import json

    keys: dict[str, None] = {}
    try:
        if wrong := mismatch(path):
            raise MixError(f"{path}: {wrong}")
        with open_lines(path) as lines:
            for _, line in zip(range(100), lines):
                record = json.loads(line) if line.strip() else {}
                keys.update(dict.fromkeys(record.get("attributes", {}) if isinstance(record, dict) else {}))
            damage = damage_of(lines)
    except OSError as error:
        raise MixError(os_problem(error, path)) from None
    except ValueError:
        raise MixError(f"{path}: is not JSON lines of attributes; give the output of a Dolma tagger") from None
    if damage and not keys:
        raise MixError(f"{path}: {damage}; replace it")
    return list(keys)
