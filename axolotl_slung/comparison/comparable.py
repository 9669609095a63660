"""Whether runs of one task were measured alike: what differs is refused, or noted where it may be meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import SlungError, closest
from ..visible import visible
from .results import Run
from .settings import SETTINGS, UNKNOWN, is_refused

_SCORED = ("scorer", "other_scorers", "judge")
_TABLE = {setting.name for setting in SETTINGS}


def check_allowed(names: Collection[str], runs: Iterable[Run]) -> None:
    """Raise if a name is not the name of a setting.

    Raises:
        SlungError: the message lists all names.
    """
    known = dict.fromkeys(setting.name for setting in SETTINGS)
    known |= dict.fromkeys(name for run in runs for name in run.settings if is_refused(name))
    for name in names:
        if name not in known:
            guess = closest(name, known)
            guess = f"did you mean {guess}? " if guess else ""
            raise SlungError(
                visible(f"--allow: {name!r}: not a setting; {guess}expected one of {', '.join(map(str, known))}")
            )


def compare(
    by_task: Mapping[str, Sequence[Run]], allowed: Collection[str], chosen: Callable[[str], bool] = lambda _: True
) -> list[str]:
    """Notes on what differs between runs of one task.

    Args:
        by_task: all runs of each task.
        allowed: names of settings in which runs may differ.
        chosen: which settings to compare, by name.

    Raises:
        SlungError: runs differ in settings that are refused. The message names the runs, and how to allow it.
    """
    refused, noted = defaultdict(list), defaultdict(list)
    for task, runs in by_task.items():
        for name, says in _differences(runs):
            if not chosen(name):
                continue
            kind = refused if is_refused(name) and name not in allowed and not _only_unknown(runs, name) else noted
            kind[name, says].append(task)
    if refused:
        raise SlungError(_refusal(refused))
    return [
        f"{', '.join(tasks)}: measured with different {name}: {says}"
        + (f"; allowed by --allow {name}" if name in allowed else "")
        for (name, says), tasks in noted.items()
    ]


def _refusal(refused: Mapping[tuple[str, str], Sequence[str]]) -> str:
    tasks = defaultdict(list)
    for (_, says), its in refused.items():
        for task in its:
            tasks[task].append(says)
    names = list(dict.fromkeys(name for name, _ in refused))
    text = "; ".join(
        f"{task}: runs were measured differently and cannot share a table: {'; '.join(says)}"
        for task, says in tasks.items()
    )
    fix = "measure again with the same settings, or make separate reports"
    if all(name in _SCORED for name in names):
        fix = "score the saved generations again with `slung rescore`, " + fix
    return visible(f"{text}; {fix}. If the difference is meant: {' '.join(f'--allow {name}' for name in names)}")


def _differences(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Per setting in which runs differ: its name, and what it is in which folder."""
    flat = [dict(_flat(run.settings)) for run in runs]
    says = defaultdict(list)
    for path in dict.fromkeys(path for settings in flat for path in settings):
        # a setting may not matter to some runs of a task, such as the kind of a template where none is used
        having = [(its, run) for its, run in zip(flat, runs) if path[0] in run.settings or path[0] not in _TABLE]
        folders = defaultdict(list)
        for settings, run in having:
            # a scorer that does not name its served model may be the same as one that does, and only some runs may
            # have a second scorer, or be steered too
            value = UNKNOWN if run.settings.get(path[0]) == UNKNOWN else settings.get(path)
            if value is not None or (path[-1] != "served" and path[0] not in ("other_scorers", "steer")):
                folders[_said(value)].append(run.file)
        if len(folders) > 1:
            told = ", ".join(f"{value} in {listed(where)}" for value, where in _places(folders).items())
            says[path[0]].append(f"{'.'.join(path)}: {told}")
    yield from ((name, "; ".join(parts)) for name, parts in says.items())


def _places(files: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """The folders of the files, or the files themselves if a folder has files of different values."""
    folders = {value: list(dict.fromkeys(str(file.parent) for file in its)) for value, its in files.items()}
    every = [folder for its in folders.values() for folder in its]
    if len(set(every)) == len(every):
        return folders
    return {value: list(dict.fromkeys(map(str, its))) for value, its in files.items()}


def _only_unknown(runs: Sequence[Run], name: str) -> bool:
    """Whether the runs that tell the setting agree, so that nothing is known to differ."""
    told = [run.settings.get(name) for run in runs if name in run.settings or name not in _TABLE]
    told = [value for value in told if value != UNKNOWN]
    return all(value == told[0] for value in told)


def _flat(settings: Mapping, path: tuple[str, ...] = ()):
    """`(path, value)` of all values in nested mappings. The value of `served` is not split."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value and key != "served":
            yield from _flat(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value or None if isinstance(value, Mapping) else value


def _said(value) -> str:
    """A setting as text. Equal settings give equal texts."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "nothing" if value is None else str(value)


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names in a row, with the number of those left out."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
