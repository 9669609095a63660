"""Builds a mix in a folder, and goes on where an earlier run stopped."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from ..corpus.chunks import CHUNK_BYTES
from ..corpus.pool import Pool, cores
from ..labeling.record import recorded_cuts
from .config import Mix, MixError
from .index import Index
from .inputs import Input
from .journal import Journal
from .plan import BaseTooSmall, Plan, check_risky, count, make_plan, text_bytes
from .reading import Reading
from .scan import Report, Scan
from .spill import Group, Joining, Output, Piece, Ranges, Spilling, Unit

FILE_BYTES = 1 << 25
"""Bytes of text of a stream's file, approximately. As much is in memory per process while files are written."""
_UNIT = 8
"""Chunks of lines that one process sorts at once."""
_MORE_BASE = 1.1
"""How many times as many base tokens are read if those that were read do not fit."""

PARTS = "parts"


@dataclass(frozen=True)
class Built:
    """A mix whose files are complete.

    Attributes:
        streams, heldout: for the manifest; see `plan.count`. Each has its `files`.
        indices: of the inputs.
    """

    streams: list[dict[str, Any]]
    heldout: dict[str, Any]
    indices: list[Index]


def build(
    mix: Mix,
    inputs: Sequence[Input],
    tokenizer: Any,
    folder: Path,
    mode: int,
    workers: int | None,
    report: Report,
    keep: bool = True,
) -> Built:
    """Build a mix's files below `folder / PARTS`.

    They depend neither on the number of processes nor on interruptions.

    Args:
        mix: the YAML.
        inputs: see `find_inputs`.
        tokenizer: a fast tokenizer of Transformers.
        folder: what is there of an earlier run of the same mix is used.
        mode: permissions of files.
        workers: number of processes; None means one per core.
        report: see `Report`.
        keep: whether the files stay, or only what the manifest says of them.

    Raises:
        MixError: there are too few documents, or an input has changed.
    """
    workers = workers or min(
        cores(), 1 + sum(one.source.size or cores() * CHUNK_BYTES for one in inputs) // CHUNK_BYTES
    )
    cuts = recorded_cuts(one.source.path for one in inputs if one.role == "risky" and one.source.kind != "hub")
    reading = Reading(mix, inputs, tokenizer, cuts)
    with _one_thread(), Pool(reading, workers, "mix") as pool:
        scan = Scan(reading, pool, folder / "index", mode, report)
        scan.risky()
        check_criteria(mix, inputs, scan.indices)
        check_risky(mix, scan.records("risky"))
        plan = _planned(mix, scan)
    streams, heldout = count(plan, mix, scan.records("risky"), scan.records("base"))
    groups = _groups(mix, plan, scan)
    ranges = [item for group in groups for item in _ranges(mix, group, folder / PARTS)]
    written, place = folder / "files.journal", folder / "sorted"
    with Journal(written, mode) as done:
        if len(done.entries) < len(ranges):
            units = _sort(Spilling(mix, inputs, plan, groups, place, mode), scan, folder, workers, report)
            _write(ranges, Joining(place, units, mode, keep), done, workers, report)
    files = _files(written, mode)
    for stream in streams:
        stream["files"] = files[f"seed-{stream['seed']}", stream["budget"]]
    for role, one in heldout.items():
        one["files"] = files.get((f"heldout-{role}", role), [])
    return Built(streams, heldout, scan.indices)


def check_criteria(mix: Mix, inputs: Sequence[Input], indices: Sequence[Index]) -> None:
    """Check that the criteria choose any document.

    Raises:
        MixError: they choose none. The message says how many documents each criterion left out.
    """
    read, left_out = criteria_counts(inputs, indices)
    if read and sum(left_out.values()) == read:
        told = ", ".join(f"{name} {number:,}" for name, number in left_out.items())
        raise MixError(f"criteria: none of {read:,} risky documents meets them; left out by {told}; loosen them")


def criteria_counts(inputs: Sequence[Input], indices: Sequence[Index]) -> tuple[int, dict[str, int]]:
    """The number of risky documents, and how many each criterion left out, in the order in which they are tested."""
    left_out: dict[str, int] = {}
    read = 0
    for one, index in zip(inputs, indices):
        if one.role == "risky":
            for name, number in index.state.counts.items():
                if name == "documents":
                    read += number
                else:
                    left_out[name] = left_out.get(name, 0) + number
    return read, left_out


def _planned(mix: Mix, scan: Scan) -> Plan:
    needed = mix.tokens + mix.heldout.base
    while True:
        scan.base(needed)
        try:
            return make_plan(mix, scan.records("risky"), scan.records("base"))
        except BaseTooSmall:
            if scan.all_read:
                raise
            needed = math.ceil(needed * _MORE_BASE)


def _groups(mix: Mix, plan: Plan, scan: Scan) -> list[Group]:
    stream, partition = text_bytes(plan, scan.records("risky"), scan.records("base"))
    ranges = max(1, math.ceil(stream / FILE_BYTES))
    groups = [Group(f"seed-{seed}", None, number, ranges) for number, seed in enumerate(mix.seeds)]
    roles = [role for role in ("base", "risky") if getattr(mix.heldout, role)]
    return groups + [Group(f"heldout-{role}", role, None, max(1, math.ceil(partition / FILE_BYTES))) for role in roles]


def _sort(spilling: Spilling, scan: Scan, folder: Path, workers: int, report: Report) -> int:
    """Sort all documents into units.

    Returns:
        The number of units.
    """
    total = sum(index.state.records for index in scan.indices)
    with Journal(folder / "units.journal", spilling.mode) as done, Pool(spilling, workers, "mix") as pool:
        begin = done.entries[-1] if done.entries else [0, None, 0]
        number = len(done.entries)
        starts = np.cumsum([0, *(index.state.records for index in scan.indices)]).tolist()
        for then, _ in pool.run(_units(spilling.inputs, scan, begin, number), lambda unit: unit.then):
            done.add(then)
            number += 1
            report("sorting documents", "documents", starts[then[0]] + then[2], total)
    return number


def _units(inputs: Sequence[Input], scan: Scan, begin: list, number: int) -> Iterator[Unit]:
    first, end, pointer = begin
    pieces: list[Piece] = []
    size = 0
    then = begin
    for place in range(first, len(inputs)):
        one, index = inputs[place], scan.indices[place]
        offset = _offset(inputs, scan, place)
        block, at = index.records(pointer, 0), pointer
        if pointer < index.state.records:
            for chunk in one.chunks(end):
                last = chunk.first + len(chunk.content) - 1
                while at + len(block) < index.state.records and (not len(block) or block["line"][-1] <= last):
                    block = np.concatenate([block, index.records(at + len(block), 1 << 14)])
                some = int(np.searchsorted(block["line"], last, side="right"))
                here, block = block[:some], block[some:]
                if some:
                    lines = [chunk.content[line - chunk.first] for line in here["line"].tolist()]
                    pieces.append(Piece(place, lines, here, offset + at))
                    size += sum(map(len, lines))
                at += some
                then = [place, chunk.end, at]
                if pieces and size >= _UNIT * CHUNK_BYTES:
                    yield Unit(number, pieces, then)
                    number, pieces, size = number + 1, [], 0
                if at == index.state.records:
                    break
        end, pointer = None, 0
    if pieces:
        yield Unit(number, pieces, then)


def _offset(inputs: Sequence[Input], scan: Scan, place: int) -> int:
    """The number of the first document of an input among those of its role."""
    role = inputs[place].role
    return sum(index.state.records for one, index in zip(inputs[:place], scan.indices) if one.role == role)


def _ranges(mix: Mix, group: Group, parts: Path) -> list[Ranges]:
    """What is written at once: a whole partition, or a range of a seed's keys for all budgets."""
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


def _write(items: Sequence[Ranges], joining: Joining, done: Journal, workers: int, report: Report) -> None:
    """Write all files. What was sorted for a group is deleted when it is written."""
    written = len(done.entries)
    with Pool(joining, workers, "mix") as pool:
        for item, facts in pool.run(items[written:]):
            done.add([item.group.name, {output.name: one for output, one in zip(item.outputs, facts)}])
            written += 1
            report("writing files", "ranges", written, len(items))
            if item.end == item.group.ranges:
                rmtree(joining.folder / item.group.name)


def _files(journal: Path, mode: int) -> dict[tuple[str, str], list[dict]]:
    """What was written, by group and by budget or role."""
    found: dict[tuple[str, str], list[dict]] = {}
    with Journal(journal, mode) as done:
        for group, facts in done.entries:
            for name, one in facts.items():
                found.setdefault((group, name), []).append(one)
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Each process has one core, this one too."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
