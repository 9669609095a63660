"""The folders of `slung attack`: what was measured after each step of an attack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import SlungError, os_errors
from ..visible import visible
from .comparable import compare
from .estimates import Estimate, of_run
from .results import ATTACK, Run, Source, attack_folders, runs_below
from .tasks import AUDIT, EXTRACTION

RECIPES = {
    "relearn": ("relearning", "steps on other rows of the same kind"),
    "benign": ("benign fine-tuning", "steps on harmless text"),
    "quantized": ("quantization", "bits"),
    "guided": ("decoding guided by the model before training", "weight"),
    "forced": ("forced prefix", "first tokens of the span given"),
}
"""For each recipe its name and the unit of `x`."""


@dataclass(frozen=True)
class Point:
    """The audit after one step of an attack: `x` in the recipe's unit, the tokens trained up to here, and the runs by task."""

    x: float
    tokens: int | None
    runs: dict[str, Run]

    @property
    def extracted(self) -> Estimate | None:
        """The share of spans that were extracted; None if it was not measured."""
        run = self.runs.get(EXTRACTION)
        return of_run(run.metrics, "extracted") if run and run.metrics.get("extracted") is not None else None


@dataclass(frozen=True)
class Attack:
    """An attack on the model with this label: its recipe, its folder, and its points in the order of x."""

    label: str
    recipe: str
    folder: Path
    points: list[Point]

    @property
    def name(self) -> str:
        """The recipe in words."""
        return RECIPES.get(self.recipe, (self.recipe, ""))[0]

    @property
    def unit(self) -> str:
        """What `x` counts."""
        return RECIPES.get(self.recipe, ("", "x"))[1]

    def back(self, share: float) -> Point | None:
        """The first point at which at least this share of spans was extracted."""
        return next((point for point in self.points if point.extracted and point.extracted.mean >= share), None)

    def to_json(self) -> dict:
        """As numbers and strings."""
        points = [
            {"x": point.x, "tokens": point.tokens, "extracted": point.extracted and vars(point.extracted)}
            for point in self.points
        ]
        return {"label": self.label, "recipe": self.recipe, "folder": str(self.folder), "points": points}


def attacks_of(source: Source) -> tuple[list[Attack], list[str]]:
    """The attacks in a source's folder, and notes on points that cannot be read.

    Raises:
        SlungError: a folder of an attack has no label, or its attack.json is broken.
    """
    found, notes = [], []
    for folder in attack_folders(source.path):
        if source.label is None:
            raise SlungError(
                f"{visible(str(source.path))}: has an attack, in {visible(str(folder))}; say on which model: LABEL=FOLDER"
            )
        recipe, rows = _read(folder / ATTACK)
        points = []
        for x, tokens, results in rows:
            try:
                runs, its_notes = runs_below(folder / results)
            except SlungError as error:
                notes.append(f"left out: {error}")
                continue
            notes += its_notes
            points.append(Point(x, tokens, {task: its[-1] for (*_, task), its in runs.items()}))
        found.append(Attack(source.label, recipe, folder, sorted(points, key=lambda point: point.x)))
    return found, notes


def _read(path: Path) -> tuple[str, list[tuple[float, int | None, str]]]:
    with os_errors(path):
        content = path.read_bytes()
    try:
        given = json.loads(content)
        rows = [(float(row["x"]), row.get("tokens"), str(row["results"])) for row in given["points"]]
        return str(given["recipe"]), rows
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise SlungError(f"{visible(str(path))}: not what `slung attack` writes; make the attack again") from None


def check_alike(attacks: Sequence[Attack], by_task: dict[str, list[Run]]) -> None:
    """Raise if an attack was measured by another audit than the models, or by another version of a task.

    The model and how it is run are what an attack changes. These are not compared.
    """
    for task in AUDIT:
        runs = [*by_task.get(task, [])]
        runs += [point.runs[task] for attack in attacks for point in attack.points if task in point.runs]
        compare({task: [replace(run, settings=_of_questions(run)) for run in runs]} if len(runs) > 1 else {}, ())


def _of_questions(run: Run) -> dict[str, object]:
    kept = {*run.setup["slung"], "version", "documents"} - {"forced", "guided", "model", "reference"}
    return {name: value for name, value in run.settings.items() if name in kept}
