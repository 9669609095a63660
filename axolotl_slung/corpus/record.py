"""The record of an output folder's job: a folder holds the output of one job only."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..labeling.identity import digest_of, sources, stamp, versions
from ..labeling.record import PLACE
from ..storage import opener
from .job import Job
from .output import STATE, OutputError

_FILE = "job.json"


def compare(folder: Path, identity: dict) -> None:
    """Compare the folder's record, if it has one, with a job.

    Raises:
        OutputError: the folder holds the output of another job.
    """
    _compare(folder, _read(folder), identity)


def claim(folder: Path, job: Job) -> None:
    """Write the folder's record, or compare it with the job.

    Raises:
        OutputError: the folder holds the output of another job.
    """
    identity = job.identity()
    (folder / STATE).mkdir(parents=True, exist_ok=True)
    with _locked(folder / STATE / _FILE) as file:
        record = _parsed(file.read())
        _compare(folder, record, identity)
        new = {"job": identity, "made_from": _made_from(job, *_inputs_of(job))}
        if new != record:
            file.seek(0)
            file.truncate()
            file.write(json.dumps(new).encode())
            file.flush()
            os.fsync(file.fileno())


def known_identity(folder: Path, job: Job) -> dict | None:
    """`Job.identity` from the record, if nothing that decides it has changed. No labeler is opened for that."""
    record = _read(folder)
    if record is None:
        return None
    made_from = record["made_from"]
    try:
        now = _made_from(job, [Path(file) for file, *_ in made_from["files"]], list(made_from["versions"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return record["job"] if json.loads(json.dumps(now)) == made_from else None


def forget(folder: Path) -> None:
    """Remove the record of a folder without any output."""
    if not next((folder / STATE).rglob("*.journal"), None):
        for file in (folder / STATE / _FILE, folder / PLACE):
            file.unlink(missing_ok=True)


def _read(folder: Path) -> dict | None:
    path = folder / STATE / _FILE
    record = _parsed(path.read_bytes()) if path.is_file() else None
    if record is None and next((folder / STATE).rglob("*.journal"), None):
        raise OutputError(f"--output: {folder}: was labeled by another version of slung; choose another folder")
    return record


def _compare(folder: Path, record: dict | None, identity: dict) -> None:
    if record is None or record["job"] == identity:
        return
    theirs, ours = record["job"], identity
    if theirs.get("version") != ours["version"]:
        what = "by another version of slung"
    elif theirs["labelers"].keys() != ours["labelers"].keys():
        what = f"with other labelers ({', '.join(theirs['labelers'])})"
    elif changed := [name for name, digest in ours["labelers"].items() if theirs["labelers"][name] != digest]:
        what = f"with other settings, files or versions of {', '.join(changed)}"
    else:
        options = {"fields": "other --...-field options", "form": "another --form"}
        what = "with " + " and ".join(words for key, words in options.items() if theirs.get(key) != ours.get(key))
    raise OutputError(
        f"--output: {folder}: was labeled {what}; choose another folder, or delete this one to label again"
    )


def _inputs_of(job: Job) -> tuple[list[Path], list[str]]:
    files = [file for labeler in job.labelers for file in labeler.files()]
    return files, [package for labeler in job.labelers for package in labeler.packages]


def _made_from(job: Job, files: list[Path], packages: list[str]) -> dict[str, Any]:
    """What decides the job's identity, as JSON values that cost little."""
    return {
        "settings": digest_of([job.block.model_dump(mode="json"), job.settings(), sources("labeling")]),
        "files": [[os.path.abspath(file), *stamp(file)] for file in files],
        "versions": versions(packages),
    }


def _parsed(content: bytes) -> dict | None:
    """A record; None if it is empty, or cut by a kill while it was written."""
    try:
        record = json.loads(content)
        return record if isinstance(record["job"]["labelers"], dict) and "made_from" in record else None
    except (ValueError, KeyError, TypeError):
        return None


@contextmanager
def _locked(path: Path) -> Iterator[Any]:
    with open(path, "a+b", opener=opener(0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file
