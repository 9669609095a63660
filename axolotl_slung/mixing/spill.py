"""Sorts documents into their streams, in two steps and in little memory.

1. A unit of lines becomes one file per group: the documents that go there, sorted by their keys. A group is the streams
   of one seed, or one partition.
2. A range of keys is read from all units of a group, sorted, and written to the group's files: one per budget.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..storage import opener, replacing
from .config import Mix, MixError
from .documents import Document, NoDocument, digest_of, document_of, line_of
from .files import Rows
from .inputs import Input
from .plan import Plan
from .units import Piece, Unit

_PLACE = np.dtype([("key", "<u8"), ("first", "u1"), ("last", "u1"), ("size", "<u4")])
"""Of a document in a unit's file: its key, the budgets that have it, `[first, last)`, and the bytes of its row."""
_ROW = np.dtype([("places", "<u8"), ("bytes", "<u8")])
"""Of a range in a unit's file: the number of its first document and of its first byte."""


class Group(NamedTuple):
    """Documents that are sorted together.

    Attributes:
        name: of its folder.
        role: of a partition; None for streams.
        number: the index of the seed; None for a partition.
        ranges: how many ranges its keys are divided into.
    """

    name: str
    role: str | None
    number: int | None
    ranges: int


@dataclass
class Spilling:
    """Writes the files of a unit. The worker processes get it pickled."""

    mix: Mix
    inputs: Sequence[Input]
    plan: Plan
    groups: Sequence[Group]
    folder: Path
    mode: int

    def __call__(self, unit: Unit) -> None:
        """Write the unit's files.

        Raises:
            MixError: a document is not what it was when its tokens were counted.
        """
        rows: list[bytes] = []
        places: dict[str, list[np.ndarray]] = {group.name: [] for group in self.groups}
        for piece in unit.pieces:
            one = self.inputs[piece.number]
            rows += [line_of(document, one.role) for document in self._documents(one, piece)]
            for group in self.groups:
                places[group.name].append(self._places(group, one.role, piece))
        sizes = np.array(list(map(len, rows)), np.uint32)
        for group in self.groups:
            self._write(group, unit.name, rows, sizes, np.concatenate(places[group.name]))

    def _documents(self, one: Input, piece: Piece) -> Iterator[Document]:
        entry = getattr(self.mix, one.role)[one.entry]
        for line, record in zip(piece.lines, piece.records):
            try:
                document = document_of(line, int(record["line"]), one.name, entry)
            except NoDocument:
                document = None
            if document is None or digest_of(document.text) != record["digest"]:
                raise MixError(f"{one.key}: has changed while it was read; start again with another output folder")
            yield document

    def _places(self, group: Group, role: str, piece: Piece) -> np.ndarray:
        places = np.zeros(len(piece.records), _PLACE)
        if group.number is not None:
            first, last = self.plan.stays(role, group.number, piece.start, piece.records)
            seed = self.plan.seeds[group.number]
        elif group.role == role:
            first, seed = np.zeros(len(piece.records), np.int64), None
            last = self.plan.held_out(role, piece.start, piece.records)
        else:
            return places
        places["first"], places["last"] = first, last
        places["key"] = self.plan.order(role, seed, piece.start, len(piece.records))
        return places

    def _write(self, group: Group, unit: str, rows: list[bytes], sizes: np.ndarray, places: np.ndarray) -> None:
        places["size"] = sizes
        (order,) = np.nonzero(places["first"] < places["last"])
        order = order[np.argsort(places["key"][order], kind="stable")]
        places = places[order]
        ends = np.searchsorted(_range_of(places["key"], group.ranges), np.arange(group.ranges + 1))
        table = np.zeros(group.ranges + 1, _ROW)
        table["places"] = ends
        table["bytes"] = np.concatenate([[0], np.cumsum(places["size"], dtype=np.uint64)])[ends]
        path = unit_path(self.folder, group, unit)
        with replacing(path) as part, open(part, "xb", opener=opener(self.mode)) as file:
            file.write(table.tobytes())
            file.write(places.tobytes())
            file.write(b"".join([rows[number] for number in order.tolist()]))
            # before the journal says that it is done
            file.flush()
            os.fsync(file.fileno())


def unit_path(folder: Path, group: Group, unit: str) -> Path:
    """The file of a unit's documents for a group."""
    return folder / group.name / f"{unit}.unit"


def _range_of(of_documents: np.ndarray, ranges: int) -> np.ndarray:
    return ((of_documents >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32)


class Output(NamedTuple):
    """A file to write.

    Attributes:
        path: the file.
        name: of its budget or partition.
        level: the index of its budget; 0 for a partition.
    """

    path: Path
    name: str
    level: int


class Ranges(NamedTuple):
    """Ranges of a group, and the files that get their documents."""

    group: Group
    first: int
    end: int
    outputs: list[Output]

    @property
    def key(self) -> str:
        """Its key among the ranges of all groups."""
        return f"{self.group.name}/{self.first}"


def ranges_of(mix: Mix, group: Group, parts: Path) -> list[Ranges]:
    """What is written at once of a group: a whole partition, or a range of a seed's keys for all budgets."""
    if group.role:
        output = Output(parts / "heldout" / f"{group.role}.{mix.format}", group.role, 0)
        return [Ranges(group, 0, group.ranges, [output])]
    folders = [(level, name, parts / group.name / name) for level, (name, _) in enumerate(mix.levels)]
    return [
        Ranges(
            group,
            number,
            number + 1,
            [Output(folder / f"part-{number:05}.{mix.format}", name, level) for level, name, folder in folders],
        )
        for number in range(group.ranges)
    ]


@dataclass
class Joining:
    """Writes the files of ranges. The worker processes get it pickled.

    Attributes:
        folder: of the units.
        units: their names, in the order of documents.
        mode: the permissions of the files.
        keep: whether the files stay; their digests are all that verifying needs.
    """

    folder: Path
    units: Sequence[str]
    mode: int
    keep: bool = True

    def __call__(self, item: Ranges) -> list[dict[str, Any]]:
        """Write the files; what the manifest says of each."""
        files = [Rows(output.path, self.mode) for output in item.outputs]
        for file in files:
            file.__enter__()
        try:
            for number in range(item.first, item.end):
                places, rows = self._range(item.group, number)
                for output, file in zip(item.outputs, files):
                    here = (places["first"] <= output.level) & (output.level < places["last"])
                    file.write(rows[number] for number in np.flatnonzero(here).tolist())
        except BaseException as error:
            for file in files:
                file.__exit__(type(error), error, None)
            raise
        for file in files:
            file.__exit__(None, None, None)
        if not self.keep:
            for output in item.outputs:
                output.path.unlink()
        return [file.facts() for file in files]

    def _range(self, group: Group, number: int) -> tuple[np.ndarray, list[bytes]]:
        """The documents of a range of keys in their order: places and rows."""
        places, rows = [np.zeros(0, _PLACE)], []
        for unit in self.units:
            path = unit_path(self.folder, group, unit)
            with open(path, "rb", buffering=0) as file:
                bounds = np.frombuffer(os.pread(file.fileno(), 2 * _ROW.itemsize, number * _ROW.itemsize), _ROW)
                (first, end), (start, stop) = bounds["places"].tolist(), bounds["bytes"].tolist()
                if first == end:
                    continue
                table = (group.ranges + 1) * _ROW.itemsize
                total = int(
                    np.frombuffer(os.pread(file.fileno(), _ROW.itemsize, table - _ROW.itemsize), _ROW)["places"][0]
                )
                here = _pread(file, (end - first) * _PLACE.itemsize, table + first * _PLACE.itemsize)
                here = np.frombuffer(here, _PLACE)
                data = _pread(file, stop - start, table + total * _PLACE.itemsize + start)
                places.append(here)
                at = 0
                for size in here["size"].tolist():
                    rows.append(data[at : at + size])
                    at += size
        together = np.concatenate(places)
        order = np.argsort(together["key"], kind="stable")
        return together[order], [rows[number] for number in order.tolist()]


def _pread(file, size: int, offset: int) -> bytes:
    """All the bytes: one call may return fewer."""
    pieces = []
    while size:
        piece = os.pread(file.fileno(), size, offset)
        if not piece:
            raise MixError(f"{file.name}: is cut; delete the output folder and start again")
        pieces.append(piece)
        size, offset = size - len(piece), offset + len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
