"""What is done to every document: read, labeled, written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import zstandard

from ..config import SlungConfig
from ..labeling.base import Labeler, LabelerError
from ..labeling.build import build
from .sources import Bad, Chunk

FORMAT_VERSION = 1
"""Raise it when the output of the same job changes."""


class Labeled(NamedTuple):
    """A chunk's output.

    Attributes:
        content: the output's bytes, compressed as its name says.
        documents: how many documents are in it.
        bad: the lines or rows that are not.
    """

    content: bytes
    documents: int
    bad: list[Bad]


@dataclass
class Job:
    """One labeling of a corpus; pickled into the worker processes.

    Attributes:
        block: the labelers and how they cut sentences; its buckets play no part: scores are stored, not thresholds.
        text_field: the documents' text.
        id_field: the documents' id, which Dolma's attribute files need.
        form: `spans` for the documents with their spans, `dolma` for attribute files.
        spans_field: the column that the spans are written to.
    """

    block: SlungConfig
    text_field: str = "text"
    id_field: str = "id"
    form: Literal["spans", "dolma"] = "spans"
    spans_field: str = "spans"

    @cached_property
    def labelers(self) -> list[Labeler]:
        """Opened and checked.

        Raises:
            LabelerError: one of them cannot work.
        """
        return build(self.block)

    def identity(self) -> dict:
        """Everything that decides the output of a source, JSON-able; a resumed run has to have the same."""
        return {
            "version": FORMAT_VERSION,
            "labelers": {labeler.name: labeler.digest for labeler in self.labelers},
            "fields": [self.text_field, self.id_field, self.spans_field],
            "form": self.form,
        }

    def label(self, chunk: Chunk, name: str) -> Labeled:
        """Label a chunk of the source whose output is called `name`.

        What cannot be labeled is counted in `bad`, without its text, and the rest goes on.
        """
        documents, bad = [], list(chunk.bad)
        for number, content in enumerate(chunk.content, chunk.first):
            try:
                if (document := self._read(content, number)) is not None:
                    documents.append(document)
            except _BadLine as error:
                bad.append((number, str(error)))
        spans = self._spans(documents, bad)
        lines = [self._line(document, found) for document, found in zip(documents, spans) if found is not None]
        return Labeled(_packed(b"".join(lines), name), len(lines), sorted(bad))

    # in

    def _read(self, content, number) -> _Document | None:
        if isinstance(content, Mapping):
            row, raw = content, self._json(content)
        else:
            raw = content.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else content.strip()
            if not raw:
                return None
            row = _parsed(raw)
        if not isinstance(row, Mapping):
            raise _BadLine(f"{_json_type(row)} instead of an object")
        if self.text_field not in row:
            raise _BadLine(f"no {self.text_field!r} in it")
        if not isinstance(row[self.text_field], str):
            raise _BadLine(f"{self.text_field!r} is {_json_type(row[self.text_field])} instead of a string")
        if self.form == "spans" and self.spans_field in row and not self._reads(self.spans_field):
            raise _BadLine(f"it has a {self.spans_field!r} already; choose another --spans-field")
        if self.form == "dolma" and not isinstance(row.get(self.id_field), (str, int)):
            raise _BadLine(f"no {self.id_field!r} in it, which attribute files need")
        return _Document(number, row, raw)

    def _reads(self, field) -> bool:
        return any(getattr(labeler, "field", None) == field for labeler in self.labelers)

    def _json(self, row) -> bytes:
        try:
            return json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError):
            for column, value in row.items():
                try:
                    json.dumps(value, allow_nan=False)
                except (TypeError, ValueError):
                    reason = f"the column {column!r} holds a {type(value).__name__} that JSON has no form for"
                    raise _BadLine(f"{reason}; choose the others with --columns") from None
            raise

    # labels

    def spans(self, rows: Sequence[Mapping]) -> list[dict[str, list]]:
        """For each row the `[start, end, score]` found in its text, under each labeler's name.

        Raises:
            LabelerError: a row that cannot be labeled.
        """
        texts = [row[self.text_field] for row in rows]
        found: list[dict[str, list]] = [{labeler.name: [] for labeler in self.labelers} for _ in rows]
        for labeler in self.labelers:
            for of_row, spans in zip(found, labeler.annotate(texts, rows)):
                for start, end, score, name in spans:
                    of_row.setdefault(name, []).append([start, end, score])
        return found

    def _spans(self, documents, bad) -> list[dict[str, list] | None]:
        """The spans of each document, or None where a labeler refuses it."""
        try:
            return self.spans([document.row for document in documents])
        except Exception:
            found = []
            for document in documents:
                try:
                    found += self.spans([document.row])
                except Exception as error:
                    # another library's message may quote the text
                    reason = str(error) if isinstance(error, LabelerError) else type(error).__name__
                    bad.append((document.number, f"not labeled: {reason}"))
                    found.append(None)
            return found

    # out

    def _line(self, document, spans) -> bytes:
        """The document's line of output.

        A document is written as it was read, byte for byte, with the spans put in before the last brace.
        """
        if self.form == "dolma":
            attributes = {f"slung__{name}__score": of_name for name, of_name in spans.items()}
            line = {"id": document.row[self.id_field], "attributes": attributes}
            return json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if self.spans_field in document.row:
            row = {key: value for key, value in document.row.items() if key != self.spans_field}
            head = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")
        else:
            head = document.raw
        # a string: Arrow's JSON reader gives a column of lists another type for as long as all are empty, and stops
        # with an error where the first one is not
        written = json.dumps({self.spans_field: json.dumps(spans, separators=(",", ":"))})
        return head[:-1].rstrip() + b", " + written[1:].encode() + b"\n"


class _BadLine(ValueError):
    """A line that is no document, and why, without its text."""


class _Document(NamedTuple):
    number: int
    row: Mapping
    raw: bytes


def _parsed(raw: bytes):
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _BadLine(f"no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _BadLine(f"no JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    except _BadLine:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise _BadLine(f"no JSON: {type(error).__name__}") from None


def _no_constant(name):
    raise _BadLine(f"no JSON: {name}")


def _json_type(value) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _packed(content: bytes, name: str) -> bytes:
    """A chunk as a gzip member or zstd frame of its own, so that a file can be cut after any of them."""
    if not content or not name.endswith((".gz", ".zst")):
        return content
    if name.endswith(".gz"):
        return gzip.compress(content, 6, mtime=0)
    return zstandard.ZstdCompressor(level=3).compress(content)
