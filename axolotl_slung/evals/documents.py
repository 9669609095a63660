"""The rows on which a task measures a model: from the hub, a local file, or the package."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from ..errors import SlungError, few, first_line
from ..storage import read_text

_HUB = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[\w.-]+))?(?::(?P<split>[\w.-]+))?")


NUMBERS = ("toxicity", "toxicity_human", "toxicity_ai", "prompt_label")
"""The columns that hold numbers; all others hold texts."""

_LOCAL = (".jsonl", ".csv")


def load(
    option: str,
    source: str,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    splits: Sequence[str] = ("test", "train"),
    extra: Sequence[str] = (),
):
    """A `datasets.Dataset` with these columns.

    Args:
        option: the variable that `source` comes from, such as SLUNG_TOFU; errors begin with it.
        source: `embedded`, `embedded:hatecheck`, a local file that ends in `.jsonl` or `.csv`, or `owner/name`,
            `owner/name:config` or `owner/name:config:split` on the hub (without `owner/` for data without an owner).
        columns: columns that each row must have. Those of `NUMBERS` hold finite numbers, `perturbed_answer`
            holds lists of texts, and all others hold texts.
        optional: columns that are kept if all rows have them; `toxicity` if any row has it.
        splits: if `source` is on the hub and names no split, the first of these that exists is used.
        extra: columns that are kept if any row has them; see `as_text`.

    Raises:
        SlungError: the data does not exist, or a row lacks a column.
    """
    from datasets import Dataset

    if not _is_local(source):
        return _from_hub(option, source, columns, optional, splits, extra)
    rows = _rows(option, source)
    kept = [*columns, *(name for name in optional if all(_is_text(name, row.get(name)) for row in rows))]
    if "toxicity" in optional and any(row.get("toxicity") is not None for row in rows):
        kept.append("toxicity")
    for number, row in enumerate(rows, 1):
        for name in kept:
            if name not in columns and (name not in NUMBERS or row.get(name) is None):
                continue
            value, number_wanted = row.get(name), name in NUMBERS
            if isinstance(value, bool) or not isinstance(value, int | float if number_wanted else str):
                kind = "number" if number_wanted else "text"
                raise SlungError(
                    f"{option}: row {number} of {source} has no {kind} in `{name}`; expected columns: {', '.join(kept)}"
                )
    known = {name: [row.get(name) for row in rows] for name in kept}
    found = [name for name in extra if any(name in row for row in rows)]
    return Dataset.from_dict(known | {name: [as_text(row.get(name)) for row in rows] for name in found})


def columns_of(option: str, source: str) -> list[str]:
    """The names of the columns of the first row. Arguments and errors are those of `load`."""
    if _is_local(source):
        return list(_rows(option, source)[0])
    data = _opened(option, source, _place(option, source))
    return next(iter(data.values())).column_names


def as_text(value) -> str:
    """A value of a column of names or numbers as text; "" for null and NaN, which is how pandas writes an empty cell."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _is_local(source: str) -> bool:
    return source in _EMBEDDED or source.endswith(_LOCAL)


def _rows(option: str, source: str) -> list[dict]:
    """The rows of a local file or of embedded data; at least one."""
    if source in _EMBEDDED:
        rows = embedded(option, source)
    else:
        read = _read_csv if source.endswith(".csv") else read_rows
        rows = read(option, Path(source).expanduser())
    if not rows:
        raise SlungError(f"{option}: {source} has no rows")
    known = [({} if (its := toxicity_of(row)) is None else {"toxicity": its}) for row in rows]
    return [{name: text_of(value) for name, value in row.items()} | its for row, its in zip(rows, known)]


def _is_text(column: str, value) -> bool:
    if column == "perturbed_answer":
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    return isinstance(value, str)


def text_of(value):
    """The text of a RealToxicityPrompts prompt, `{"text": ..., "toxicity": ...}`; other values stay as they are."""
    return value["text"] if isinstance(value, Mapping) and "text" in value else value


def toxicity_of(row: Mapping):
    """The toxicity that the data gives for a row's prompt (as in RealToxicityPrompts), or else for the row; or None."""
    prompt = row.get("prompt")
    if isinstance(prompt, Mapping) and "toxicity" in prompt:
        return prompt["toxicity"]
    return row.get("toxicity")


_EMBEDDED = ("embedded", "embedded:hatecheck")


def embedded(option: str, source: str = "embedded") -> list[dict]:
    """The small data set written for this project; it is a smoke test, not a measurement of a model."""
    comments = option in ("SLUNG_CIVILCOMMENTS", "SLUNG_CIVILCOMMENTS_TEST")
    if source == "embedded:hatecheck":
        if not comments:
            raise SlungError(f"{option}: {source}: only SLUNG_CIVILCOMMENTS can be this; set {option}=embedded")
        return read_embedded("hatecheck")
    if option == "SLUNG_TOFU":
        facts = read_embedded("people")
        return [
            {"question": fact["question"], "answer": fact["answer"], "author": fact["name"], "kind": fact["kind"]}
            for fact in facts
        ]
    if comments:
        return read_embedded("civilcomments")
    return read_embedded("toxicity" if option == "SLUNG_TOXICITY_PROMPTS" else "perplexity")


def read_embedded(name: str) -> list[dict]:
    """The rows of `embedded/{name}.jsonl`, in the order of the file."""
    text = resources.files(__package__).joinpath("embedded", f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def identity(source: str, rows: Iterable[Mapping]) -> dict:
    """The description of the data in the results: its source, its number of rows and a digest of them.

    See `named` for the source.
    """
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
        count += 1
    return {"source": named(source), "rows": count, "digest": digest.hexdigest()[:16]}


def named(source: str) -> str:
    """The source as results name it: a local path is cut to the file's name."""
    return Path(source).name if source.endswith(_LOCAL) else source


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


def _read_csv(option: str, path: Path) -> list[dict]:
    """The rows of a file of comma-separated values whose first row names the columns. Cells without a name are left out."""
    lines = csv.reader(io.StringIO(read_text(option, path), newline=""), strict=True)
    rows: list[dict] = []
    try:
        names = next(lines, [])
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(names):
                raise SlungError(
                    f"{option}: row {len(rows) + 1} of {path} has {len(cells)} cells, but the first line names "
                    f"{len(names)} columns; check the quotation marks"
                )
            rows.append({name: _cell(name, cell) for name, cell in zip(names, cells) if name})
    except csv.Error as error:  # its messages quote nothing
        raise SlungError(f"{option}: row {len(rows) + 1} of {path}: not valid CSV: {error}; save it again") from None
    return rows


def _cell(name: str, cell: str):
    if name not in NUMBERS:
        return cell
    try:
        return float(cell)
    except ValueError:
        return None


def splits_of(option: str, source: str) -> list[str]:
    """The splits of data on the hub; empty for other data, or if `source` names a split."""
    place = _HUB.fullmatch(source)
    if _is_local(source) or place is None or place["split"]:
        return []
    return list(_opened(option, source, place))


def _place(option: str, source: str):
    """The parts of a name on the hub."""
    place = _HUB.fullmatch(source)
    if place is None:
        raise SlungError(
            f"{option}: {source!r}: expected `embedded`, a file that ends in .jsonl or .csv, or "
            "owner/name[:config[:split]] on the hub"
        )
    return place


def _opened(option: str, source: str, place):
    from datasets import load_dataset

    try:
        return load_dataset(place["name"], place["config"])
    except Exception as error:  # of the hub, of HTTP, of the disk
        raise SlungError(
            f"{option}: the Hugging Face hub does not give {source!r}: {first_line(error)}. Name a local .jsonl or .csv file; or, to try the task on a few "
            f"made-up rows, {option}=embedded"
        ) from None


def _from_hub(option: str, source: str, columns, optional, splits, extra):
    place = _place(option, source)
    data = _opened(option, source, place)
    chosen = place["split"] or next((split for split in splits if split in data), splits[0])
    if chosen not in data:
        raise SlungError(f"{option}: {source!r} has no split {chosen!r}; it has {', '.join(data)}")
    data = data[chosen]
    if missing := [name for name in columns if name not in data.column_names]:
        raise SlungError(f"{option}: {source!r} has no column {missing[0]!r}; it has {few(data.column_names)}")
    if empty := [name for name in columns if data.data.column(name).null_count]:
        raise SlungError(f"{option}: {source!r} has rows without `{empty[0]}`; give a file without those rows")
    there = [name for name in optional if name in data.column_names]
    kept = [name for name in there if name in NUMBERS or all(_is_text(name, its) for its in data[name])]
    return data.select_columns([*columns, *kept, *(name for name in extra if name in data.column_names)])
