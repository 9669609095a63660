"""A config for a run beside the user's own: nothing of it is saved, sent, evaluated or resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_APART = {
    "save_strategy": "no", "save_steps": None, "saves_per_epoch": None, "eval_strategy": None, "eval_steps": None,
    "evals_per_epoch": None, "test_datasets": None, "val_set_size": 0, "load_best_model_at_end": None,
    "early_stopping_patience": None, "resume_from_checkpoint": None, "auto_resume_from_checkpoints": None,
    "hub_model_id": None, "push_dataset_to_hub": None, "use_wandb": None, "wandb_project": None, "use_mlflow": None,
    "use_comet": None, "use_swanlab": None, "use_tensorboard": None, "use_otel_metrics": None, "use_trackio": None,
    "profiler_steps": None,
}  # fmt: skip


def apart(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with these settings. Those that would be None are only put in where the config has the key."""
    return {**config, **{key: value for key, value in _APART.items() if key in config or value is not None}}
