"""The folder of an attack: attack.json, what has been done in it, and whether the same attack goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FileError, SlungError, os_errors
from ..storage import sha256_of, write_private

FORMAT, NAME = 1, "attack.json"
_EDGE = 1 << 20
"""Bytes at each end of a model's file that identify it. Training changes all of its numbers."""


@dataclass
class Attack:
    """An attack and its measured points. It is saved after each point.

    Attributes:
        folder: only the owner may read it.
        recipe: the attack's name.
        settings: what a point depends on beside its x. They have no risky text.
        points: `x` (steps, bits, a weight or a number of tokens), `tokens` (trained up to here) and `results` (a folder
            of lm_eval's, relative to `folder`), in the order of x.
        more: other keys of attack.json.
    """

    folder: Path
    recipe: str
    settings: Mapping[str, Any]
    points: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    def point(self, x: float) -> dict[str, Any] | None:
        """The point with this x, if it has been measured."""
        return next((point for point in self.points if point["x"] == x), None)

    def add(self, x: float, tokens: int, results: Path) -> None:
        """Record a measured point."""
        self.points.append({"x": x, "tokens": tokens, "results": results.relative_to(self.folder).as_posix()})
        self.points.sort(key=lambda point: point["x"])
        self.save()

    def save(self) -> None:
        """Write attack.json."""
        content = {
            "format": FORMAT,
            "recipe": self.recipe,
            "settings": self.settings,
            "points": self.points,
            **self.more,
        }
        write_private(self.folder / NAME, json.dumps(content, indent=2) + "\n")


def opened(folder: Path, recipe: str, settings: Mapping[str, Any]) -> Attack:
    """Begin an attack, or continue the one in this folder.

    Args:
        folder: created for the owner only.
        recipe, settings: of the attack.

    Raises:
        SlungError: the folder holds another attack, or something else.
    """
    settings = json.loads(json.dumps(settings))
    path = folder / NAME
    with os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = {entry.name for entry in folder.iterdir()}
        if not there - {NAME}:  # an attack that was refused before its first step leaves only its settings
            there = set()
        if NAME not in there:
            if there:
                raise FileError(f"-o: {folder}: has files but no {NAME}; name another folder")
            folder.chmod(0o700)
            attack = Attack(folder, recipe, settings)
            attack.save()
            return attack
    found = read(path)
    if found["recipe"] != recipe:
        raise SlungError(f"-o: {folder}: holds the attack {found['recipe']}; name another folder")
    before = found["settings"]
    if other := sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key)):
        raise SlungError(f"-o: {folder}: holds this attack with another {', '.join(other)}; name another folder")
    more = {key: value for key, value in found.items() if key not in ("format", "recipe", "settings", "points")}
    return Attack(folder, recipe, settings, found["points"], more)


def read(path: Path) -> dict[str, Any]:
    """The content of an attack.json.

    Raises:
        FileError: it cannot be read, or is not one.
    """
    with os_errors(path):
        text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
        if found["format"] != FORMAT or not {"recipe", "settings", "points"} <= found.keys():
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise FileError(f"{path}: is not what this version of `slung attack` writes; name another folder") from None
    return found


def identity_of(model: str) -> str:
    """A digest of a model's folder that changes when the model is trained again. A hub id stands for itself."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    with os_errors(folder):
        for path in sorted(folder.iterdir()):
            if path.suffix in (".safetensors", ".bin", ".json") and path.is_file():
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    digest.update(f"{path.name} {size} ".encode() + file.read(_EDGE))
                    file.seek(max(0, size - _EDGE))
                    digest.update(file.read(_EDGE))
    return digest.hexdigest()[:16]


def digest_of(files: Sequence[Path]) -> str:
    """A digest of files' contents.

    Raises:
        FileError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        with os_errors(path):
            digest.update(sha256_of(path).encode())
    return digest.hexdigest()[:16]
