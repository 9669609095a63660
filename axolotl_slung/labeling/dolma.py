"""Reads spans from Dolma attribute files."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import few, get_logger
from ..packed import PACKINGS, damage_of, mismatch, open_lines
from ..storage import walk
from .base import Labeler, LabelerError, RowError, Span
from .spans import describe_row, parse_spans

LOG = get_logger(__name__)

IN_ORDER = "do not shuffle or shard before labeling: Dolma attribute files have the order of their documents"

_Line = tuple[int, bytes]
"""A document's place in the files, and its spans as JSON."""

SUFFIXES = tuple(f"{plain}{packed}" for plain in (".jsonl", ".json") for packed in ("", *PACKINGS))


class DolmaLabeler(Labeler):
    """The output of a Dolma tagger, one document per line:

        {"id": ..., "attributes": {key: [[start, end, score], ...]}}

    Rows and lines are matched by id. A line without the attribute means a document without spans. The rows of a
    batch must have the files' order, as in the data set that Dolma wrote. Another order suggests another data set
    with similar ids. An id may be in the files several times: the order and the neighbors tell which line a row is.

    All spans of the attribute stay in memory, about 25 bytes per span and 300 bytes per document.

    Args:
        key: the labeler's place in the YAML.
        path: one file, or a folder of such files (`SUFFIXES`). The folder is searched recursively, in order of names, without
            hidden files.
        attribute: the attribute's key, or a whole part of it between `__`: `jigsaw_hatespeech_sentence_v2` finds
            `exp__jigsaw_hatespeech_sentence_v2____label__toxic`.
        id_field: the rows' id column.
        text_field: the rows' text column; None for the data set's only one.
    """

    scope = "document"
    reads_row = True
    lazy = ("_documents", "_order")

    def __init__(self, key: str, path: str, attribute: str, id_field: str = "id", text_field: str | None = None):
        super().__init__(key)
        self.path = Path(path).expanduser()
        self.attribute = attribute
        self.id_field = id_field
        self.text_field = text_field
        self._documents = None
        self._order: tuple[int, int] | None = None
        self._told = False

    def check(self) -> None:
        """Read the files."""
        self.documents  # noqa: B018

    def files(self) -> list[Path]:
        if self.path.is_dir():
            return sorted(path for _, path in walk(self.path) if path.name.lower().endswith(SUFFIXES))
        return [self.path]

    @property
    def documents(self) -> dict[str, _Line | list[_Line]]:
        """Maps each id to its line, or to a list of lines if it is in the files several times. Read on first use."""
        if self._documents is None:
            self._documents = self._read()
        return self._documents

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """The documents' spans; see `Labeler.label`."""
        if lacking := {n: self._no_id(row) for n, row in enumerate(rows) if not is_id(row.get(self.id_field))}:
            raise RowError(f"{self.key}.id_field", lacking)
        lines = [self.documents.get(str(row[self.id_field]), []) for row in rows]
        known = {n: of_id if isinstance(of_id, list) else [of_id] for n, of_id in enumerate(lines) if of_id}
        ordered, wrong = in_order([[place for place, _ in of_id] for of_id in known.values()])
        if wrong is not None:
            number = list(known)[wrong]
            raise LabelerError(
                f"{self.key}.path: {describe_row(number, rows[number], self.id_field)}: is not in the order of "
                f"{self.path}; {IN_ORDER}"
            )
        places = dict(zip(known, ordered))
        labeled, problems = [], {}
        for number, text in enumerate(texts):
            if number not in known:
                problems[number] = f"is not in {self.path}; run the tagger on these documents too"
                continue
            try:
                spans = {spans for place, spans in known[number] if place in places[number]}
                labeled.append(self._spans(text, sorted(spans)))
            except LabelerError as error:
                problems[number] = str(error)
        if problems:
            raise RowError(f"{self.key}.path", problems)
        # if several lines are possible, those that are the least likely to contradict other batches
        self._order = (max(ordered[0]), min(ordered[-1])) if ordered else None
        return labeled

    def take_order(self) -> tuple[int, int] | None:
        order, self._order = self._order, None
        return order

    def _no_id(self, row: Mapping) -> str:
        if row.get(self.id_field) is None:
            return f"has no {self.id_field!r}; choose one of {', '.join(map(str, row))}"
        return f"{self.id_field!r}: expected a string or an integer, got {type(row[self.id_field]).__name__}"

    def _spans(self, text: str, lines: Sequence[bytes]) -> list[Span]:
        """The spans of one of the lines. If it is not certain which one, those of all lines that fit the text."""
        found, misfit = [], None
        for spans in lines:
            try:
                found.append(parse_spans(json.loads(spans), text, f"in {self.path}"))
            except LabelerError as error:
                misfit = error
        if misfit is not None and not found:
            raise misfit
        if len(found) > 1 and not self._told:
            self._told = True
            LOG.warning(
                f"slung: {self.key}.path: {self.path}: an id is in the files several times, and the rows around it do "
                "not tell which line it is: it gets the spans of all its lines; give the rows in whole files"
            )
        return sorted({span for spans in found for span in spans})

    def _read(self) -> dict[str, _Line | list[_Line]]:
        files = self.files()
        if not files:
            raise LabelerError(
                f"{self.key}.path: {self.path}: has no files with the endings {', '.join(SUFFIXES)}; check the path"
            )
        documents: dict[str, _Line | list[_Line]] = {}
        seen: dict[str, None] = {}  # the attributes' keys, in order
        hits = 0
        for place, (where, record) in enumerate(line for file in files for line in self._lines(file)):
            attributes = record.get("attributes") if isinstance(record, dict) else None
            if not isinstance(attributes, dict) or not is_id(record.get("id")):
                raise LabelerError(
                    f'{where}: expected {{"id": ..., "attributes": {{...}}}}; give the output of a Dolma tagger'
                )
            seen.update(dict.fromkeys(attributes))
            keys = self._matching(attributes)
            if len(keys) > 1:
                raise LabelerError(
                    f"{self.key}.attribute: {self.attribute!r}: matches several; choose one of {few(keys)}"
                )
            hits += len(keys)
            spans = attributes[keys[0]] if keys else []
            line = place, json.dumps(spans, separators=(",", ":")).encode()
            others = documents.setdefault(str(record["id"]), line)
            if isinstance(others, list):
                others.append(line)
            elif others is not line:
                documents[str(record["id"])] = [others, line]
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
            if wrong := mismatch(path):
                raise LabelerError(f"{where}: {wrong}")
            with open_lines(path) as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{where}, line {number}", json.loads(line.decode())
                damage = damage_of(file)
        except LabelerError:
            raise
        except (OSError, ValueError) as error:
            # other messages may quote the file
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise LabelerError(f"{where}: cannot be read after line {number}: {reason}") from None
        if damage:
            raise LabelerError(f"{where}: cannot be decompressed after line {number}: {damage}; replace it")


def is_id(value: Any) -> bool:
    """Whether a value is a document's id: a string or an integer."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def in_order(places: Sequence[Sequence[int]]) -> tuple[list[set[int]], int | None]:
    """Choose a place for each row so that places ascend.

    If several choices ascend, a row takes the place next to that of a row beside it, as in whole files.

    Args:
        places: for each row its possible places, ascending.

    Returns:
        For each row the places that are left. The index of the first row that cannot be in order; None if all are.
    """
    first, last = [], -1
    for number, of_row in enumerate(places):
        at = bisect_right(of_row, last)
        if at == len(of_row):
            return [], number
        last = of_row[at]
        first.append(last)
    chosen: list[set[int]] = []
    next_place = None
    for lowest, of_row in zip(reversed(first), reversed(places)):
        highest = of_row[-1] if next_place is None else of_row[bisect_left(of_row, next_place) - 1]
        chosen.append({place for place in of_row if lowest <= place <= highest})
        next_place = highest
    chosen.reverse()
    for step in (1, -1):
        inward = range(1, len(chosen)) if step == 1 else range(len(chosen) - 2, -1, -1)
        for number in inward:
            if len(chosen[number]) > 1 and len(beside := chosen[number - step]) == 1:
                chosen[number] = chosen[number] & {min(beside) + step} or chosen[number]
    return chosen, None
