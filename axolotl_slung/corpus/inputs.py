"""From the inputs on the command line to sources."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import get_logger
from ..packed import PACKINGS, suffix_of
from ..storage import special, walk
from .sources import Source, SourceError

LOG = get_logger(__name__)

JSON_LINES = (".jsonl", ".json", ".ndjson", ".jsonlines")
PARQUET = ".parquet"
_READABLE = f"{', '.join(JSON_LINES)} (also with {', '.join(PACKINGS)}) or {PARQUET}"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")
_OF_FILES = frozenset(
    (
        *JSON_LINES,
        PARQUET,
        *PACKINGS,
        *[".csv", ".tsv", ".txt", ".arrow", ".parq", ".jl", ".zip", ".tar", ".yml", ".yaml"],
    )
)


def find_sources(
    inputs: Sequence[str],
    output: Path | None = None,
    subset: str | None = None,
    split: str = "train",
    columns: Sequence[str] | None = None,
) -> list[Source]:
    """Find the sources that `inputs` name, sorted by output name. What is left out of a folder is logged.

    Args:
        inputs: files, folders (with their subfolders) and ids of hub data sets. Hidden files and folders, whose names
            begin with `.` or `__`, are left out. Links to folders are followed, each folder once.
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
            sources += _of_folder(given, path, output, columns)
        elif path.is_file():
            if not _kind(path):
                raise SourceError(f"{given}: unknown kind of file; expected a name that ends in {_READABLE}")
            sources.append(_of_file(path, Path(path.name), columns))
        elif os.path.lexists(path) or given == "-":
            what = "standard input" if given == "-" else special(path)
            raise SourceError(f"{given}: is {what}, not a file or a folder; save its content to a file and give that")
        elif _is_hub_id(given):
            name = "--".join(filter(None, (given.replace("/", "--"), subset, split)))
            sources.append(Source(f"{name}.jsonl.zst", given, "hub", subset, split, columns))
        else:
            raise SourceError(f"{given}: {_missing(given)}")
    if (subset or split != "train") and not any(source.kind == "hub" for source in sources):
        raise SourceError("--subset, --split: no input is a hub data set; leave these options out")
    if columns and (lines := [source for source in sources if source.kind == "json"]):
        raise SourceError(
            f"--columns: {lines[0].path}: is JSON lines, which are kept as they are; leave this option out, or give "
            "only Parquet files and hub data sets"
        )
    return _distinct(sources, output)


def _is_hub_id(given: str) -> bool:
    """Whether a path that does not exist can only be meant for the hub. A mistyped path is not sent there."""
    if not _HUB_ID.fullmatch(given) or Path(given).suffix.lower() in _OF_FILES:
        return False
    return not os.path.lexists(given.partition("/")[0])


def _missing(given: str) -> str:
    if _HUB_ID.fullmatch(given) and os.path.lexists(owner := given.partition("/")[0]):
        why = f"and the hub is not asked, because {owner} exists here"
        return f"no such file or folder, {why}; check the path, or run the command in another folder"
    return "no such file or folder; give one, or the id of a hub data set (owner/name)"


def _of_folder(given: str, folder: Path, output: Path | None, columns) -> list[Source]:
    out = output.resolve() if output else None
    if out and out.is_relative_to(folder.resolve()):
        raise SourceError(f"--output: {output}: lies in the input {given}; choose a folder outside it")
    left_out: Counter[str] = Counter()
    sources = []
    for name, path in walk(folder, left_out):
        if out and path.resolve().is_relative_to(out):
            raise SourceError(f"--output: {output}: the input {given} has a link to it; choose another folder")
        if _kind(path):
            sources.append(_of_file(path, Path(name), columns))
        else:
            left_out[_suffix(path)] += 1
    kinds = ", ".join(f"{number} {kind}" for kind, number in left_out.most_common())
    if not sources:
        found = f"; it has {kinds}" if kinds else ""
        raise SourceError(f"{given}: no files in this folder end in {_READABLE}{found}; give another folder")
    if kinds:
        LOG.warning("slung: %s: left out: %s", given, kinds)
    return sources


def _suffix(path: Path) -> str:
    """What the notice about left out files calls this one: its suffix, if that is a plain word."""
    ends = path.suffixes[-2:] if suffix_of(path) else path.suffixes[-1:]
    return "".join(ends).lower() if ends and all(map(_SUFFIX.fullmatch, ends)) else "without a known suffix"


def _kind(path: Path) -> str | None:
    if path.suffix.lower() == PARQUET:
        return "parquet"
    plain = path.with_suffix("") if suffix_of(path) else path
    return "json" if plain.suffix.lower() in JSON_LINES else None


def _of_file(path: Path, name: Path, columns) -> Source:
    """The source with the name of its output, which `datasets` has to recognize by its suffix."""
    if (kind := _kind(path)) == "parquet":
        return Source(str(name.with_suffix(".jsonl.zst")), str(path), "parquet", columns=columns)
    packed = suffix_of(name)
    plain = name.with_suffix("") if packed else name
    suffix = plain.suffix.lower().replace(".jsonlines", ".jsonl")
    packed = packed if packed in ("", ".gz") else ".zst"
    return Source(f"{plain.with_suffix('')}{suffix}{packed}", str(path), kind)


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
