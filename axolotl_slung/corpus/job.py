"""What happens to each document: it is read, labeled and written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import zstandard

from ..config import SlungConfig
from ..errors import SlungError
from ..labeling.base import Labeler
from ..labeling.build import build
from .sources import Bad, Chunk

FORMAT_VERSION = 1
"""Increase it when the output of the same job changes."""


class Labeled(NamedTuple):
    """The output of a chunk.

    Attributes:
        content: the output's bytes, compressed according to its name.
        documents: number of documents in it.
        bad: lines or rows that could not be labeled.
        seconds: how long one process took.
    """

    content: bytes
    documents: int
    bad: list[Bad]
    seconds: float = 0.0


@dataclass
class Job:
    """How to label a corpus. The worker processes get it pickled.

    Attributes:
        block: the labelers and the sentence splitter. Its buckets are not used: files contain scores, not thresholds.
        text_field: the column of text.
        id_field: the column of ids, which Dolma's attribute files need.
        form: `spans` to write documents with their spans, `dolma` to write attribute files.
        spans_field: the column to write spans to.
    """

    block: SlungConfig
    text_field: str = "text"
    id_field: str = "id"
    form: Literal["spans", "dolma"] = "spans"
    spans_field: str = "spans"

    @cached_property
    def labelers(self) -> list[Labeler]:
        """The block's labelers, opened and checked on first use.

        Raises:
            SlungError: a labeler cannot work.
        """
        return build(self.block)

    def open_labelers(self) -> list[Labeler]:
        """Open and check the labelers now; see `labelers`."""
        return self.labelers

    def identity(self) -> dict:
        """Everything that decides a source's output, as JSON values. A resumed run must have the same."""
        return {
            "version": FORMAT_VERSION,
            "labelers": {labeler.name: labeler.digest for labeler in self.labelers},
            "fields": [self.text_field, self.id_field, self.spans_field],
            "form": self.form,
        }

    def label(self, chunk: Chunk, name: str) -> Labeled:
        """Label a chunk of the source with the output `name`.

        Documents that cannot be labeled are listed in `bad`, without their text. All others are labeled.
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

    # ---- reading

    def _read(self, content, number) -> _Document | None:
        if isinstance(content, Mapping):
            row, raw = content, self._json(content)
        else:
            raw = content.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else content.strip()
            if not raw:
                return None
            row = _parsed(raw)
        if not isinstance(row, Mapping):
            raise _BadLine(f"expected an object, got {_json_type(row)}")
        if self.text_field not in row:
            raise _BadLine(f"no column {self.text_field!r}")
        if not isinstance(row[self.text_field], str):
            raise _BadLine(f"{self.text_field!r}: expected a string, got {_json_type(row[self.text_field])}")
        if self.form == "spans" and self.spans_field in row and not self._reads(self.spans_field):
            raise _BadLine(f"{self.spans_field!r}: already in the document; choose another --spans-field")
        if self.form == "dolma" and not isinstance(row.get(self.id_field), (str, int)):
            raise _BadLine(f"no column {self.id_field!r}, which attribute files need; choose another --id-field")
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
                    reason = f"{column!r}: JSON cannot hold its {type(value).__name__}"
                    raise _BadLine(f"{reason}; choose other columns with --columns") from None
            raise

    # ---- labeling

    def spans(self, rows: Sequence[Mapping]) -> list[dict[str, list]]:
        """For each row, a mapping from labeler name to the `[start, end, score]` found in its text.

        Raises:
            SlungError: a row cannot be labeled.
        """
        texts = [row[self.text_field] for row in rows]
        found: list[dict[str, list]] = [{labeler.name: [] for labeler in self.labelers} for _ in rows]
        for labeler in self.labelers:
            for of_row, spans in zip(found, labeler.annotate(texts, rows)):
                for start, end, score, name in spans:
                    of_row.setdefault(name, []).append([start, end, score])
        return found

    def _spans(self, documents, bad) -> list[dict[str, list] | None]:
        """The spans of each document; None for a document that a labeler rejects."""
        try:
            return self.spans([document.row for document in documents])
        except Exception:
            found = []
            for document in documents:
                try:
                    found += self.spans([document.row])
                except Exception as error:
                    # a message from another library could quote the text
                    reason = str(error) if isinstance(error, SlungError) else type(error).__name__
                    bad.append((document.number, f"not labeled: {reason}"))
                    found.append(None)
            return found

    # ---- writing

    def _line(self, document, spans) -> bytes:
        """The document's line of output.

        The document's bytes are not changed. The spans are inserted before its last brace.
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
        # A JSON string, not a list. Arrow's JSON reader types a column of empty lists differently, and fails at the
        # first list that is not empty.
        written = json.dumps({self.spans_field: json.dumps(spans, separators=(",", ":"))})
        return head[:-1].rstrip() + b", " + written[1:].encode() + b"\n"


class _BadLine(ValueError):
    """A line is not a document. The message says why, without the line's text."""


class _Document(NamedTuple):
    number: int
    row: Mapping
    raw: bytes


def _parsed(raw: bytes):
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _BadLine(f"not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _BadLine(f"not valid JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    except _BadLine:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise _BadLine(f"not valid JSON: {type(error).__name__}") from None


def _no_constant(name):
    raise _BadLine(f"not valid JSON: {name}")


def _json_type(value) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _packed(content: bytes, name: str) -> bytes:
    """Compress a chunk as one gzip member or zstd frame, so that a file can be cut after each chunk."""
    if not content or not name.endswith((".gz", ".zst")):
        return content
    if name.endswith(".gz"):
        return gzip.compress(content, 6, mtime=0)
    return zstandard.ZstdCompressor(level=3).compress(content)
