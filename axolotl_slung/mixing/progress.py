"""How far a mix is, read from its journals by any process that sees the output folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..corpus.output import STATE
from .index import Index
from .journal import entries_of, results_in
from .make import JOB, work_folder
from .manifest import NAME
from .planned import read_planned
from .scan import round_of


@dataclass
class StepProgress:
    """How far one step is.

    Attributes:
        name: what it does.
        unit: of the numbers.
        done: what all tasks have done.
        total: what there is to do; None if that is not known yet.
    """

    name: str
    unit: str
    done: int = 0
    total: int | None = None


def is_mix(output: Path) -> bool:
    """Whether `slung mix` or its tasks have begun a mix in a folder."""
    return (output / STATE / JOB).is_file()


def progress_of(output: Path) -> list[StepProgress]:
    """The progress of each step of a mix; none if it is complete."""
    if (output / NAME).is_file():
        return []
    work = work_folder(output)
    job = json.loads((output / STATE / JOB).read_text(encoding="utf-8"))
    roles = [key.partition("[")[0] for key in job["sources"]]
    indices = [Index(work / "index" / f"{number:05}", 0) for number in range(len(roles))]
    of_role = {role: [one.state for one, its in zip(indices, roles) if its == role] for role in ("risky", "base")}
    planned = read_planned(work / "plan.journal")
    sort, write = StepProgress("sort documents", "documents"), StepProgress("write files", "ranges")
    if planned is not None:
        sort.total = sum(state.records for state in planned.states)
        write.total = sum(1 if group.role else group.ranges for group in planned.groups)
    journals = (work / "units").glob("*.journal")
    sort.done = sum(documents for journal in journals for _, documents in entries_of(journal))
    write.done = len(results_in(work / "files"))
    risky, base = of_role["risky"], of_role["base"]
    needed = job["settings"]["tokens"] + job["settings"]["heldout"]["base"]
    return [
        StepProgress("read risky documents", "files", sum(state.finished for state in risky), len(risky)),
        StepProgress(
            "read base documents",
            "tokens",
            sum(state.tokens for state in base),
            round_of(work / "index", needed).needed,
        ),
        sort,
        write,
    ]
