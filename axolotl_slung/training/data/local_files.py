"""The local files that an entry of `datasets:` reads, found in the same way as Axolotl and `datasets` find them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from datasets import load_dataset_builder

from ...storage import walk
from ..stream_source import FORMATS, as_opened


def local_files(entry: Mapping, outputs: Iterable[str | Path] = ()) -> list[tuple[str, Path]]:
    """Every local file that the entry reads, in the order of reading.

    Args:
        entry: an entry of `datasets:`, `test_datasets:` or `pretraining_dataset:`.
        outputs: folders that runs write to. If a data folder contains one, the files in it do not count.

    Returns:
        `(name, path)` for each file. The name has its split and its path below the entry's folder. Empty for data on
        the hub or in the cloud, and if there are no files.
    """
    place, data_files = Path(entry.get("path") or ""), entry.get("data_files")
    if place.is_file():
        return [(".", place)]
    if data_files:
        # relative to the current folder, whatever `path` is
        return _resolved(None, "json", data_files=_here(data_files))
    if not entry.get("path") or not place.is_dir():
        return []
    if saved := _saved(place):
        return saved
    inside = [output for output in map(_absolute, outputs) if _absolute(place) in output.parents]
    if inside:
        # `datasets` would read the files in there as data too
        return [(name, path) for name, path in walk(place) if not any(o in _absolute(path).parents for o in inside)]
    names = entry.get("name")
    found = [_resolved(place, str(place), name=name) for name in (names if isinstance(names, list) else [names])]
    return [file for files in found for file in files]


def stream_files(entry: Mapping) -> list[Path]:
    """As `local_files`, for an entry that is opened with `stream_source.open_stream`."""
    opened = as_opened(entry)
    if not Path(opened["path"]).is_dir() and opened["path"] not in FORMATS.values():
        return []
    if opened["data_files"]:
        opened["data_files"] = _here(opened["data_files"])
    return [path for _, path in _resolved(None, **opened)]


def _resolved(folder: Path | None, *args, **kwargs) -> list[tuple[str, Path]]:
    """The files that `datasets.load_dataset` would read, local files only."""
    try:
        by_split = load_dataset_builder(*args, **kwargs).config.data_files or {}
    except (FileNotFoundError, ValueError):
        return []  # Axolotl will raise the same error
    # "zip://inner::outer.zip" reads outer.zip
    named = [(split, str(name).rpartition("::")[2]) for split, names in by_split.items() for name in names]
    read = [(split, Path(os.path.abspath(name))) for split, name in named if os.path.isfile(name)]
    if not read:
        return []
    folder = os.path.commonpath([path for _, path in read]) if folder is None else _absolute(folder)
    return [(f"{split}: {os.path.relpath(path, folder)}", path) for split, path in read]


def _here(data_files):
    """`data_files` without files on other machines. Their state could only be learned through a request."""
    if isinstance(data_files, Mapping):
        return dict(data_files)
    names = [data_files] if isinstance(data_files, str) else data_files
    return [name for name in names if "://" not in name.rpartition("::")[2]]


def _saved(folder: Path) -> list[tuple[str, Path]]:
    """The files of a data set that `save_to_disk` wrote: those that its state lists, without the caches beside them."""
    if (folder / "dataset_dict.json").is_file() and not (folder / "state.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
        return [(f"{split}/{name}", path) for split in splits for name, path in _saved(folder / split)]
    if not ((folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()):
        return []
    listed = [file["filename"] for file in json.loads((folder / "state.json").read_bytes())["_data_files"]]
    return [(name, folder / name) for name in ["dataset_info.json", "state.json", *listed]]


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().resolve()
