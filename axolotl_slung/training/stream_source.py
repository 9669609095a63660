"""Where a stream comes from: the entry that Axolotl opens, opened in the same way, and the entries that it cannot open.

Axolotl opens a stream in two ways. `pretraining_dataset:`, and `datasets:` with `streaming: true` and `sample_packing`,
go to `datasets.load_dataset` with path, name, split and data_files; only the first entry is used. Without packing,
`datasets:` are opened as they are without streaming, and all entries are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMATS = {
    ".jsonl": "json", ".json": "json", ".ndjson": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text",
    ".arrow": "arrow",
}  # fmt: skip
"""The builder of `datasets` for each kind of local file."""


def stream_key(cfg: Mapping) -> str | None:
    """The key whose first entry Axolotl streams through `load_dataset`; None if there is no such stream."""
    if cfg.get("pretraining_dataset"):
        return "pretraining_dataset"
    return "datasets" if cfg.get("streaming") and cfg.get("sample_packing") and cfg.get("datasets") else None


def stream_errors(cfg: Mapping) -> Iterator[str]:
    """What is wrong with the entries of a stream, one line each with the entry that works."""
    key = stream_key(cfg)
    if key is not None:
        first, *more = _entries(cfg[key])
        yield from _of_packed(f"{key}[0]", first, "pretrain" if key == "pretraining_dataset" else first.get("type"))
        if more:
            yield (
                f"{key}[1]: {more[0].get('path')}: Axolotl streams only the first entry; name all files in its "
                "`data_files`, such as data/*.jsonl"
            )
    elif cfg.get("streaming"):
        for index, entry in enumerate(_entries(cfg.get("datasets") or [])):
            path, files = entry.get("path"), entry.get("data_files")
            if path in FORMATS.values() and isinstance(files, str) and not Path(path).exists():
                shown = f"{{path: {files}, ds_type: {path}, type: {entry.get('type')}}}"
                yield (
                    f"datasets[{index}].path: {path}: without `sample_packing`, Axolotl looks for this name on the hub; "
                    f"write {shown}"
                )


def _of_packed(where: str, entry: Mapping, kind) -> Iterator[str]:
    path, files = str(entry.get("path")), entry.get("data_files")
    place = Path(path).expanduser()
    form = form_of(place)
    rest = "" if kind == "pretrain" else f", type: {kind}"
    if place.is_file() or (form and not place.is_dir() and "://" not in path):
        yield (
            f"{where}.path: {path}: Axolotl opens a stream with `load_dataset`, which takes no file here; write "
            f"{{path: {form or 'json'}, data_files: {path}{rest}}}"
        )
    elif path in FORMATS.values() and not files and not place.exists():
        yield f"{where}.data_files: missing, but `path: {path}` is only a format; write data_files: FILE beside it"
    elif (place / "state.json").is_file() or (place / "dataset_dict.json").is_file():
        yield (
            f"{where}.path: {path}: Axolotl cannot stream what `save_to_disk` wrote; write "
            f"{{path: arrow, data_files: {path}/**/*.arrow{rest}}}"
        )


def form_of(place: Path) -> str | None:
    """The builder for a file's name, whatever it is packed with."""
    return next((FORMATS[suffix.lower()] for suffix in reversed(place.suffixes) if suffix.lower() in FORMATS), None)


def _entries(value: Any) -> list[Mapping]:
    """The entries of a key, before and after Axolotl has checked the config."""
    found = value if isinstance(value, list) else [value]
    return [{"path": entry} if isinstance(entry, str) else dict(entry) for entry in found]


def as_opened(entry: Mapping) -> dict:
    """The arguments with which Axolotl opens a stream, for `load_dataset` and `load_dataset_builder`, without split."""
    return {"path": entry["path"], "name": entry.get("name"), "data_files": entry.get("data_files")}


def open_stream(entry: Mapping) -> Any:
    """The raw documents of an entry, as an `IterableDataset`, as training reads them before it shuffles.

    Args:
        entry: the first entry of `stream_key`.
    """
    from datasets import load_dataset

    rows = load_dataset(**as_opened(entry), split=entry.get("split") or "train", streaming=True)
    return rows.skip(entry["skip"]) if entry.get("skip") else rows
