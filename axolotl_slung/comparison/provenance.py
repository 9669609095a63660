"""Where an audit and its models come from: the audit's audit.json, and slung_manifest.json beside each model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import SlungError, os_errors
from ..visible import visible
from .evaluations import Method
from .results import AUDIT, Run, Source
from .tasks import AUDIT as TASKS

MANIFEST = "slung_manifest.json"
_SECRET = "salt"
"""Who has it can find out by trying which id stands for which text."""


def audit_of(sources: Iterable[Source], by_task: Mapping[str, Sequence[Run]]) -> dict | None:
    """The content of audit.json in the first source that is an audit's folder, without its salt.

    Raises:
        SlungError: the file is broken, or the models were asked what another audit has drawn.
    """
    path = next((its.path / AUDIT for its in sources if (its.path / AUDIT).is_file()), None)
    if path is None:
        return None
    found = _mapping(path, "draw the audit again with `slung audit`")
    for task in TASKS:
        for run in by_task.get(task, []):
            asked = run.setup["slung"].get("audit")
            if isinstance(asked, Mapping) and any(found.get(key) != value for key, value in asked.items()):
                raise SlungError(
                    f"{visible(str(path))}: is not the audit that {visible(str(run.file))} was asked; give that audit's "
                    "folder, or none"
                )
    return {key: value for key, value in found.items() if key != _SECRET}


def manifests(methods: Iterable[Method]) -> dict[str, dict | None]:
    """For each method that was asked, the manifest beside its model; None if there is none on this machine."""
    found: dict[str, dict | None] = {}
    for method in methods:
        runs = [run for task in TASKS for run in method.runs.get(task, [])]
        for name, run in {_seed(method, run): run for run in runs}.items():
            path = Path(run.model) / MANIFEST if run.model else None
            fix = "train the model again, or move the file away"
            found[name] = _mapping(path, fix) if path is not None and path.is_file() else None
    return found


def _seed(method: Method, run: Run) -> str:
    several = len({its.model for runs in method.runs.values() for its in runs}) > 1
    return f"{method.name}, {run.model}" if several else method.name


def _mapping(path: Path, fix: str) -> dict:
    with os_errors(path):
        content = path.read_bytes()
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SlungError(f"{visible(str(path))}: is not a JSON object; {fix}")
    return found


def flat(value, name: str = "") -> Iterator[tuple[str, str]]:
    """`(key, value)` of all values in nested mappings and lists; keys are joined by dots. Short lists stay together."""
    if isinstance(value, Mapping) and value:
        for key, its in value.items():
            yield from flat(its, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(its, (Mapping, list)) for its in value):
        for place, its in enumerate(value):
            yield from flat(its, f"{name}[{place}]")
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value)) or "none"
    elif value is None or value == {}:
        yield name, "none"
    else:
        yield name, f"{value:,}" if type(value) is int and name.rpartition(".")[2] != "seed" else str(value)


def strata(counts) -> Iterator[tuple[tuple[str, str, str], tuple[int, int]]]:
    """`(set, kind, frequency)` and the numbers of texts found and sampled, from the `counts` of audit.json."""
    for of_set, kinds in counts.items() if isinstance(counts, Mapping) else ():
        for kind, frequencies in kinds.items():
            for frequency, numbers in frequencies.items():
                yield (of_set, kind, frequency), (numbers["found"], numbers["sampled"])
