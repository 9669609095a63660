"""What in an Axolotl config would go past the selective loss, or misread its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..config import SlungConfig
from ..labels.buckets import CODED_ACTIONS

_FALSE = "set it to false"
_OUT = "take it or the `slung:` block out"


@dataclass(frozen=True)
class Conflict:
    """A setting that cannot go together with a `slung:` block.

    Attributes:
        keys: Axolotl's; any of them, where it is set, is the conflict.
        reason: why.
        fix: what to do.
        above: the largest number that the keys may have; None: anything but an empty or false value is the conflict.
        values: the values that are the conflict; None: see `above`.
    """

    keys: tuple[str, ...]
    reason: str
    fix: str = _OUT
    above: int | None = None
    values: tuple[str, ...] | None = None

    def found(self, cfg: Mapping) -> Iterator[str]:
        """The keys that are set so that they conflict."""
        for key in self.keys:
            value = cfg.get(key)
            if self.values is not None:
                conflicts = value in self.values
            else:
                conflicts = bool(value) if self.above is None else (value or 0) > self.above
            if conflicts:
                yield key

    def setting(self) -> str:
        """The keys and the values that conflict, as docs write them."""
        if self.values is not None:
            return ", ".join(f"`{self.keys[0]}: {value}`" for value in self.values)
        return ", ".join(f"`{key}`" for key in self.keys) + (f" above {self.above}" if self.above is not None else "")


CONFLICTS = (
    Conflict(("rl",), "preference and reinforcement training have no per-token labels"),
    Conflict(("reward_model", "process_reward_model"), "reward models have no next-token loss"),
    Conflict(("orpo_alpha",), "ORPO has a loss of its own"),
    Conflict(("processor_type", "is_multimodal"), "multimodal data is not labelled"),
    Conflict(("trainer_cls",), "slung brings a trainer of its own", "take it out"),
    Conflict(("skip_prepare_dataset",), "the labels are made while the data set is prepared", _FALSE),
    Conflict(("label_smoothing_factor",), "label smoothing replaces the model's loss", "take it out"),
    Conflict(("use_eaft",), "EAFT replaces the model's loss", _FALSE),
    Conflict(("use_dft",), "DFT replaces the model's loss", _FALSE),
    Conflict(("diffusion_lm", "diffusion_decision"), "diffusion models have no next-token loss"),
    Conflict(
        ("do_causal_lm_eval", "eval_table_size"),
        "it takes every label but -100 for text to reproduce, masked names included",
        "take it out",
    ),
    Conflict(("do_bench_eval",), "it reads token ids out of labels, and slung's labels carry codes", _FALSE),
    Conflict(
        ("context_parallel_size", "sequence_parallel_degree", "tensor_parallel_size", "expert_parallel_size"),
        "the loss counts tokens a rank, and is not supported yet where ranks share a batch",
        "set it to 1",
        above=1,
    ),
    Conflict(("adapter",), "its trainer is not supported yet", "use lora or qlora", values=("mixlora", "multilora")),
)
"""Of Axolotl's settings; docs/training.md prints them."""

_FUSED = {
    "liger_fused_linear_cross_entropy": "Liger's fused linear cross-entropy",
    "cut_cross_entropy": "Cut Cross-Entropy",
}


def fused_loss(cfg: Mapping) -> str | None:
    """The config's fused loss, which works inside the model's forward and knows -100 but no codes."""
    return next((name for key, name in _FUSED.items() if cfg.get(key)), None)


def check_run(cfg: Mapping, block: SlungConfig) -> None:
    """As `check_conflicts`, of the validated config, where the defaults of plugins are, and of the plugins themselves."""
    from axolotl.integrations.base import PluginManager

    plugins = PluginManager.get_instance().plugins.items()
    trainers = {name: plugin.get_trainer_cls(cfg) for name, plugin in plugins if not _is_slung(plugin)}
    errors = [
        f"plugins: {name} brings the trainer {trainer.__name__}, whose loss would replace slung's; take one of the two plugins out"
        for name, trainer in trainers.items()
        if trainer is not None
    ]
    # by now Axolotl says that of every model that can also see, such as Gemma 3
    check_conflicts({**cfg, "is_multimodal": None}, block, errors)


def _is_slung(plugin) -> bool:
    return type(plugin).__module__.partition(".")[0] == __name__.partition(".")[0]


def check_conflicts(cfg: Mapping, block: SlungConfig, more: Sequence[str] = ()) -> None:
    """Raise `ValueError`, which names every setting that cannot go together with a `slung:` block.

    Args:
        cfg: Axolotl's config.
        block: the `SlungConfig`.
        more: errors that others found.
    """
    errors = [
        f"`{key}: {cfg[key]}` cannot go together with `slung:`: {conflict.reason}; {conflict.fix}"
        for conflict in CONFLICTS
        for key in conflict.found(cfg)
    ]
    errors += [*_beside_fused(cfg, block), *more]
    if errors:
        raise ValueError("\n".join(errors))


def _beside_fused(cfg: Mapping, block) -> Iterator[str]:
    """What of the block needs slung's own loss, where a fused loss stands in its place."""
    for key, name in _FUSED.items():
        if not cfg.get(key):
            continue
        instead = f"needs slung's loss, which {name} replaces; set `{key}: false`, or"
        coded = sorted({bucket.action.value for bucket in block.resolved_buckets() if bucket.action in CODED_ACTIONS})
        if coded:
            yield f"`slung.buckets`: action {', '.join(coded)} {instead} use only the actions train, mask and goldfish"
        if block.monitor_masked:
            yield f"`slung.monitor_masked: true` {instead} leave `monitor_masked` out"
        if block.normalize_by == "all_tokens":
            yield f"`slung.normalize_by: all_tokens` {instead} use loss_tokens"


def as_table() -> list[str]:
    """The rows of the table of conflicts in docs/training.md."""
    return [f"| {conflict.setting()} | {conflict.reason} | {conflict.fix} |" for conflict in CONFLICTS]
