"""Reads result files of lm-evaluation-harness, and the arguments of `slung report` that name them."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import exists
from pathlib import Path

from ..errors import SlungError
from ..visible import visible
from .general import measured_groups
from .models import name_of, spelled, variant_of
from .settings import UNKNOWN, Measurement, mapping, settings_of
from .tasks import TASKS

ATTACK, AUDIT = "attack.json", "audit.json"
"""The files that make a folder one of `slung attack` or of `slung audit`."""
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}
# `--output_path NAME.json` makes lm_eval write NAME_<date>.json
_RESULTS = re.compile(r"results_.*\.json|.+_\d{4}-\d\d-\d\dT.+\.json", re.DOTALL)
_DATE = re.compile(r"(?:results|.+)_(?P<date>\d{4}-\d\d-\d\dT.+)\.json", re.DOTALL)
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)([KMB]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One argument of `slung report`: a folder or file, with its method's label and tokens of risky data.

    `tuned` says that the models are instruction-tuned.
    """

    path: Path
    label: str | None = None
    quantity: int | None = None
    tuned: bool = False


@dataclass(frozen=True)
class Run:
    """One task measured on one model.

    Attributes:
        file: the result file.
        task: the task's name.
        model: the model's name or path from the file; empty if the file has none.
        variant: the revision, adapter or quantization of the model; empty for the model as it is.
        metrics: the file's metrics; None if a number is missing.
        better: whether a higher value is better, for the metrics of which the file says so.
        setup: how the task was measured, to be shown.
        settings: what has to be alike for runs to be comparable, by name (see `settings.py`).
        age: sort key; newer runs have larger keys.
    """

    file: Path
    task: str
    model: str
    variant: str
    metrics: dict[str, float | None]
    better: dict[str, bool]
    setup: dict
    settings: dict[str, object]
    age: tuple[float, str]

    @property
    def samples(self) -> Path | None:
        """The file of the run's samples (`--log_samples`); None if there is none."""
        date = _DATE.fullmatch(self.file.name)
        path = self.file.with_name(f"samples_{self.task}_{date['date']}.jsonl") if date else None
        return path if path is not None and path.is_file() else None


def parse_source(argument: str) -> Source:
    """Parse an argument `[LABEL[@QUANTITY]=]FOLDER`. An argument that exists as a path is taken as the path.

    Raises:
        SlungError: the folder or the label is missing, or the quantity is not a number above 0.
    """
    if exists(argument):
        return Source(Path(argument))
    before, equals, path = argument.partition("=")
    if not equals or not exists(path):
        missing = visible(path if equals else argument)
        raise SlungError(f"{missing!r}: no such folder or file; give what `lm_eval --output_path` wrote")
    label, at, amount = before.rpartition("@")
    if not (label if at else before):
        raise SlungError(f"{visible(argument)!r}: label is missing; write LABEL=FOLDER or LABEL@QUANTITY=FOLDER")
    return Source(Path(path), label, _quantity(amount, before)) if at else Source(Path(path), before)


def _quantity(amount: str, before: str) -> int:
    found = _QUANTITY.fullmatch(amount)
    quantity = round(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if quantity < 1:
        raise SlungError(
            f"{visible(before)!r}: {visible(amount)!r}: expected a number of tokens above 0, such as 20M or 1.5B; "
            "leave it out if the method saw no risky data"
        )
    return quantity


def quantity_text(quantity: int) -> str:
    """A number of tokens as short text: 20M, 1.5B."""
    unit = next(unit for unit in reversed(_UNITS) if quantity >= _UNITS[unit] or not unit)
    return f"{quantity / _UNITS[unit]:g}{unit}"


def attack_folders(path: Path) -> list[Path]:
    """The folders of attacks below a path. Their results are not those of the attacked model."""
    return sorted(file.parent for file in path.rglob(ATTACK)) if path.is_dir() else []


def runs_below(path: Path) -> tuple[dict[tuple[str, str, str], list[Run]], list[str]]:
    """All runs of a file, or of lm_eval's result files below a folder.

    Returns:
        The runs by `(model, variant, task)`, the newest last; and notes on files that are not results of lm_eval, such
        as those of a run that was killed while it wrote. Results of attacks below the folder are left out.

    Raises:
        SlungError: no file has a task that was measured, and the folder is not one of an attack or an audit either.
    """
    found, broken, attacked = defaultdict(list), [], attack_folders(path)
    files = sorted(file for file in path.rglob("*.json") if _RESULTS.fullmatch(file.name)) if path.is_dir() else [path]
    files = [file for file in files if not any(file.is_relative_to(folder) for folder in attacked)]
    for file in files:
        try:
            runs = _read(file)
        except SlungError as error:
            broken.append(error)
            continue
        for task, run in runs.items():
            # models without a name are distinguished by their folders
            found[spelled(run.model) or str(file.parent), run.variant, task].append(run)
    if not found and broken:
        raise broken[0]
    if not found and not attacked and not (path / AUDIT).is_file():
        raise SlungError(
            f"{visible(str(path))}: no result file of lm_eval with a task that was measured, such as {', '.join(TASKS)}; "
            "measure with `lm_eval --tasks ... --output_path ...`, and give that path"
        )
    notes = [f"left out: {error}" for error in broken]
    return {key: sorted(runs, key=lambda run: run.age) for key, runs in found.items()}, notes


def _read(file: Path) -> dict[str, Run]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise SlungError(f"{visible(str(file))}: cannot be read ({error.strerror}); check the file") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise SlungError(f"{visible(str(file))}: not a result file of lm_eval; remove it, or measure again")
    age = (_number(content.get("date")) or 0.0, file.name)
    content = {**content, **measured_groups(content)}
    runs = {}
    for task, given in content["results"].items():
        values = mapping(given)
        # lm_eval --predict_only measures nothing
        if "bypass,none" in values:
            continue
        metrics = _metrics(values)
        if not metrics:
            continue
        config = mapping(mapping(content.get("configs")).get(task))
        measurement = Measurement(task, content, config)
        settings = settings_of(measurement)
        setup = {
            "version": settings["version"],
            "slung": measurement.about,
            "generation_kwargs": measurement.generation,
            "effective samples": settings["documents"],
            "few-shot": settings["few-shot"] if settings["few-shot"] != UNKNOWN else None,
            "chat template": content.get("chat_template_sha"),
            "system instruction": content.get("system_instruction_sha"),
        }
        better = mapping(mapping(content.get("higher_is_better")).get(task))
        better = {name: value for name, value in better.items() if isinstance(value, bool)}
        model = name_of(content)
        runs[task] = Run(file, task, model, variant_of(content), metrics, better, setup, settings, age)
    return runs


def _metrics(values: Mapping) -> dict[str, float | None]:
    """The numbers of a task by metric. lm_eval's key `name,filter` becomes `name`, or `name [filter]`."""
    metrics = {}
    for key, value in values.items():
        name, comma, chosen = key.partition(",")
        if not comma or not (value == "N/A" or isinstance(value, (int, float))):
            continue
        base = name.removesuffix("_stderr")
        metrics[name if chosen == "none" else f"{base} [{chosen}]{name[len(base) :]}"] = _number(value)
    return metrics


def _number(value) -> float | None:
    # lm_eval writes N/A for a standard error that it cannot estimate
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None
