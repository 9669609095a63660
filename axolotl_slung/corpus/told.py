"""What a finished job says: what each labeler found, names that were never found, and warnings about the buckets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..labeling.registry import names_of
from .found import never_found, summed, write_never_found
from .job import Job
from .output import STATE, Output


def told(outputs: Sequence[Output], folder: Path, job: Job) -> tuple[list[str], list[str]]:
    """Lines about what was found, and warnings. Names that were never found are listed in files.

    Args:
        outputs: all outputs of the job, finished.
        folder: the output folder.
        job: with open labelers, if there are lists to check.
    """
    documents = sum(one.progress.documents for one in outputs)
    found = summed([one.progress.found for one in outputs])
    own = {*names_of(job.block.labelers)}
    lines = [
        f"{name}: {found[name][0]} spans in {found[name][1]} of {documents} documents"
        for name in sorted(own & found.keys(), key=list(found).index)
    ]
    if others := [spans for name, (spans, _) in found.items() if name not in own]:
        # names in a column of spans are data
        lines.append(f"{len(others)} other names in the column of spans: {sum(others)} spans")
    for never in never_found(job.opened, [one.entries_found() for one in outputs]):
        path = folder / STATE / f"{never.labeler}.never_found.txt"
        write_never_found(path, never)
        parts = f", and {len(never.in_parts)} only in parts" if never.in_parts else ""
        lines.append(
            f"{never.labeler}: {len(never.absent)} of {never.listed} listed names were never found{parts}; {path} lists them"
            if never.absent or never.in_parts
            else f"{never.labeler}: all {never.listed} listed names were found"
        )
    tally = job.tally()
    for one in outputs:
        tally.add_json(one.progress.tally)
    return lines, list(tally.warnings())
