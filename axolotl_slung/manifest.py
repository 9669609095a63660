"""`slung_manifest.json`: what a model was trained on. It has digests and counts, and no names or texts of the data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import FileError, os_errors
from .storage import replacing

NAME, FORMAT = "slung_manifest.json", 1

KEYS = (
    "versions",
    "data",
    "holdout_share",
    "rows",
    "labelers",
    "buckets",
    "actions",
    "base_model",
    "method",
    "command",
)
"""The keys beside `format`. `provenance` of an audit has them as well.

versions: of packages, by name.
data: for each data set `where` it is in the YAML, its `digest`, and what that is made `from`: the `content` of files, the
    `sizes` of a stream's files, or only the `name` of data on the hub.
holdout_share: the share of the rows that were left out of training.
rows: of the training data; null for a stream.
labelers: `name`, `type` and `digest` of each.
buckets: `name`, `below` and `action` of each, ascending.
actions: tokens of the training data by action; null if they were not counted.
base_model: its name on the hub, or the name of its folder.
method: null if the config gives buckets.
command: the program, with the names of options and files.
"""


def read(folder: str | Path) -> dict[str, Any] | None:
    """The manifest in a model's folder; None if it has none.

    Raises:
        FileError: it cannot be read, or is not as training writes it.
    """
    path = Path(folder, NAME)
    with os_errors(path):
        if not path.is_file():
            return None
        content = path.read_bytes()
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict) or not {"format", *KEYS} <= manifest.keys():
        raise FileError(f"{path}: is not what training writes; train again, or delete the file")
    if manifest["format"] != FORMAT:
        raise FileError(
            f"{path}: format: is not {FORMAT}, the one that this version reads; use the version that wrote it"
        )
    return manifest


def write(folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest, the values of `KEYS`, into a model's folder.

    Raises:
        FileError: it cannot be written.
    """
    path = Path(folder, NAME)
    content = {"format": FORMAT, **{key: manifest[key] for key in KEYS}}
    with os_errors(path), replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def differences(manifest: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[str]:
    """What differs between the training data of a model and the data of an audit, one line for each difference.

    Args:
        manifest: of the model.
        provenance: of the audit.
    """
    trained, drawn = manifest["data"], provenance["data"]
    lines = [
        f"{one['where']}: its data ({one['digest'][:12]}) is not what the model was trained on ({other['digest'][:12]})"
        for one, other in zip(drawn, trained)
        if one["digest"] != other["digest"]
    ]
    if len(trained) != len(drawn):
        lines.append(f"datasets: {len(drawn)} data sets, but the model was trained on {len(trained)}")
    if manifest["holdout_share"] != provenance["holdout_share"]:
        lines.append(
            f"slung.holdout_share: {provenance['holdout_share']:g}, but the model was trained with "
            f"{manifest['holdout_share']:g}"
        )
    return lines


def other_labelers(manifest: Mapping[str, Any], provenance: Mapping[str, Any], unused: Iterable[str]) -> list[str]:
    """The labelers of an audit that did not label the training data of a model, by all that decides their labels.

    A model without any labeler was trained plainly, and has none to compare.

    Args:
        manifest: of the model.
        provenance: of the audit.
        unused: names of labelers that found nothing in the training data.
    """
    known = {one["digest"] for one in manifest["labelers"] or ()}
    drawn = {one["name"]: one["digest"] for one in provenance.get("labelers") or () if one["name"] not in {*unused}}
    return [name for name, digest in drawn.items() if known and digest not in known]


def command(argv: Sequence[str]) -> str:
    """A command line with the names of its program, options and files. Other values are shown as `…`.

    Args:
        argv: the program and its arguments.
    """
    shown = [Path(argv[0]).name]
    for argument in argv[1:]:
        if argument.startswith("-"):
            name, is_set, _ = argument.partition("=")
            shown.append(f"{name}=…" if is_set else name)
        else:
            shown.append(Path(argument).name if _is_file(argument) else "…")
    return " ".join(shown)


def _is_file(argument: str) -> bool:
    try:
        return Path(argument).exists()
    except (OSError, ValueError):
        return False


def card(manifest: Mapping[str, Any]) -> str:
    """A part of a model card, in Markdown: methods, counts and digests."""
    rows = "a stream" if manifest["rows"] is None else f"{manifest['rows']:,} rows"
    version = manifest["versions"]["axolotl-slung"]
    lines = [
        f"Trained with axolotl-slung {version} on {rows}. `{NAME}` says the same for programs.",
        "",
        "| bucket | scores below | action |",
        "|---|---|---|",
    ]
    for bucket in manifest["buckets"]:
        bound = "" if bucket["below"] is None else f"{bucket['below']:g}"
        lines.append(f"| {bucket['name']} | {bound} | {bucket['action']} |")
    if manifest["actions"]:
        counts = ", ".join(f"{action} {number:,}" for action, number in manifest["actions"].items())
        lines += ["", f"Tokens by action: {counts}."]
    lines += ["", "| | sha256 |", "|---|---|"]
    lines += [f"| labeler {one['name']} ({one['type']}) | {one['digest']} |" for one in manifest["labelers"]]
    lines += [f"| {one['where']}, by {one['from']} | {one['digest']} |" for one in manifest["data"]]
    if manifest["holdout_share"]:
        lines += ["", f"A share of {manifest['holdout_share']:g} of the rows was left out of training."]
    inside = "\n".join(lines)
    return f"\n<details><summary>Selective loss</summary>\n\n{inside}\n\n</details><br>\n"
