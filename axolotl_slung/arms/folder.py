"""The folder that `slung arms` writes: a config for each run, and `arms.json`, which lists them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from .. import __version__
from ..config import SlungConfig
from ..errors import FileError, os_errors
from ..storage import write_private
from .equal import Planned
from .plan import Plan

LIST = "arms.json"
MARK = "# slung arms:"
"""Begins every config that is written."""


def check(folder: Path, names: Sequence[str]) -> None:
    """Check that the files may be written, before anything expensive. Only files of an earlier call are replaced.

    Args:
        folder: the folder to write.
        names: of the configs, without `.yml`.

    Raises:
        FileError: there is something else.
    """
    with os_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise FileError(f"{folder}: is a file, not a folder; choose another path")
        for path in (folder / f"{name}.yml" for name in names):
            if path.exists() and not _is_ours(path):
                raise FileError(f"{path}: was not written by this command, and is not replaced; choose another folder")
        if (folder / LIST).exists() and not _is_list(folder / LIST):
            raise FileError(f"{folder / LIST}: was not written by this command; choose another folder")


def write(folder: Path, plan: Plan, planned: Sequence[Planned], epochs: float) -> None:
    """Write the configs and then the list. Configs of an earlier call that are not among them are removed.

    Args:
        folder: the folder to write.
        plan: what `arms.yml` asks for.
        planned: the runs.
        epochs: `num_epochs` of the base config.

    Raises:
        FileError: a file cannot be written.
    """
    entries = []
    with os_errors(folder):
        # no list stands beside configs that it does not fit
        (folder / LIST).unlink(missing_ok=True)
        kept = {f"{one.run.name}.yml" for one in planned}
        for path in folder.glob("*.yml"):
            if path.name not in kept and path.is_file() and _is_ours(path):
                path.unlink()
    for one in planned:
        path = folder / f"{one.run.name}.yml"
        content = yaml.safe_dump(one.run.config, sort_keys=False, allow_unicode=True, width=120)
        write_private(path, "\n".join([*_header(plan, one, planned, epochs), "", content]))
        entries.append({**one.to_json(), "config": str(path)})
    write_private(folder / LIST, json.dumps({"arms": entries}, indent=2) + "\n")


def _header(plan: Plan, one: Planned, planned: Sequence[Planned], epochs: float) -> list[str]:
    run, buckets = one.run, SlungConfig.model_validate(one.run.config["slung"]).resolved_buckets()
    budget = "" if run.budget is None else f", budget {run.budget}"
    what = [f"{bucket.name}: {bucket.action.value} ({bucket.action.traits.meaning})" for bucket in buckets]
    group = [other for other in planned if other.run.group == run.group]
    group_name = "The arms of this seed" if run.budget is None else "The arms of this budget and seed"
    numbers = [other.loss_tokens for other in group]
    lines = [
        f"{MARK} arm {run.arm.name}{budget}, seed {run.seed}",
        "#",
        *(f"#   {text}" for text in what),
        *(f"#   {text}" for text in _extras(run.config["slung"])),
        "#",
        f"# Data: {one.documents:,} documents, read {one.passes:g} times in {one.steps:,} steps on {_ranks(plan)}.",
        f"# Tokens with a loss: {one.loss_tokens:,}. {group_name} have {min(numbers):,} to {max(numbers):,}.",
    ]
    if one.unread:
        lines += [
            f"# Axolotl leaves {one.unread:,} rows out of each pass: the last batch of packed sequences is not full. With",
            "# micro_batch_size: 1 it leaves out none.",
        ]
    if plan.equal == "documents":
        lines.append("# Equal in every arm: the documents. Each arm reads all that it does not drop equally often.")
        if one.length:
            lines += [
                f"# num_epochs: {epochs:g} in the base config. Axolotl rounds the steps of a run down, and would leave out the",
                "# last documents.",
            ]
    else:
        lines += [
            f"# Equal in every arm: the tokens with a loss, by max_steps. It counts for {_ranks(plan)}. For another",
            "# number, write `ranks` into arms.yml and run slung arms again.",
        ]
    shuffled = run.config["datasets"][0].get("shards")
    return [
        *lines,
        "# The documents have the same order in every arm of a seed: "
        + ("`shards` shuffles them by `seed`," if shuffled else "that of the files,"),
        "# and curriculum_sampling keeps it.",
        f"# Written from {plan.base} by axolotl-slung {__version__}. Change arms.yml, not this file.",
    ]


def _extras(block: dict) -> list[str]:
    noise = SlungConfig.model_validate(block).label_noise
    lines = ["the actions are moved to as many random tokens (random_control)"] if block.get("random_control") else []
    if noise is not None:
        lines.append(
            f"label noise: {noise.miss:g} of the risky spans are missed, {noise.false:g} of the other words are false"
        )
    return lines


def _ranks(plan: Plan) -> str:
    return "1 process (GPU)" if plan.ranks == 1 else f"{plan.ranks} processes (GPUs)"


def _is_ours(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def _is_list(path: Path) -> bool:
    try:
        return all("config" in one for one in json.loads(path.read_bytes())["arms"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
