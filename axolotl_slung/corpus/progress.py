"""How far the tasks of a labeling job are, read from its journals by any process that sees the output folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .output import STATE, OutputError, Progress
from .parts import Part
from .sources import Source

_PLAN = "tasks.json"
"""In `STATE`: for each task the files and parts that it labels, with their sizes."""


@dataclass
class TaskProgress:
    """How far one task is. Without a plan of tasks, each file counts as a task.

    Attributes:
        name: the task's number, or the file's name.
        size: bytes to read; None if unknown, as of a hub data set.
        read: bytes that were read.
        documents, bad: documents labeled, and lines that could not be labeled.
        seconds: time spent on labeling, summed over processes.
        files, done: its files or parts, and how many are done.
        written: when its journal was last written, in seconds since the epoch; None if it has not begun.
    """

    name: str
    size: int | None = 0
    read: int = 0
    documents: int = 0
    bad: int = 0
    seconds: float = 0.0
    files: int = 0
    done: int = 0
    written: float | None = None

    @property
    def finished(self) -> bool:
        """Whether all its files are done."""
        return self.done == self.files


def write_plan(folder: Path, divided: Sequence[Sequence[Source]]) -> None:
    """Note which task labels what, for `progress_of`. See `parts.tasks`."""
    plan = [
        [
            {"name": item.name, "part": item.folder if isinstance(item, Part) else None, "size": item.size}
            for item in task
        ]
        for task in divided
    ]
    (folder / STATE).mkdir(parents=True, exist_ok=True)
    content, path = json.dumps(plan), folder / STATE / _PLAN
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")


def progress_of(folder: Path) -> list[TaskProgress]:
    """The progress of each task of the job that writes to an output folder.

    Raises:
        OutputError: the folder holds no job's output.
    """
    state = folder / STATE
    if (state / _PLAN).is_file():
        plan = json.loads((state / _PLAN).read_text(encoding="utf-8"))
        return [_of_task(folder, str(number), task) for number, task in enumerate(plan)]
    names = sorted(str(path.relative_to(state))[: -len(".journal")] for path in state.rglob("*.journal"))
    if not names:
        raise OutputError(f"{folder}: no labeling job has written here; give the --output of `slung label`")
    return [_of_task(folder, name, [{"name": name, "part": None, "size": None}]) for name in names]


def _of_task(folder: Path, name: str, items: Sequence[dict]) -> TaskProgress:
    task = TaskProgress(name, files=len(items))
    for item in items:
        size = item["size"]
        task.size = None if size is None or task.size is None else task.size + size
        found = _last(folder / STATE / item["part"] if item["part"] else folder, item["name"])
        if found is None:
            continue
        one, written = found
        task.read += one.read
        task.documents += one.documents
        task.bad += one.bad
        task.seconds += one.seconds
        task.done += one.finished
        task.written = max(task.written or 0.0, written)
    return task


def recorded_beside(path: Path) -> Progress | None:
    """The journal's last entry for a file that `slung label` wrote; None if there is no journal."""
    for folder in path.resolve().parents:
        if (folder / STATE).is_dir():
            found = _last(folder, str(path.resolve().relative_to(folder)))
            return found and found[0]
    return None


def _last(folder: Path, name: str) -> tuple[Progress, float] | None:
    journal = folder / STATE / f"{name}.journal"
    try:
        content, written = journal.read_bytes(), journal.stat().st_mtime
    except FileNotFoundError:
        return None
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if len(lines) < 2:
        return Progress(), written
    entry = json.loads(lines[-1])
    return Progress(**{key: value for key, value in entry.items() if key != "lines"}), written
