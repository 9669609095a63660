"""Reads result files of lm-evaluation-harness, and the arguments of `slung report` that name them."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from os.path import exists
from pathlib import Path

from ..errors import SlungError
from ..visible import visible

TOXICITY = ("slung_toxicity", "slung_toxicity_50")
PROBE = "slung_civilcomments"
ZEROSHOT = "slung_zeroshot"
PERPLEXITY = ("slung_perplexity", "slung_perplexity_reddit")
TOFU = "slung_tofu"
TASKS = (*TOXICITY, PROBE, ZEROSHOT, *PERPLEXITY, TOFU)

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}
# `--output_path NAME.json` makes lm_eval write NAME_<date>.json
_RESULTS = re.compile(r"results_.*\.json|.+_\d{4}-\d\d-\d\dT.+\.json", re.DOTALL)
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)([KMB]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One argument of `slung report`: a folder or file, with its method's label and tokens of risky data."""

    path: Path
    label: str | None = None
    quantity: int | None = None


@dataclass(frozen=True)
class Run:
    """One task measured on one model.

    Attributes:
        file: the result file.
        model: the model's name or path from the file; empty if the file has none.
        metrics: the file's metrics; None if a number is missing.
        setup: how the task was measured. Runs with equal setups are comparable.
        age: sort key; newer runs have larger keys.
    """

    file: Path
    model: str
    metrics: dict[str, float | None]
    setup: dict
    age: tuple[float, str]


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


def runs_below(path: Path) -> dict[tuple[str, str], list[Run]]:
    """All runs of a file, or of lm_eval's result files below a folder, by `(model, task)`, the newest last.

    Raises:
        SlungError: a file is not from lm_eval, or no file has a task of `TASKS`.
    """
    found = defaultdict(list)
    for file in (
        sorted(file for file in path.rglob("*.json") if _RESULTS.fullmatch(file.name)) if path.is_dir() else [path]
    ):
        for task, run in _read(file).items():
            # models without a name are distinguished by their folders
            found[run.model or str(file.parent), task].append(run)
    if not found:
        raise SlungError(
            f"{visible(str(path))}: no result file of lm_eval with a task of {', '.join(TASKS)}; measure with `lm_eval --tasks "
            "... --output_path ...`, and give that path"
        )
    return {key: sorted(runs, key=lambda run: run.age) for key, runs in found.items()}


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
    runs = {}
    for task in TASKS:
        values = _mapping(content["results"].get(task))
        # lm_eval --predict_only measures nothing
        if not values or "bypass,none" in values:
            continue
        config = _mapping(_mapping(content.get("configs")).get(task))
        metadata = _mapping(config.get("metadata"))
        setup = {
            "version": metadata.get("version"),
            "slung": _mapping(metadata.get("slung")),
            "generation_kwargs": _mapping(config.get("generation_kwargs")),
            "effective samples": _mapping(_mapping(content.get("n-samples")).get(task)).get("effective"),
            "chat template": content.get("chat_template_sha"),
            "system instruction": content.get("system_instruction_sha"),
        }
        named = {name.removesuffix(",none"): value for name, value in values.items() if name.endswith(",none")}
        metrics = {name: _number(value) for name, value in named.items()}
        runs[task] = Run(file, _model(content), metrics, setup, age)
    return runs


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _number(value) -> float | None:
    # lm_eval writes N/A for a standard error that it cannot estimate
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _model(content: dict) -> str:
    arguments = _mapping(content.get("config")).get("model_args")
    if isinstance(arguments, str):
        arguments = dict(part.partition("=")[::2] for part in arguments.split(","))
    return str(content.get("model_name") or _mapping(arguments).get("pretrained") or "")
