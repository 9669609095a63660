"""The configs of a study: an arm, a budget and a seed each."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SlungError
from ..training.args import check_config
from ..training.stream_source import form_of
from .plan import MOST_SEED, Arm, Plan, is_seed, shown

_OF_ARMS = ("method", "buckets", "random_control", "label_noise")
"""Keys of the `slung:` block that tell arms apart."""

_REFUSED = {
    "pretraining_dataset": "a stream is not prepared, so nothing in it can be counted; use `datasets`",
    "streaming": "a stream is not prepared, so nothing in it can be counted; remove it",
    "val_set_size": "the rows that Axolotl sets apart depend on how many there are, which differs between arms; use "
    "`test_datasets`",
    "dataset_shard_num": "the rows of a shard depend on how many there are, which differs between arms; remove it",
    "group_by_length": "the order depends on the rows' lengths, which differ between arms; remove it",
    "balance_labels": "the order depends on the labels, which differ between arms; remove it",
    "sample_packing_eff_est": "Axolotl then guesses the number of steps; remove it",
    "dataloader_drop_last": "the rows of the last batch depend on how many there are, which differs between arms; remove it",
}
"""Keys of the base config with which arms cannot have the same data in the same order."""


@dataclass(frozen=True, eq=False)
class Run:
    """One model to train.

    Attributes:
        name: of its config and its output folder.
        arm: its arm.
        budget: None if there is one data set.
        seed: of the order of the data, and of all else that is drawn.
        data: the path that `data` of `arms.yml` gives it; None for the base config's.
        config: Axolotl's config.
    """

    name: str
    arm: Arm
    budget: str | None
    seed: int
    data: str | None
    config: dict[str, Any]

    @property
    def group(self) -> tuple[str | None, int]:
        """What it shares with the runs that it is compared with."""
        return self.budget, self.seed


def runs_of(plan: Plan, base: Any, folder: Path) -> list[Run]:
    """The configs of all arms, checked as far as it takes no time.

    Args:
        plan: what `arms.yml` asks for.
        base: the content of the base config.
        folder: where the configs will be.

    Raises:
        SlungError: something is wrong. The message has a line for each fault.
    """
    errors = [f"{plan.base}: {error}" for error in _faults(plan, base)]
    if errors:
        raise SlungError(*errors)
    runs = []
    for budget in plan.budgets or (None,):
        for seed in plan.seeds or (base.get("seed") or 0,):
            data = (
                None if plan.data is None else plan.data.replace("{seed}", str(seed)).replace("{budget}", str(budget))
            )
            errors += [error for error in _missing(data) if error not in errors]
            for arm in plan.arms:
                name = "-".join([arm.name, *([] if budget is None else [budget]), f"seed{seed}"])
                if name in {run.name for run in runs}:
                    errors.append(f"arms, budgets: two configs would be named {name}; choose another `name`")
                config = _config(base, arm, seed, str(folder / "out" / name), data)
                runs.append(Run(name, arm, budget, seed, data, config))
    errors += _conflicts(plan, runs[: len(plan.arms)])
    if errors:
        raise SlungError(*errors)
    return runs


def plain_config(base: Mapping, run: Run) -> dict[str, Any]:
    """A config that trains everything, on the data of a run."""
    return _config(
        base, Arm("toxic_baseline", {"method": "toxic_baseline"}), run.seed, run.config["output_dir"], run.data
    )


def _conflicts(plan: Plan, runs: list[Run]) -> list[str]:
    """What is wrong with the `slung:` blocks. What is wrong in every arm is a fault of the base config."""
    said: dict[str, list[str]] = {}
    for index, run in enumerate(runs):
        try:
            check_config(run.config)
        except SlungError as error:
            for line in error.args:
                said.setdefault(line, []).append(f"arms[{index}] ({run.arm.name})")
    return [
        f"{place}: {line}" for line, arms in said.items() for place in ([plan.base] if len(arms) == len(runs) else arms)
    ]


def _faults(plan: Plan, base: Any) -> Iterator[str]:
    if not isinstance(base, Mapping) or not isinstance(base.get("slung"), Mapping):
        yield "has no `slung:` block with `labelers`, which say what is risky; add one"
        return
    yield from (f"slung.{key}: is for the arms to say; remove it" for key in _OF_ARMS if key in base["slung"])
    yield from (f"{key}: {base[key]}: {why}" for key, why in _REFUSED.items() if base.get(key))
    yield from _number_faults(plan, base)
    if base.get("max_steps") and plan.equal == "documents":
        yield (
            f"max_steps: {base['max_steps']}: arms with fewer tokens would read further in the data than others; use "
            "`num_epochs`, or equal: loss_tokens"
        )
    epochs = base.get("num_epochs", 1)
    if plan.equal == "documents" and (not _is_number(epochs) or epochs < 1 or epochs % 1):
        yield (
            f"num_epochs: {shown(epochs)}: expected a whole number of 1 or more, so that every arm reads all its documents; "
            "change it, or use equal: loss_tokens"
        )
    sets = base.get("datasets")
    if not isinstance(sets, list) or len(sets) != 1 or not isinstance(sets[0], Mapping):
        number = len(sets) if isinstance(sets, list) else "no list"
        yield (
            f"datasets: {number}: expected one entry, because Axolotl shuffles several after documents are dropped; name "
            "all files in one entry, with a folder as `path` and `data_files`"
        )


def _number_faults(plan: Plan, base: Mapping) -> Iterator[str]:
    """Numbers of the base config that decide names, batches and lengths."""
    if not plan.seeds and not is_seed(base.get("seed") or 0):
        yield f"seed: {shown(base['seed'])}: expected a whole number from 0 to {MOST_SEED}; correct it, or give `seeds`"
    for key in ("micro_batch_size", "gradient_accumulation_steps", "max_steps"):
        value = base.get(key)
        if value and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            yield f"{key}: {shown(value)}: expected a whole number of 1 or more; correct it"
    epochs = base.get("num_epochs") or 1
    if plan.equal == "loss_tokens" and (not _is_number(epochs) or epochs <= 0):
        yield f"num_epochs: {shown(epochs)}: expected a number above 0; correct it"
    if any(arm.tokens for arm in plan.arms) and not isinstance(base.get("tokens") or [], list):
        yield f"tokens: {shown(base['tokens'])}: expected a list, to which control_token adds its own; correct it"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _missing(data: str | None) -> Iterator[str]:
    if data is None:
        return
    if glob.has_magic(data):
        if not any(Path(name).is_file() for name in glob.iglob(data, recursive=True)):
            yield f"data: {data}: no file has such a name; check the path, or make the data first"
    elif not Path(data).exists():
        yield f"data: {data}: no such file or folder; check the path, or make the data first"


def _config(base: Mapping, arm: Arm, seed: int, output: str, data: str | None) -> dict[str, Any]:
    config = deepcopy(dict(base))
    entry = dict(config["datasets"][0])
    block = config["slung"]
    if "buckets" in arm.block and isinstance(block.get("labelers"), list):
        # the bounds of buckets apply to the scores as they are; `cuts` are for the methods of the other arms
        block["labelers"] = [
            {key: value for key, value in one.items() if key != "cuts"} if isinstance(one, dict) else one
            for one in block["labelers"]
        ]
    block = {**block, **deepcopy(arm.block)}
    if data is not None:
        before, entry = entry.get("path"), _filled(entry, data)
        for labeler in block.get("labelers") or []:
            if isinstance(labeler, dict) and before in (labeler.get("datasets") or []):
                labeler["datasets"] = [entry["path"] if path == before else path for path in labeler["datasets"]]
    if not config.get("curriculum_sampling"):
        # Axolotl shuffles shards before anything is dropped; all other shuffling comes after it
        entry.setdefault("shards", 1)
    config["datasets"] = [entry]
    if arm.tokens:
        tokens = config.get("tokens") or []
        config["tokens"] = [*tokens, *(token for token in arm.tokens if token not in tokens)]
    config |= {"seed": seed, "curriculum_sampling": True}
    if config.get("sample_packing"):
        config["sample_packing_sequentially"] = True
    return {**config, "output_dir": output, "slung": block}


def _filled(entry: Mapping, data: str) -> dict[str, Any]:
    """An entry of `datasets:` that reads other data."""
    entry = {key: value for key, value in entry.items() if key not in ("path", "data_files")}
    form = None if Path(data).is_dir() else form_of(Path(data))
    form = {} if form is None or entry.get("ds_type") else {"ds_type": form}
    if not glob.has_magic(data):
        return {"path": data, **form, **entry}
    plain = []
    for part in Path(data).parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    # Axolotl reads `data_files` from the current folder if `path` is a folder
    return {"path": str(Path(*plain)), "data_files": data, **form, **entry}
