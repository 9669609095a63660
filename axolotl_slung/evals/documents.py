"""The rows on which a task measures a model: from the hub, a local file, or the package."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from ..errors import SlungError, few, first_line
from ..storage import read_text

_HUB = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[\w.-]+))?(?::(?P<split>[\w.-]+))?")


def load(
    option: str,
    source: str,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    splits: Sequence[str] = ("test", "train"),
):
    """A `datasets.Dataset` with these columns.

    Args:
        option: the variable that `source` comes from, such as SLUNG_TOFU; errors begin with it.
        source: `embedded`, a local file that ends in `.jsonl`, or `owner/name`, `owner/name:config` or
            `owner/name:config:split` on the hub (without `owner/` for data without an owner).
        columns: columns that each row must have. `toxicity` holds numbers, all others texts.
        optional: columns that are kept if all rows have them.
        splits: if `source` is on the hub and names no split, the first of these that exists is used.

    Raises:
        SlungError: the data does not exist, or a row lacks a column.
    """
    from datasets import Dataset

    if source == "embedded":
        rows = embedded(option)
    elif source.endswith(".jsonl"):
        rows = read_rows(option, Path(source).expanduser())
    else:
        return _from_hub(option, source, columns, optional, splits)
    if not rows:
        raise SlungError(f"{option}: {source} has no rows")
    rows = [{name: text_of(value) for name, value in row.items()} for row in rows]
    kept = [*columns, *(name for name in optional if all(isinstance(row.get(name), str) for row in rows))]
    for number, row in enumerate(rows, 1):
        for name in columns:
            number_wanted = name == "toxicity"
            if isinstance(row.get(name), bool) or not isinstance(row.get(name), int | float if number_wanted else str):
                kind = "number" if number_wanted else "text"
                raise SlungError(
                    f"{option}: row {number} of {source} has no {kind} in `{name}`; expected columns: "
                    f"{', '.join(columns)}"
                )
    return Dataset.from_dict({name: [row[name] for row in rows] for name in kept})


def text_of(value):
    """The text of a RealToxicityPrompts prompt, `{"text": ..., "toxicity": ...}`; other values stay as they are."""
    return value["text"] if isinstance(value, Mapping) and "text" in value else value


def embedded(option: str) -> list[dict]:
    """The small data set written for this project; it is a smoke test, not a measurement of a model."""
    if option == "SLUNG_TOFU":
        facts = read_embedded("people")
        return [
            {"question": fact["question"], "answer": fact["answer"], "author": fact["name"], "kind": fact["kind"]}
            for fact in facts
        ]
    name = {"SLUNG_TOXICITY_PROMPTS": "toxicity", "SLUNG_CIVILCOMMENTS": "civilcomments"}.get(option, "perplexity")
    return read_embedded(name)


def read_embedded(name: str) -> list[dict]:
    """The rows of `embedded/{name}.jsonl`, in the order of the file."""
    text = resources.files(__package__).joinpath("embedded", f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def identity(source: str, rows: Iterable[Mapping]) -> dict:
    """The description of the data in the results: its source, its number of rows and a digest of them.

    A local path is cut to the file's name.
    """
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
        count += 1
    name = Path(source).name if source.endswith(".jsonl") else source
    return {"source": name, "rows": count, "digest": digest.hexdigest()[:16]}


def read_rows(option: str, path: Path) -> list[dict]:
    """The rows of a file of JSON lines. Blank lines are left out.

    Raises:
        SlungError: the file cannot be read, or a line is not a JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(option, path).split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise SlungError(f"{option}: line {number} of {path} is not a JSON object; write one object per line")
            rows.append(row)
    return rows


def splits_of(option: str, source: str) -> list[str]:
    """The splits of data on the hub; empty for other data, or if `source` names a split."""
    place = _HUB.fullmatch(source)
    if source == "embedded" or source.endswith(".jsonl") or place is None or place["split"]:
        return []
    return list(_opened(option, source, place))


def _opened(option: str, source: str, place):
    from datasets import load_dataset

    try:
        return load_dataset(place["name"], place["config"])
    except Exception as error:  # of the hub, of HTTP, of the disk
        raise SlungError(
            f"{option}: the Hugging Face hub does not give {source!r}: {first_line(error)}. Name a local .jsonl file; or, to try the task on a few "
            f"made-up rows, {option}=embedded"
        ) from None


def _from_hub(option: str, source: str, columns, optional, splits):
    place = _HUB.fullmatch(source)
    if place is None:
        raise SlungError(
            f"{option}: {source!r}: expected `embedded`, a file that ends in .jsonl, or owner/name[:config[:split]] on "
            "the hub"
        )
    data = _opened(option, source, place)
    chosen = place["split"] or next((split for split in splits if split in data), splits[0])
    if chosen not in data:
        raise SlungError(f"{option}: {source!r} has no split {chosen!r}; it has {', '.join(data)}")
    data = data[chosen]
    if missing := [name for name in columns if name not in data.column_names]:
        raise SlungError(f"{option}: {source!r} has no column {missing[0]!r}; it has {few(data.column_names)}")
    if empty := [name for name in columns if data.data.column(name).null_count]:
        raise SlungError(f"{option}: {source!r} has rows without `{empty[0]}`; give a .jsonl file without those rows")
    return data.select_columns([*columns, *(name for name in optional if name in data.column_names)])
