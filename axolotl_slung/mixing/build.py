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
    with _one_thread():
        scan = Scan(Reading(mix, inputs, tokenizer, cuts), folder / "index", mode, workers, report)
        scan.risky()
        check_criteria(mix, inputs, scan.indices)
        check_risky(mix, scan.records("risky"))
        plan = _planned(mix, scan)
        streams, heldout = count(plan, mix, scan.records("risky"), scan.records("base"))
        groups = _groups(mix, plan, scan)
        with Journal(folder / "groups.journal", mode) as done:
            left = [group for group in groups if group.name not in done.entries]
            if left:
                spilling = Spilling(mix, inputs, plan, groups, folder / "sorted", mode)
                units = _sort(spilling, scan, folder, mode, workers, report)
            for number, group in enumerate(groups):
                if group in left:
                    _join(group, mix, units, folder, mode, (workers, keep), report, (number, len(groups)))
                    done.add(group.name)
                    rmtree(folder / "sorted" / group.name)
    for stream in streams:
        stream["files"] = _files(folder, f"seed-{stream['seed']}", mode)[stream["budget"]]
    for role, one in heldout.items():
        one["files"] = _files(folder, f"heldout-{role}", mode)[role] if getattr(mix.heldout, role) else []
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


def _sort(spilling: Spilling, scan: Scan, folder: Path, mode: int, workers: int, report: Report) -> int:
    """Sort all documents into units.

    Returns:
        The number of units.
    """
    total = sum(index.state.records for index in scan.indices)
    with Journal(folder / "units.journal", mode) as done, Pool(spilling, workers, "mix") as pool:
        begin = done.entries[-1] if done.entries else [0, None, 0]
        number = len(done.entries)
        starts = np.cumsum([0, *(index.state.records for index in scan.indices)]).tolist()
        for then, _ in pool.run(_units(spilling.inputs, scan, begin, number), lambda unit: unit.then):
            done.add(then)
            number += 1
            report("sorting documents", starts[then[0]] + then[2], total)
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


def _join(group: Group, mix: Mix, units: int, folder: Path, mode: int, how, report: Report, place) -> None:
    """Write the files of a group."""
    workers, keep = how
    levels = [role for role in [group.role] if role] or [name for name, _ in mix.levels]
    items = []
    if group.role:
        output = Output(folder / PARTS / "heldout" / f"{group.role}.{mix.format}", 0)
        items.append(Ranges(group, 0, group.ranges, [output]))
    else:
        for number in range(group.ranges):
            outputs = [
                Output(folder / PARTS / group.name / name / f"part-{number:05}.{mix.format}", level)
                for level, name in enumerate(levels)
            ]
            items.append(Ranges(group, number, number + 1, outputs))
    joining = Joining(folder / "sorted", units, mode, keep)
    with Journal(_journal_of(folder, group.name), mode) as done, Pool(joining, workers, "mix") as pool:
        written = len(done.entries)
        for _, facts in pool.run(items[written:]):
            done.add(dict(zip(levels, facts)))
            written += 1
            report(f"writing {group.name} ({place[0] + 1} of {place[1]})", written, len(items))


def _journal_of(folder: Path, group: str) -> Path:
    return folder / f"files-{group}.journal"


def _files(folder: Path, group: str, mode: int) -> dict[str, list[dict]]:
    """What was written of a group, by budget or role."""
    with Journal(_journal_of(folder, group), mode) as done:
        found: dict[str, list[dict]] = {}
        for entry in done.entries:
            for level, facts in entry.items():
                found.setdefault(level, []).append(facts)
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
