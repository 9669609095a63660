"""Settings of an Axolotl config that would bypass the selective loss, or misread its labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import SlungConfig
from ..errors import SlungError
from ..labels.buckets import Action
from .stream_source import stream_errors

_FALSE = "set it to false"
_SHARDED = "ranks gather parameters together, and would wait for a rank whose batch has no token to hold"
_OUT = "remove it or the `slung:` block"


@dataclass(frozen=True)
class Conflict:
    """A setting that cannot be used with a `slung:` block.

    Attributes:
        keys: keys of Axolotl; setting any of them is a conflict.
        reason: why it is a conflict.
        fix: what to do.
        above: the largest number allowed. None: any value except an empty or false one is a conflict.
        values: the values that are a conflict. None: see `above`.
    """

    keys: tuple[str, ...]
    reason: str
    fix: str = _OUT
    above: int | None = None
    values: tuple[str, ...] | None = None

    def found(self, cfg: Mapping) -> Iterator[str]:
        """The keys whose values are a conflict."""
        for key in self.keys:
            value = cfg.get(key)
            if self.values is not None:
                conflicts = value in self.values
            else:
                conflicts = bool(value) if self.above is None else (value or 0) > self.above
            if conflicts:
                yield key

    def setting(self) -> str:
        """The keys and values that are a conflict, as the docs write them."""
        if self.values is not None:
            return ", ".join(f"`{self.keys[0]}: {value}`" for value in self.values)
        return ", ".join(f"`{key}`" for key in self.keys) + (f" above {self.above}" if self.above is not None else "")


CONFLICTS = (
    Conflict(
        ("rl",), "preference and reinforcement training compare whole answers, and have no labels for single tokens"
    ),
    Conflict(("reward_model", "process_reward_model"), "reward models are not trained to predict tokens"),
    Conflict(("orpo_alpha",), "ORPO has its own loss"),
    Conflict(("processor_type", "is_multimodal"), "multimodal data is not labeled"),
    Conflict(("trainer_cls",), "slung has its own trainer", "remove it"),
    Conflict(("skip_prepare_dataset",), "the labels are made while the data set is prepared", _FALSE),
    Conflict(("label_smoothing_factor",), "label smoothing replaces the model's loss", "remove it"),
    Conflict(("use_eaft",), "EAFT replaces the model's loss", _FALSE),
    Conflict(("use_dft",), "DFT replaces the model's loss", "set it to false, and `slung.train_objective: dft`"),
    Conflict(("diffusion_lm", "diffusion_decision"), "diffusion models are not trained to predict the next token"),
    Conflict(
        ("do_causal_lm_eval", "eval_table_size"),
        "it would write masked names into its reference texts",
        "remove it, or evaluate without it",
    ),
    Conflict(("do_bench_eval",), "it reads labels as token ids, but slung's labels also hold actions", _FALSE),
    Conflict(
        ("context_parallel_size", "sequence_parallel_degree", "tensor_parallel_size", "expert_parallel_size"),
        "the loss counts tokens per rank, and does not yet support ranks that share a batch",
        "set it to 1",
        above=1,
    ),
    Conflict(("adapter",), "its trainer is not supported yet", "use lora or qlora", values=("mixlora", "multilora")),
)
"""All conflicts with settings of Axolotl; docs/training.md lists them."""

_FUSED = {
    "liger_fused_linear_cross_entropy": "Liger's fused linear cross-entropy",
    "cut_cross_entropy": "Cut Cross-Entropy",
}


def fused_loss(cfg: Mapping) -> str | None:
    """The config's fused loss, or None. It runs inside the model's forward and reads -100 but no codes."""
    return next((name for key, name in _FUSED.items() if cfg.get(key)), None)


def check_run(cfg: Mapping, block: SlungConfig) -> None:
    """As `check_conflicts`, for the validated config with the defaults of plugins, and for the plugins themselves."""
    from axolotl.integrations.base import PluginManager

    plugins = PluginManager.get_instance().plugins.items()
    trainers = {name: plugin.get_trainer_cls(cfg) for name, plugin in plugins if not _is_slung(plugin)}
    errors = [
        f"plugins: {name}: its trainer {trainer.__name__} would replace slung's loss; remove one of the two plugins"
        for name, trainer in trainers.items()
        if trainer is not None
    ]
    # Axolotl has set `is_multimodal` by now for every model that also accepts images, such as Gemma 3
    check_conflicts({**cfg, "is_multimodal": None}, block, errors)


def _is_slung(plugin) -> bool:
    return type(plugin).__module__.partition(".")[0] == __name__.partition(".")[0]


def check_conflicts(cfg: Mapping, block: SlungConfig, more: Sequence[str] = ()) -> None:
    """Raise a `SlungError` that names every setting that cannot be used with a `slung:` block, one per line.

    Args:
        cfg: Axolotl's config.
        block: the `SlungConfig`.
        more: errors from other checks.
    """
    if errors := [*conflicts_of(cfg, block), *more]:
        raise SlungError(*errors)


def conflicts_of(cfg: Mapping, block: SlungConfig | None) -> list[str]:
    """An error for each setting that cannot be used with a `slung:` block. The block is None if it is not valid."""
    errors = [
        f"{key}: {cfg[key]}: cannot be used with `slung:`: {conflict.reason}; {conflict.fix}"
        for conflict in CONFLICTS
        for key in conflict.found(cfg)
    ]
    return [*errors, *((*_beside_fused(cfg, block), *_holding(cfg, block)) if block else ()), *stream_errors(cfg)]


def _holding(cfg: Mapping, block) -> Iterator[str]:
    """Errors for settings under which the model before training is not the model with its adapter off."""
    if Action.HOLD not in block.actions:
        return
    if cfg.get("adapter") not in ("lora", "qlora"):
        yield (
            f"adapter: {cfg.get('adapter')}: `action: hold` needs the model before training, which is the model with its "
            "adapter off; set `adapter: lora` or `adapter: qlora`, or use another action"
        )
    if cfg.get("relora"):
        yield "relora: true: merges the adapter into the model that `action: hold` needs unchanged; remove it"
    if cfg.get("lora_model_dir"):
        yield (
            f"lora_model_dir: {cfg['lora_model_dir']}: `action: hold` needs an adapter that has not been trained; merge it "
            "into the base model first"
        )
    for key in ("fsdp", "fsdp_config"):
        if cfg.get(key):
            yield f"{key}: cannot be used with `action: hold`: {_SHARDED}; use DDP or DeepSpeed's ZeRO-2"
    if _zero_stage(cfg.get("deepspeed")) == 3:
        yield f"deepspeed: ZeRO-3 cannot be used with `action: hold`: {_SHARDED}; use ZeRO-2"


def _zero_stage(deepspeed: Any) -> int | None:
    """The stage of a DeepSpeed config, a mapping or a file; None if it cannot be read here."""
    if isinstance(deepspeed, str):
        try:
            deepspeed = json.loads(Path(deepspeed).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None  # Axolotl says so
    stages = deepspeed.get("zero_optimization") if isinstance(deepspeed, Mapping) else None
    return stages.get("stage") if isinstance(stages, Mapping) else None


def _beside_fused(cfg: Mapping, block) -> Iterator[str]:
    """Errors for settings of the block that need slung's own loss, if a fused loss replaces it."""
    for key, name in _FUSED.items():
        if not cfg.get(key):
            continue
        instead = f"needs slung's loss, but {name} replaces it; set `{key}: false`, or"
        coded = sorted({action.value for action in block.actions if action.traits.coded})
        if coded:
            others = ", ".join(action.value for action in Action if not action.traits.coded)
            yield f"slung.buckets: action {', '.join(coded)}: {instead} use only the actions {others}"
        if block.reads_weights:
            yield f"slung.labelers: weights_field: {instead} remove `weights_field`"
        if block.monitor_masked:
            yield f"slung.monitor_masked: true: {instead} remove `monitor_masked`"
        if block.normalize_by == "all_tokens":
            yield f"slung.normalize_by: all_tokens: {instead} use loss_tokens"
        if block.train_objective != "cross_entropy":
            yield f"slung.train_objective: {block.train_objective}: {instead} use cross_entropy"


def as_table() -> list[str]:
    """Rows of the table of conflicts in docs/training.md."""
    return [f"| {conflict.setting()} | {conflict.reason} | {conflict.fix} |" for conflict in CONFLICTS]
