"""From the inputs on the command line to sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .sources import JSON_LINES, PARQUET, Source, SourceError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_sources(
    inputs: Sequence[str],
    output: Path | None = None,
    subset: str | None = None,
    split: str = "train",
    columns: Sequence[str] | None = None,
) -> list[Source]:
    """Find the sources that `inputs` name, sorted by output name.

    Args:
        inputs: files, folders (with their subfolders) and ids of hub data sets.
        output: the folder for the outputs, if any.
        subset, split: of the hub data sets.
        columns: see `Source`.

    Raises:
        SourceError: an input is missing or of an unknown kind, or two inputs have the same output.
    """
    columns = tuple(columns) if columns else None
    sources: list[Source] = []
    for given in inputs:
        path = Path(given).expanduser()
        if path.is_dir():
            if output and output.resolve().is_relative_to(path.resolve()):
                raise SourceError(f"--output: {output}: lies in the input {given}; choose a folder outside it")
            found = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p.name))
            if not found:
                raise SourceError(
                    f"{given}: no files in this folder end in {', '.join(JSON_LINES + PARQUET)}; give another folder"
                )
            sources += [_of_file(file, file.relative_to(path), columns) for file in found]
        elif path.is_file():
            if not _kind(path.name):
                raise SourceError(
                    f"{given}: unknown kind of file; expected a name that ends in {', '.join(JSON_LINES + PARQUET)}"
                )
            sources.append(_of_file(path, Path(path.name), columns))
        elif _HUB_ID.fullmatch(given):
            name = "--".join(filter(None, (given.replace("/", "--"), subset, split)))
            sources.append(Source(f"{name}.jsonl.zst", given, "hub", subset, split, columns))
        else:
            raise SourceError(f"{given}: no such file or folder; give one, or the id of a hub data set (owner/name)")
    if (subset or split != "train") and not any(source.kind == "hub" for source in sources):
        raise SourceError("--subset, --split: no input is a hub data set; leave these options out")
    return _distinct(sources, output)


def _kind(name: str) -> str | None:
    return "json" if name.endswith(JSON_LINES) else "parquet" if name.endswith(PARQUET) else None


def _of_file(path: Path, name: Path, columns) -> Source:
    kind = _kind(path.name)
    if kind == "parquet":
        return Source(str(name.with_suffix(".jsonl.zst")), str(path), kind, columns=columns)
    return Source(str(name), str(path), kind)


def _distinct(sources: list[Source], output: Path | None) -> list[Source]:
    by_name: dict[str, Source] = {}
    for source in sources:
        if (other := by_name.setdefault(source.name, source)) is not source:
            raise SourceError(
                f"{source.path}: {other.path} would also be written to {source.name}; label them into separate folders"
            )
        if output and Path(source.path).resolve() == (output / source.name).resolve():
            raise SourceError(f"--output: {output}: would overwrite {source.path}; choose another folder")
    return sorted(sources, key=lambda source: source.name)
