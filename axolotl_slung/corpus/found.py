"""What each labeler found in a corpus, and which entries of its list it never found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..labeling.base import Labeler
from ..storage import write_private


class Found(NamedTuple):
    """What the labelers found in some documents.

    Attributes:
        spans: number of spans, and of documents with at least one, by labeler. Also for labelers that found nothing.
        entries: entries of the labelers' lists that were found, by labeler; see `Labeler.take_found`.
    """

    spans: dict[str, tuple[int, int]]
    entries: dict[str, list[int]]


class NeverFound(NamedTuple):
    """The entries of a labeler's list that were never found.

    Attributes:
        labeler: the labeler's name.
        listed: number of entries in the list.
        absent, in_parts: entries that were not found at all, and entries of which only parts were, by their numbers.
            **They quote the list.**
    """

    labeler: str
    listed: int
    absent: dict[int, str]
    in_parts: dict[int, str]


def by_labeler(columns: Iterable[Mapping[str, list | Mapping]]) -> dict[str, list]:
    """All spans in a document's columns (see `rows.written.columns_of`), by labeler."""
    spans: dict[str, list] = {}
    for column in columns:
        for name, found in column.items():
            # under a JSON pointer, a column has the spans of another text
            of_names = by_labeler([found]) if isinstance(found, Mapping) else {name: found}
            for labeler, some in of_names.items():
                spans.setdefault(labeler, []).extend(some)
    return spans


def found_in(spans: Sequence[Mapping[str, list]], labelers: Sequence[Labeler]) -> Found:
    """What was found in the documents with these spans by labeler, which were just labeled."""
    counts = {labeler.name: (0, 0) for labeler in labelers}
    for of_row in spans:
        for name, of_name in of_row.items():
            before = counts.get(name, (0, 0))
            counts[name] = before[0] + len(of_name), before[1] + bool(of_name)
    entries = {labeler.name: sorted(labeler.take_found()) for labeler in labelers}
    return Found(counts, {name: numbers for name, numbers in entries.items() if numbers})


def summed(some: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, tuple[int, int]]:
    """`Found.spans` of several parts of a corpus together."""
    total: dict[str, tuple[int, int]] = {}
    for counts in some:
        for name, (spans, documents) in counts.items():
            before = total.get(name, (0, 0))
            total[name] = before[0] + spans, before[1] + documents
    return total


def never_found(labelers: Sequence[Labeler], entries: Sequence[Mapping[str, Sequence[int]]]) -> list[NeverFound]:
    """What is missing from `Found.entries` of all parts of a corpus, for each labeler with a list."""
    result = []
    for labeler in labelers:
        listed = labeler.listed()
        found = {number for some in entries for number in some.get(labeler.name, ())}
        left = {number: entry for number, entry in listed.items() if number not in found}
        absent = {number: entry for number, entry in left.items() if ~number not in found}
        if listed:
            result.append(
                NeverFound(labeler.name, len(listed), absent, {n: e for n, e in left.items() if n not in absent})
            )
    return result


def write_never_found(path: Path, never: NeverFound) -> None:
    """List the entries in a file that only its owner can read, with their numbers."""
    if not never.absent and not never.in_parts:
        path.unlink(missing_ok=True)
        return
    lines = []
    for title, entries in (("never found", never.absent), ("found only in parts", never.in_parts)):
        if entries:
            lines += [f"# {title}", *(f"{number}\t{entry.strip()}" for number, entry in entries.items())]
    write_private(path, "\n".join(lines) + "\n")
