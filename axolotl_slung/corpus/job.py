"""What happens to each document: it is read, labeled and written."""

from __future__ import annotations

import gzip
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import zstandard

from ..config import SlungConfig
from ..errors import SlungError, few, kind_of
from ..labeling.base import Labeler, LabelerError, RowError, Span
from ..labeling.build import build
from ..labeling.dolma import is_id
from ..labeling.rows.fields import Layout, get, path_of, surroundings, texts_of_chat
from ..labeling.rows.fields import Path as FieldPath
from ..labeling.rows.found import Found, found_in_columns, found_in_fields
from ..labeling.rows.written import columns_of, entry, with_columns
from ..labeling.scores import Cuts
from ..labeling.spans import SpansLabeler
from . import found as summary
from .chunks import Bad, Chunk
from .documents import BadLine, read
from .tables import SourceError
from .tally import Counts, Tally

FORMAT_VERSION = 3
"""Increase it when the output of the same job changes, or the form of its journals."""


Order = Mapping[str, tuple[int, int]]


class JobError(SlungError):
    """A labeler cannot label a part of a source. The message names the lines and the labeler."""


class Labeled(NamedTuple):
    """The output of a chunk.

    Attributes:
        content: the output's bytes, compressed according to its name.
        documents: number of documents in it.
        bad: lines or rows that could not be labeled.
        found: what the labelers found in the documents.
        tally: what the block's buckets would do to the documents' characters, as `Tally.to_json`.
        order: the first and last place of the documents in the files of each labeler that reads files in order.
        seconds: how long one process took.
    """

    content: bytes
    documents: int
    bad: list[Bad]
    found: summary.Found
    tally: Counts
    order: Order
    seconds: float = 0.0


@dataclass
class Job:
    """How to label a corpus. The worker processes get it pickled.

    Attributes:
        block: the labelers and the sentence splitter. Its buckets are not used: files contain scores, not thresholds.
        text_field: the column of text, or `a.b` for a text in a mapping. In chats, the key of a message's text.
        id_field: the column of ids, which Dolma's attribute files need.
        form: `spans` to write documents with their spans, `dolma` to write attribute files.
        spans_field: the column to write spans to. In chats, a key of each message and a column.
        messages_field: the column of a chat's messages; None if documents are not chats.
        recorded: the cuts that were recorded beside sources that are labeled files, by the names in their columns.
    """

    block: SlungConfig
    text_field: str = "text"
    id_field: str = "id"
    form: Literal["spans", "dolma"] = "spans"
    spans_field: str = "spans"
    messages_field: str | None = None
    recorded: Mapping[str, Cuts] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The layout of the rows."""
        return Layout() if self.messages_field is None else Layout(self.messages_field, tools="tools")

    @property
    def own_text(self) -> str:
        """The column of text, or the key of each message's text."""
        return self.text_field

    @cached_property
    def labelers(self) -> list[Labeler]:
        """The block's labelers, opened and checked on first use.

        Raises:
            SlungError: a labeler cannot work.
        """
        return build(self.block, scaled=False)  # files contain the scores as they are

    @property
    def opened(self) -> list[Labeler]:
        """The labelers if they are open already; otherwise empty."""
        return vars(self).get("labelers", [])

    def open_labelers(self) -> list[Labeler]:
        """Open and check the labelers now; see `labelers`."""
        return self.labelers

    def identity(self) -> dict:
        """Everything that decides a source's output, as JSON values. A resumed run must have the same."""
        return {**self.settings(), "labelers": {labeler.name: labeler.digest for labeler in self.labelers}}

    def settings(self) -> dict:
        """The part of `identity` that needs no labelers."""
        return {
            "version": FORMAT_VERSION,
            "fields": [self.text_field, self.id_field, self.spans_field, self.messages_field],
            "form": self.form,
        }

    def check_columns(self, columns: Mapping[str, str], path: str) -> None:
        """Check what a source's schema tells before its first row is read.

        Args:
            columns: `Source.check` of the source.
            path: its path.

        Raises:
            SourceError: no document of the source could be labeled.
        """
        if self.messages_field is not None:
            if self.messages_field not in columns:
                raise SourceError(
                    f"--messages-field: {path}: no column {self.messages_field!r}; choose from {few(columns)}"
                )
        elif self.text_field not in columns:
            # `a.b` is a text in the mapping `a`
            if self.text_field.split(".")[0] not in columns:
                raise SourceError(f"--text-field: {path}: no column {self.text_field!r}; choose from {few(columns)}")
        elif (kind := columns[self.text_field]) != "a string":
            raise SourceError(
                f"--text-field: {path}: {self.text_field!r}: expected a string, got {kind}; choose another column, or "
                "convert this one"
            )
        if self.form == "dolma" and self.id_field not in columns:
            raise SourceError(f"--id-field: {path}: no column {self.id_field!r}; choose from {few(columns)}")

    def label(self, chunk: Chunk, name: str) -> Labeled:
        """Label a chunk of the source with the output `name`.

        Documents that cannot be labeled are listed in `bad`, without their text. All others are labeled.

        Raises:
            JobError: a labeler cannot label the chunk as a whole.
        """
        documents, bad = [], list(chunk.bad)
        for number, content in enumerate(chunk.content, chunk.first):
            try:
                if (document := read(content, number)) is not None:
                    documents.append(document)
            except BadLine as error:
                bad.append((number, str(error)))
        problems = {n: what for n, one in enumerate(documents) if (what := self.problem(one.row)) is not None}
        good = [number for number in range(len(documents)) if number not in problems]
        columns = dict(zip(good, self._columns([documents[number] for number in good], bad, name)))
        bad += [(documents[number].number, what) for number, what in problems.items()]
        lines = [self._line(document, columns.get(number)) for number, document in enumerate(documents)]
        labeled = {number: of_row for number, of_row in columns.items() if of_row is not None}
        found = summary.found_in([summary.by_labeler(of_row.values()) for of_row in labeled.values()], self.labelers)
        orders = {labeler.name: labeler.take_order() for labeler in self.labelers}
        order = {name: of_name for name, of_name in orders.items() if of_name is not None}
        tally = self.tally()
        for number, of_row in labeled.items():
            for length, spans in self._texts(documents[number].row, of_row):
                tally.add(length, spans)
        content = _packed(b"".join(lines), name)
        return Labeled(content, len(labeled), sorted(bad), found, tally.to_json(), order)

    @property
    def cuts(self) -> dict[str, Cuts]:
        """The known cuts of each name that spans can have."""
        return {**self.recorded, **self.block.cuts_by_name()}

    def tally(self) -> Tally:
        """An empty tally."""
        return Tally(self.block.with_recorded(self.recorded), self.cuts)

    def _texts(self, row: Mapping, columns: Mapping[FieldPath, Mapping]) -> Iterator[tuple[int, list[Span]]]:
        """The length of each text of a document, and its spans."""
        opened = self.layout.opened(row)
        for path, column in columns.items():
            place = path_of(opened, self.own_text) if not path else (*path, self.own_text)
            try:
                text = None if place is None else get(opened, place)
            except (LookupError, TypeError):
                text = None
            yield _with_spans(text, {name: spans for name, spans in column.items() if isinstance(spans, list)})
            for others in column.values():
                if isinstance(others, Mapping):
                    yield _with_spans(None, others)

    # ---- checking

    def problem(self, row: Mapping) -> str | None:
        """Why a row cannot be labeled or written, or None."""
        if self.form == "dolma" and not is_id(row.get(self.id_field)):
            if self.id_field not in row:
                return f"no column {self.id_field!r}, which attribute files need; choose another --id-field"
            what = "a number that is not an integer" if isinstance(row[self.id_field], float) else None
            return f"{self.id_field!r}: expected a string or an integer, got {what or kind_of(row[self.id_field])}"
        if self.messages_field is not None:
            return self._problem_of_chat(row)
        place = path_of(row, self.text_field)
        if place is None:
            chat = next((key for key in ("messages", "conversations") if key in row), None)
            hint = f"; for chats, give --messages-field {chat}" if chat else ""
            return f"no column {self.text_field!r}{hint}"
        if not isinstance(get(row, place), str):
            return f"{self.text_field!r}: expected a string, got {kind_of(get(row, place))}"
        return self._occupied(row, "the document")

    def _problem_of_chat(self, row) -> str | None:
        field = self.messages_field
        if field not in row:
            return f"no column {field!r}; choose another --messages-field"
        messages = self.layout.opened(row)[field]
        if not isinstance(messages, list):
            return f"{field!r}: expected a list of messages, got {kind_of(row[field])}"
        if odd := [number for number, message in enumerate(messages) if not isinstance(message, Mapping)]:
            return f"{field!r}: message {odd[0]}: expected an object, got {kind_of(messages[odd[0]])}"
        if messages and not any(self.text_field in message for message in messages):
            return f"{field!r}: no message has {self.text_field!r}; choose another --text-field"
        try:
            self._wanted(self.layout.parsed(row))
        except RecursionError:
            return f"{field!r}: its lists and mappings are nested too deeply"
        problems = (
            self._occupied(one, what) for one, what in [(row, "the row"), *((m, "a message") for m in messages)]
        )
        return next(filter(None, problems), None)

    def _occupied(self, holder, what: str) -> str | None:
        if self.form == "spans" and self.spans_field in holder and not self._reads(self.spans_field):
            return f"{self.spans_field!r}: already in {what}; choose another --spans-field"
        return None

    def _reads(self, field) -> bool:
        return any(getattr(labeler, "field", None) == field for labeler in self.labelers)

    # ---- labeling

    def columns(self, rows: Sequence[Mapping]) -> tuple[list[dict[FieldPath, dict] | None], dict[int, str]]:
        """Label documents that have no `problem`.

        Returns:
            For each row its columns of spans (see `rows.written.columns_of`), or None for a row that a labeler cannot
            label. For each such row what is wrong with it, by its index.

        Raises:
            SlungError: a labeler cannot label the rows as a whole.
        """
        found: list[Found] = [{} for _ in rows]
        problems: dict[int, str] = {}
        for labeler in self.labelers:
            left, of_rows = self._found(labeler, rows, problems)
            for number, of_row in zip(left, of_rows):
                for path, spans in of_row.items():
                    found[number].setdefault(path, []).extend(spans)
        names = [labeler.name for labeler in self.labelers]
        return [
            None if number in problems else self._columns_of(row, found[number], names)
            for number, row in enumerate(rows)
        ], problems

    def _columns_of(self, row, found, names) -> dict[FieldPath, dict]:
        if self.messages_field is not None:
            return columns_of(row, found, names, self.layout, self.text_field)
        column: dict[str, list] = {name: [] for name in names}
        for span in (span for spans in found.values() for span in spans):
            column.setdefault(span.labeler, []).append(entry(span))
        return {(): column}

    def _found(self, labeler, rows, problems: dict[int, str]) -> tuple[list[int], list[Found]]:
        """The spans of the rows without problems, and their indices. New problems are added to `problems`.

        The other rows are asked for together: a labeler checks the batch as a whole, such as the order of its rows.
        """
        while left := [number for number in range(len(rows)) if number not in problems]:
            try:
                return left, self._found_in(labeler, [rows[number] for number in left])
            except RowError as error:
                error = error.moved(left)
                problems.update({number: error.told(number) for number in error.problems})
            except SlungError:
                raise
            except Exception as error:
                # from None: another library's message could quote the text
                place = traceback.extract_tb(error.__traceback__)[-1]
                raise LabelerError(
                    f"{labeler.key}: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}; the "
                    "labeler cannot go on, and does not say which row is at fault"
                ) from None
        return [], []

    def _found_in(self, labeler, rows) -> list[Found]:
        if self.messages_field is None:
            places = [path_of(row, self.text_field) or () for row in rows]
            beside = [row if len(place) == 1 else surroundings(row, place) for row, place in zip(rows, places)]
            spans = labeler.annotate([get(row, place) for row, place in zip(rows, places)], beside)
            return [{place: of_row} for place, of_row in zip(places, spans)]
        if labeler.reads_row:
            return found_in_columns(labeler, rows, self.layout, self.text_field)[0]
        parsed = [self.layout.parsed(row) for row in rows]
        return found_in_fields(labeler, parsed, list(map(self._wanted, parsed)), self.layout)

    def _wanted(self, row) -> list[FieldPath]:
        """The strings to label in a chat whose JSON is parsed."""
        columns = {self.spans_field, *(one.field for one in self.labelers if isinstance(one, SpansLabeler))}
        return texts_of_chat(row, self.layout, columns)

    def _columns(self, documents, bad, name) -> list[dict[FieldPath, dict] | None]:
        """The columns of each document; None for a document that a labeler rejects, which is added to `bad`."""
        try:
            columns, problems = self.columns([document.row for document in documents])
        except SlungError as error:
            first, last = documents[0].number, documents[-1].number
            raise JobError(f"{name}, lines {first} to {last}: {error}") from None
        bad += [(documents[number].number, f"not labeled: {problem}") for number, problem in problems.items()]
        return columns

    # ---- writing

    def _line(self, document, columns) -> bytes:
        """The document's line of output; empty for one that is left out.

        The document's characters are not changed. The spans are inserted before its last brace.
        """
        if self.form == "dolma":
            if not is_id(document.row.get(self.id_field)):
                return b""
            # attribute files stay line for line with their documents: one that is left out has a line without spans
            column = {labeler.name: [] for labeler in self.labelers} if columns is None else columns[()]
            # the format has no place for a kind
            attributes = {f"slung__{name}__score": [one[:3] for one in of_name] for name, of_name in column.items()}
            line = {"id": document.row[self.id_field], "attributes": attributes}
            return json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if columns is None:
            return b""
        line = with_columns(document.raw.decode(), document.row, columns, self.spans_field, self.layout)
        return line.encode("utf-8", "surrogatepass") + b"\n"


def _with_spans(text, found: Mapping[str, list]) -> tuple[int, list[Span]]:
    spans = [Span(*one[:3], name, *one[3:]) for name, of_name in found.items() for one in of_name]
    # of texts in JSON only the part up to the last span is known
    return max([len(text) if isinstance(text, str) else 0, *(span.end for span in spans)]), spans


def _packed(content: bytes, name: str) -> bytes:
    """Compress a chunk as one gzip member or zstd frame, so that a file can be cut after each chunk."""
    if not content or not name.endswith((".gz", ".zst")):
        return content
    if name.endswith(".gz"):
        return gzip.compress(content, 6, mtime=0)
    return zstandard.ZstdCompressor(level=3).compress(content)
