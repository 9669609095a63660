"""`manifest.json`: what a mix is made of and what it holds, without texts, names or ids of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import os_errors
from ..labeling.identity import versions
from .build import Built
from .config import Mix, MixError
from .index import State
from .inputs import Input
from .planned import criteria_counts

NAME, FORMAT = "manifest.json", 1

_PACKAGES = ("tokenizers", "transformers", "numpy", "zstandard", "pyarrow", "livekit-blingfire")
_KEYS = ("format", "versions", "settings", "tokenizer", "sources", "criteria", "streams", "heldout")


def tokenizer_digest(tokenizer: Any) -> str:
    """The SHA-256 of a fast tokenizer's rules."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def manifest_of(mix: Mix, inputs: Sequence[Input], tokenizer: Any, built: Built) -> dict[str, Any]:
    """The manifest of a complete mix, as JSON values."""
    states = [index.state for index in built.indices]
    read, left_out = criteria_counts(inputs, states)
    files = [_of_file(*one) for one in zip(inputs, states, built.digests)]
    met = {name: left_out.get(name, 0) for name in mix.settings()["criteria"]}
    return {
        "format": FORMAT,
        "versions": {"axolotl-slung": __version__, **versions(_PACKAGES)},
        "settings": mix.settings(),
        "tokenizer": {"name": mix.tokenizer, "sha256": tokenizer_digest(tokenizer)},
        "sources": {
            role: [
                {
                    "path": entry.path,
                    "license": entry.license,
                    "files": [file for one, file in zip(inputs, files) if (one.role, one.entry) == (role, number)],
                }
                for number, entry in enumerate(getattr(mix, role))
            ]
            for role in ("base", "risky")
        },
        "criteria": {"documents": read, "left_out": met, "chosen": read - sum(left_out.values())},
        "streams": built.streams,
        "heldout": built.heldout,
    }


def _of_file(one: Input, state: State, digests: tuple[str | None, list[str]]) -> dict[str, Any]:
    """What was read of an input. A file that was read to its end has its own digest, too."""
    return {
        "name": one.name,
        "bytes": one.source.size,
        "sha256": digests[0],
        "attributes_sha256": digests[1],
        "whole": state.finished,
        "lines": state.lines,
        "lines_sha256": state.digest,
        "documents": state.counts.get("documents", 0),
        "also_risky": state.counts.get("also_risky", 0),
        "usable": {"documents": state.records, "tokens": state.tokens},
        "bad_lines": state.bad,
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a mix.

    Raises:
        MixError: there is none, or it is damaged or of another version.
    """
    path = folder / NAME
    with os_errors(path):
        if not path.is_file():
            raise MixError(f"{path}: is not there, so this is not a complete mix; run slung mix without --verify")
        content = path.read_bytes()
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    if not _is_manifest(manifest):
        raise MixError(f"{path}: is not what slung mix writes; build the mix again")
    if manifest["format"] != FORMAT:
        raise MixError(
            f"{path}: format: is not {FORMAT}, the one that this version reads; use the version that wrote it"
        )
    return manifest


def _is_manifest(content: Any) -> bool:
    """Whether a file's content has the parts of a manifest that are read."""
    if not isinstance(content, dict) or not set(_KEYS) <= content.keys():
        return False
    if content["format"] != FORMAT:
        return True  # another version of slung wrote it
    try:
        facts = [(name, one["sha256"], one["rows_sha256"], one["bytes"] + 0) for name, one in written(content)]
        counts = [(one["tokens"]["total"], dict(one["risky_tokens"])) for one in content["streams"]]
        counts += [one["tokens"] for one in content["heldout"].values()]
        files = [one for role in ("base", "risky") for entry in content["sources"][role] for one in entry["files"]]
        facts += [(one["name"], one["sha256"], one["attributes_sha256"], one["bad_lines"] + 0) for one in files]
        told = content["criteria"]["chosen"] + content["criteria"]["documents"] + 0
        return bool(facts and counts) and isinstance(told, int) and isinstance(content["settings"], dict)
    except (TypeError, KeyError, AttributeError, ValueError):
        return False


def written(manifest: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every file of a mix: its path below the mix's folder, and what the manifest says of it."""
    found = [(f"{one['path']}/{file['name']}", file) for one in manifest["streams"] for file in one["files"]]
    return found + [(f"heldout/{file['name']}", file) for one in manifest["heldout"].values() for file in one["files"]]
