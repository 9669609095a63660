"""Cuts the documents of all inputs into units, of which each is sorted at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .config import MixError
from .index import Index
from .inputs import Input

SLICE_TOKENS = 1 << 26
"""Tokens of a slice, at least."""


class Piece(NamedTuple):
    """Lines of an input with their records.

    Attributes:
        number: of the input.
        lines: its lines with usable documents.
        records: of these documents.
        start: the number of the first document.
    """

    number: int
    lines: list[bytes]
    records: np.ndarray
    start: int


class Unit(NamedTuple):
    """What one file per group is made of.

    Attributes:
        slice: the number of its slice.
        name: of its files; see `unit_name`.
        pieces: at least one.
        then: where the slice's next unit begins, as JSON values; None after its last.
        documents: their number.
    """

    slice: int
    name: str
    pieces: list[Piece]
    then: list | None
    documents: int


def slices(indices: Sequence[Index]) -> list[list[int]]:
    """The numbers of inputs whose units one task makes: those that have documents, in runs of `SLICE_TOKENS`."""
    found: list[list[int]] = []
    size = 0
    for number, index in enumerate(indices):
        if not index.state.records:
            continue
        if not found or size >= SLICE_TOKENS:
            found.append([])
            size = 0
        found[-1].append(number)
        size += index.state.tokens
    return found


def units(
    inputs: Sequence[Input], indices: Sequence[Index], number: int, run: Sequence[int], done: Sequence[list], size: int
) -> Iterator[Unit]:
    """The units of a slice.

    Args:
        inputs: all inputs.
        indices: of all inputs.
        number: of the slice.
        run: the numbers of its inputs.
        done: `Unit.then` of the units that are there already.
        size: bytes of lines of a unit, at least.

    Raises:
        MixError: an input has fewer lines than when it was read first.
    """
    starts = _starts(inputs, indices)
    first, end, pointer = done[-1] if done else [run[0], None, 0]
    count = len(done)
    pieces: list[Piece] = []
    held = 0

    def unit(then: list | None) -> Unit:
        documents = sum(len(piece.records) for piece in pieces)
        return Unit(number, unit_name(number, count), pieces, then, documents)

    for place in run[run.index(first) :]:
        index = indices[place]
        block, at = index.records(pointer, 0), pointer
        for chunk in inputs[place].chunks(end) if at < index.state.records else ():
            last = chunk.first + len(chunk.content) - 1
            while at + len(block) < index.state.records and (not len(block) or block["line"][-1] <= last):
                block = np.concatenate([block, index.records(at + len(block), 1 << 14)])
            some = int(np.searchsorted(block["line"], last, side="right"))
            here, block = block[:some], block[some:]
            if some:
                lines = [chunk.content[line - chunk.first] for line in here["line"].tolist()]
                pieces.append(Piece(place, lines, here, starts[place] + at))
                held += sum(map(len, lines))
            at += some
            if at == index.state.records:
                break
            if held >= size:
                yield unit([place, chunk.end, at])
                count, pieces, held = count + 1, [], 0
        if at < index.state.records:
            raise MixError(
                f"{inputs[place].key}: has changed while it was read; start again with another output folder"
            )
        if held >= size and place != run[-1]:
            yield unit([run[run.index(place) + 1], None, 0])
            count, pieces, held = count + 1, [], 0
        end, pointer = None, 0
    yield unit(None)


def unit_name(number: int, count: int) -> str:
    """The name of a slice's unit, counted from 0. The order of names is that of documents."""
    return f"{number:05}-{count:07}"


def _starts(inputs: Sequence[Input], indices: Sequence[Index]) -> list[int]:
    """Of each input the number of its first document among those of its role."""
    starts, counts = [], {"risky": 0, "base": 0}
    for one, index in zip(inputs, indices):
        starts.append(counts[one.role])
        counts[one.role] += index.state.records
    return starts
