"""A few steps of plain training on top of a model: `axolotl train` of a config derived from the user's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import FileError, SlungError, os_errors
from ..storage import write_private
from ..training.apart import apart
from .asking import Run

_PLUGIN = "axolotl_slung.SlungPlugin"
_LEFT_OUT = (
    "slung", "datasets", "pretraining_dataset", "streaming", "max_steps", "num_epochs", "warmup_ratio", "warmup_steps",
    "revision_of_model", "lora_model_dir", "save_total_limit",
)  # fmt: skip
_NOT_SET = (
    "slung",
    "base_model",
    "lora_model_dir",
    "datasets",
    "output_dir",
    "dataset_prepared_path",
    "max_steps",
    "plugins",
)
"""Keys that decide what the attack is."""

TRAINED = "trained.json"


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuse overrides of keys that the attack sets.

    Raises:
        SlungError: there is one.
    """
    for key in overrides:
        if key.partition(".")[0] in _NOT_SET:
            raise SlungError(f"--set: {key}: the attack sets this key; leave it out")


def derived(
    config: Mapping[str, Any],
    model: str,
    entries: Sequence[Mapping[str, Any]],
    steps: int,
    folder: Path,
    prepared: Path,
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """The config of plain training, with the user's settings otherwise.

    The learning rate is constant, so that k steps are the first k of any longer run.

    Args:
        config: the user's, not validated.
        model: a hub id, a folder of weights, or a folder with an adapter, whose training then goes on.
        entries: of `datasets:`.
        steps: optimizer steps.
        folder: for the trained model.
        prepared: for prepared data, which all points share.
        overrides: keys that replace those of the result.
    """
    changed = {key: value for key, value in apart(config).items() if key not in _LEFT_OUT}
    plugins = [plugin for plugin in changed.pop("plugins", None) or [] if plugin != _PLUGIN]
    changed |= {"plugins": plugins} if plugins else {}
    changed |= {"lora_model_dir": model} if (Path(model) / "adapter_config.json").exists() else {"base_model": model}
    return changed | {
        "datasets": list(entries),
        "max_steps": steps,
        "lr_scheduler": "constant",
        "warmup_steps": 0,
        "save_strategy": "steps",
        "save_steps": steps,
        "save_only_model": True,
        "logging_steps": 1,
        "include_tkps": True,
        "output_dir": str(folder.resolve()),
        "dataset_prepared_path": str(prepared.resolve()),
        **overrides,
    }


def train(config: Mapping[str, Any], point: Path, run: Run) -> int:
    """Train, unless it has been done, and return the number of tokens that had a loss.

    Args:
        config: what `derived` gave.
        point: the point's folder, for the config, the log and what was trained.
        run: what runs commands.

    Raises:
        SlungError: the training failed.
    """
    done = point / TRAINED
    with os_errors(done):
        if done.exists():
            return json.loads(done.read_text(encoding="utf-8"))["tokens"]
    model = Path(config["output_dir"])
    shutil.rmtree(model, ignore_errors=True)
    path = point / "config.yml"
    write_private(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    run(["axolotl", "train", str(path)], point / "train.log", {})
    tokens = _tokens(model, config["max_steps"], point)
    for checkpoint in model.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    write_private(done, json.dumps({"steps": config["max_steps"], "tokens": tokens}) + "\n")
    return tokens


def _tokens(model: Path, steps: int, point: Path) -> int:
    """The trained tokens that the last checkpoint has counted."""
    state = model / f"checkpoint-{steps}" / "trainer_state.json"
    if not state.exists():
        raise SlungError(
            f"axolotl train: ended without a checkpoint of step {steps}; {point / 'train.log'} has its output"
        )
    history = json.loads(state.read_text(encoding="utf-8"))["log_history"]
    counts = [entry["tokens/trainable"] for entry in history if "tokens/trainable" in entry]
    if not counts:
        raise FileError(f"{state}: no tokens/trainable in it; this version of Axolotl does not count tokens")
    return int(max(counts))
