"""`slung mix`: builds a mix in its folder, or verifies one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from ..corpus.output import STATE
from ..errors import SlungError, os_errors
from ..labeling.record import recorded_cuts, write_cuts
from ..storage import opener, replacing, sha256_of
from ..visible import visible
from .build import PARTS, Built, build
from .config import Mix, MixError
from .inputs import Input
from .journal import lock
from .manifest import FORMAT, NAME, manifest_of, read_manifest, tokenizer_digest, written
from .reading import Reading
from .scan import Report, check, check_size

JOB = "mix.json"
"""In `STATE`: what decides the output."""
_WORK, _VERIFY = "work", "verify"
_BAD = "bad_lines.txt"
_LOCK = "lock"


def check_mix(mix: Mix, inputs: Sequence[Input], tokenizer: Any) -> None:
    """Check what can be known before anything long starts.

    Raises:
        MixError: the mix cannot be built.
    """
    for one in inputs:
        _check_source(one, getattr(mix, one.role)[one.entry].text_field)
    reading = Reading(mix, inputs, tokenizer)
    check(reading)
    name, budget = mix.levels[-1]
    for role, key, tokens in (("risky", f"budgets.{name}", budget), ("base", "tokens", mix.tokens)):
        held = getattr(mix.heldout, role)
        check_size(reading, role, tokens + held, f"{key} and heldout.{role}" if held else key)


def _check_source(one: Input, text_field: str) -> None:
    try:
        columns = one.source.check() or {}
    except SlungError as error:
        # the messages of `slung label` name its options
        told = str(error).replace("choose others with --columns", "rename them")
        raise MixError(
            f"{one.role}[{one.entry}].path: {told.replace('--subset and --split', 'subset and split')}"
        ) from None
    if (kind := columns.get(text_field, "a string")) != "a string":
        # JSON has bytes as base64, which would be trained
        raise MixError(
            f"{one.role}[{one.entry}].text_field: {text_field!r}: expected a string in {one.source.path}, got {kind}; choose "
            "another column, or convert it"
        )


def begin(mix: Mix, inputs: Sequence[Input], tokenizer: Any, output: Path) -> bool:
    """Claim the folder of a mix.

    Returns:
        Whether there is anything to do.

    Raises:
        MixError: the folder holds something else.
    """
    state, job = output / STATE, _job(mix, inputs, tokenizer)
    _compare(output, job)
    if (output / NAME).exists():
        _check_complete(output)
        rmtree(state / _WORK, ignore_errors=True)
        return False
    state.mkdir(parents=True, exist_ok=True)
    with locked(output, mode_of(inputs)), os_errors(state), replacing(state / JOB) as part:
        part.write_text(json.dumps(job), encoding="utf-8")
    return True


def make(mix: Mix, inputs: Sequence[Input], tokenizer: Any, output: Path, workers: int | None, report: Report) -> bool:
    """Build a mix, and go on where an earlier run stopped.

    Returns:
        Whether there was anything to do.

    Raises:
        MixError: the mix cannot be built, or the folder holds something else.
    """
    if not begin(mix, inputs, tokenizer, output):
        return False
    state, mode = output / STATE, mode_of(inputs)
    with locked(output, mode):
        built = build(mix, inputs, tokenizer, work_folder(output), mode, workers, report)
        _compare(output, _job(mix, inputs, tokenizer))  # the inputs may have changed meanwhile
        manifest = manifest_of(mix, inputs, tokenizer, built)
        _write_bad(state / _BAD, inputs, built, mode)
        if cuts := recorded_cuts(one.source.path for one in inputs if one.role == "risky" and one.source.kind != "hub"):
            write_cuts(output, cuts)
        for path in sorted((state / _WORK / PARTS).glob("*")):
            if (output / path.name).exists():
                rmtree(output / path.name)  # of an earlier run, whose manifest was deleted
            path.replace(output / path.name)
        with open(state / _WORK / NAME, "w", encoding="utf-8") as file:
            file.write(json.dumps(manifest, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        (state / _WORK / NAME).replace(output / NAME)
        rmtree(state / _WORK)
    return True


def verify(
    mix: Mix, inputs: Sequence[Input], tokenizer: Any, output: Path, workers: int | None, report: Report
) -> list[str]:
    """Compare a mix with its manifest, and with a mix that is built again from the same sources.

    Returns:
        What differs, one line each. Settings, files and sources come first: if they differ, nothing is built.

    Raises:
        MixError: there is no mix, or it cannot be built again.
    """
    manifest = read_manifest(output)
    if lines := [*_settings(mix, tokenizer, manifest), *_files(output, manifest, report), *_sources(inputs, manifest)]:
        return lines
    folder, mode = output / STATE / _VERIFY, mode_of(inputs)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(output, mode):
        job = json.dumps(_job(mix, inputs, tokenizer))
        if (folder / JOB).exists() and (folder / JOB).read_text(encoding="utf-8") != job:
            rmtree(folder)
            folder.mkdir()
        (folder / JOB).write_text(job, encoding="utf-8")
        built = build(mix, inputs, tokenizer, folder, mode, workers, report, keep=False)
        again = json.loads(json.dumps(manifest_of(mix, inputs, tokenizer, built)))
        rmtree(folder)
    return _differences(manifest, again)


# ---- the folder


def _job(mix: Mix, inputs: Sequence[Input], tokenizer: Any) -> dict[str, Any]:
    """Everything that decides the output, as JSON values."""
    job = {
        "format": FORMAT,
        "settings": mix.settings(),
        "tokenizer": tokenizer_digest(tokenizer),
        "sources": {f"{one.role}[{one.entry}] {one.source.path}": one.identity() for one in inputs},
    }
    return json.loads(json.dumps(job))


def _compare(output: Path, job: dict[str, Any]) -> None:
    """Check that a folder is empty or holds this mix."""
    path = output / STATE / JOB
    if not path.exists():
        there = [*output.iterdir()] if output.is_dir() else []
        there += [*(output / STATE).iterdir()] if (output / STATE).is_dir() else []
        if any(one.name not in (STATE, _LOCK) and not one.name.startswith(f"{JOB}.") for one in there):
            raise MixError(f"--output: {output}: has other files; choose a folder that is empty or not there yet")
        return
    try:
        theirs = json.loads(path.read_bytes())
        damaged = not isinstance(theirs, dict) or not theirs.keys() >= job.keys()
    except (ValueError, RecursionError):
        theirs, damaged = {}, True
    if damaged:
        raise MixError(f"--output: {output}: its {STATE}/{JOB} is damaged; choose another folder, or delete this one")
    if theirs == job:
        return
    what = f"is from other {_changed(theirs, job)}"
    raise MixError(f"--output: {output}: {what}; choose another folder, or delete this one to build it again")


def _check_complete(output: Path) -> None:
    """Check that the files of a mix that has a manifest are there. `verify` reads them, too."""
    for name, facts in written(read_manifest(output)):
        path = output / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            what = "has another size than in the manifest" if path.is_file() else "is not there"
            raise MixError(f"--output: {output}: {name}: {what}; delete the folder to build the mix again")


def _changed(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    if theirs.get("format") != ours["format"]:
        return "versions of slung"
    if theirs["settings"] != ours["settings"]:
        return f"settings ({', '.join(key for key in ours['settings'] if theirs['settings'].get(key) != ours['settings'][key])})"
    if theirs["tokenizer"] != ours["tokenizer"]:
        return "rules of the tokenizer"
    before, now = theirs["sources"], ours["sources"]
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return f"sources, or these have changed since: {', '.join(visible(one) for one in changed[:5])}"


def work_folder(output: Path) -> Path:
    """Where a mix is built; see `build.Work`."""
    return output / STATE / _WORK


def mode_of(inputs: Sequence[Input]) -> int:
    """The permissions of files: who may not read an input may not read the mix."""
    mode = 0o666
    for one in inputs:
        if one.source.kind != "hub":
            for path in (one.source.path, *one.beside):
                mode &= os.stat(path).st_mode
    return mode | 0o600


@contextmanager
def locked(output: Path, mode: int, shared: bool = False) -> Iterator[None]:
    """Lock a folder that has begun.

    Args:
        output: the folder.
        mode: the permissions of the lock's file.
        shared: whether it is locked against `make` and `verify` only, and not against other tasks.

    Raises:
        MixError: another run has locked it.
    """
    with open(output / STATE / _LOCK, "a", opener=opener(mode)) as file:
        lock(file, shared)
        yield


def _write_bad(path: Path, inputs: Sequence[Input], built: Built, mode: int) -> None:
    if not any(index.state.bad for index in built.indices):
        return
    with replacing(path) as part, open(part, "x", encoding="utf-8", opener=opener(mode)) as file:
        for one, index in zip(inputs, built.indices):
            file.writelines(visible(f"{one.source.path}:{number}: {reason}") + "\n" for number, reason in index.bad())


# ---- verifying


def _settings(mix: Mix, tokenizer: Any, manifest: dict[str, Any]) -> list[str]:
    now, then = mix.settings(), manifest["settings"]
    lines = [f"{key}: is not what the mix was built with" for key in now if now[key] != then.get(key)]
    if manifest["tokenizer"]["sha256"] != tokenizer_digest(tokenizer):
        lines.append("tokenizer: its rules are not those that the mix was built with")
    return lines


def _files(output: Path, manifest: dict[str, Any], report: Report) -> list[str]:
    files = written(manifest)
    lines = []
    for number, (name, facts) in enumerate(files):
        path = output / name
        if not path.is_file():
            lines.append(f"{name}: is not there")
        elif sha256_of(path) != facts["sha256"]:
            lines.append(f"{name}: is not the file of the manifest")
        report("reading the files of the mix", "files", number + 1, len(files))
    known = {name for name, _ in files}
    folders = {name.rpartition("/")[0] for name in known}
    there = {f"{folder}/{path.name}" for folder in sorted(folders) for path in (output / folder).glob("*")}
    return lines + [f"{name}: is not in the manifest" for name in sorted(there - known)]


def _sources(inputs: Sequence[Input], manifest: dict[str, Any]) -> list[str]:
    """Sources that are others than those of the manifest, as far as a look at the files tells."""
    lines = []
    for role, entries in manifest["sources"].items():
        for number, entry in enumerate(entries):
            now = {one.name: one for one in inputs if (one.role, one.entry) == (role, number)}
            then = {file["name"]: file for file in entry["files"]}
            for name in sorted(now.keys() ^ then.keys()):
                what = "is not in the manifest" if name in now else "is not there any more"
                lines.append(f"{role}[{number}]: {name}: {what}")
            for name in sorted(now.keys() & then.keys()):
                expected = [then[name]["sha256"], *then[name]["attributes_sha256"]]
                paths = [now[name].source.path, *now[name].beside]
                if any(digest and sha256_of(Path(path)) != digest for path, digest in zip(paths, expected)):
                    lines.append(f"{role}[{number}]: {name}: is not the file that the mix was built from")
    return lines


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two manifests with equal settings."""
    lines = []
    if then["sources"] != now["sources"]:
        lines.append("sources: other lines were read than those of the manifest")
    if then["criteria"] != now["criteria"]:
        lines.append("criteria: other documents meet them")
    if [_without_files(one) for one in then["streams"]] != [_without_files(one) for one in now["streams"]]:
        lines.append("streams: other counts of documents or tokens")
    files = dict(written(now))
    same_packers = all(then["versions"].get(one) == now["versions"][one] for one in ("zstandard", "pyarrow"))
    for name, facts in written(then):
        again = files.get(name)
        # other versions of the packers may pack the same rows in other bytes
        keys = ("rows_sha256", "sha256") if same_packers else ("rows_sha256",)
        if again is None or any(again[key] != facts[key] for key in keys):
            lines.append(f"{name}: the sources give other rows")
    if len(files) != len(written(then)):
        lines.append("files: another number of files")
    return lines


def _without_files(one: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != "files"}
