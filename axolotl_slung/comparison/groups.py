"""The table of groups of comments in a results file: accuracy and AUROC by functional test and by target group."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import SlungError
from ..visible import visible


def groups_of(file: Path, task: str) -> list[dict]:
    """The table of groups that a task has written into a results file of lm_eval; empty if it has none."""
    found = json.loads(file.read_bytes())
    for key in ("configs", task, "metadata", "slung_groups"):
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return []
    try:
        rows = json.loads(found)
        whole = all({"by", "group", "comments", "toxic", "accuracy", "auroc"} <= row.keys() for row in rows)
    except (TypeError, AttributeError, ValueError):
        whole = False
    if not whole:
        raise SlungError(f"{visible(str(file))}: `slung_groups`: not what {task} writes; measure again")
    return rows
