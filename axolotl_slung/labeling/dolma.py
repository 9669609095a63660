"""Reads spans from Dolma attribute files."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import zstandard

from ..errors import few
from .base import Labeler, LabelerError, Span
from .spans import describe_row, parse_spans

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst")


class DolmaLabeler(Labeler):
    """The output of a Dolma tagger, one document per line:

        {"id": ..., "attributes": {key: [[start, end, score], ...]}}

    Rows and lines are matched by id. A line without the attribute means a document without spans. The rows of a
    batch must have the files' order, as in the data set that Dolma wrote. Another order suggests another data set
    with similar ids.

    All spans of the attribute stay in memory, about 25 bytes per span and 300 bytes per document.

    Args:
        key: the labeler's place in the YAML.
        path: one file, or a folder of such files (`SUFFIXES`). The folder is searched recursively, in order of names.
        attribute: the attribute's key, or a whole part of it between `__`: `jigsaw_hatespeech_sentence_v2` finds
            `exp__jigsaw_hatespeech_sentence_v2____label__toxic`.
        id_field: the rows' id column.
        text_field: the rows' text column; None for the data set's only one.
    """

    scope = "document"
    reads_row = True
    lazy = ("_documents",)

    def __init__(self, key: str, path: str, attribute: str, id_field: str = "id", text_field: str | None = None):
        super().__init__(key)
        self.path = Path(path).expanduser()
        self.attribute = attribute
        self.id_field = id_field
        self.text_field = text_field
        self._documents = None

    def check(self) -> None:
        """Read the files."""
        self.documents  # noqa: B018

    def files(self) -> list[Path]:
        if self.path.is_dir():
            return sorted(path for path in self.path.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
        return [self.path]

    @property
    def documents(self) -> dict[str, tuple[int, bytes]]:
        """Maps each document's id to its place in the files and its spans as JSON. Read on first use."""
        if self._documents is None:
            self._documents = self._read()
        return self._documents

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """The documents' spans; see `Labeler.label`."""
        labeled, last = [], -1
        for index, (text, row) in enumerate(zip(texts, rows)):
            if row.get(self.id_field) is None:
                raise LabelerError(
                    f"{self.key}.id_field: row {index} of the batch: has no {self.id_field!r}; choose one of {few(row)}"
                )
            where = f"{self.key}.path: {describe_row(index, row, self.id_field)}"
            if (found := self.documents.get(str(row[self.id_field]))) is None:
                raise LabelerError(f"{where}: is not in {self.path}; run the tagger on these documents too")
            place, spans = found
            if place <= last:
                raise LabelerError(
                    f"{where}: is not in the order of {self.path}; do not shuffle or shard before labeling: "
                    "Dolma attribute files have the order of their documents"
                )
            last = place
            labeled.append(parse_spans(json.loads(spans), text, f"{where}, in {self.path}"))
        return labeled

    def _read(self) -> dict[str, tuple[int, bytes]]:
        files = self.files()
        if not files:
            raise LabelerError(
                f"{self.key}.path: {self.path}: has no files with the endings {', '.join(SUFFIXES)}; check the path"
            )
        documents: dict[str, tuple[int, bytes]] = {}
        seen: dict[str, None] = {}  # the attributes' keys, in order
        hits = 0
        for where, record in (line for file in files for line in self._lines(file)):
            attributes = record.get("attributes") if isinstance(record, dict) else None
            if not isinstance(attributes, dict) or record.get("id") is None:
                raise LabelerError(
                    f'{where}: expected {{"id": ..., "attributes": {{...}}}}; give the output of a Dolma tagger'
                )
            identity = str(record["id"])
            if identity in documents:
                raise LabelerError(f"{where}: its id is in the files twice; ids must be unique")
            seen.update(dict.fromkeys(attributes))
            keys = self._matching(attributes)
            if len(keys) > 1:
                raise LabelerError(
                    f"{self.key}.attribute: {self.attribute!r}: matches several; choose one of {few(keys)}"
                )
            hits += len(keys)
            spans = attributes[keys[0]] if keys else []
            documents[identity] = (len(documents), json.dumps(spans, separators=(",", ":")).encode())
        if not hits:
            raise LabelerError(
                f"{self.key}.attribute: {self.attribute!r}: is not in {self.path}; available: {few(seen)}"
            )
        return documents

    def _matching(self, attributes: Mapping) -> list[str]:
        if self.attribute in attributes:
            return [self.attribute]
        return [key for key in attributes if f"__{self.attribute}__" in f"__{key}__"]

    def _lines(self, path: Path) -> Iterator[tuple[str, dict]]:
        """Each line's JSON, with the prefix for errors about it."""
        where = f"{self.key}.path: {path}"
        number = 0
        try:
            with _open(path) as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{where}, line {number}", json.loads(line)
        except (OSError, ValueError, EOFError, zlib.error, zstandard.ZstdError) as error:
            # other messages may quote the file
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise LabelerError(f"{where}: cannot be read after line {number}: {reason}") from None


def _open(path: Path):
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    if path.suffix == ".zst":
        # zstandard.open silently stops after the first of several frames
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True)
        return io.TextIOWrapper(reader, encoding="utf-8")
    return path.open(encoding="utf-8")
