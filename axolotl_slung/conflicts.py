"""What in an Axolotl config would go past the selective loss, or misread its labels."""

from __future__ import annotations

from collections.abc import Mapping

from .buckets import CODED_ACTIONS

_OTHER_TRAINING = {
    "rl": "preference and reinforcement training have no per-token labels",
    "reward_model": "reward models have no next-token loss",
    "process_reward_model": "reward models have no next-token loss",
    "orpo_alpha": "ORPO has a loss of its own",
    "processor_type": "multimodal data is not labelled",
    "is_multimodal": "multimodal data is not labelled",
    "trainer_cls": "slung brings a trainer of its own",
    "skip_prepare_dataset": "the labels are made while the data set is prepared",
    "label_smoothing_factor": "label smoothing replaces the model's loss",
    "use_eaft": "EAFT replaces the model's loss",
    "use_dft": "DFT replaces the model's loss",
    "diffusion_lm": "diffusion models have no next-token loss",
    "diffusion_decision": "diffusion models have no next-token loss",
    "do_causal_lm_eval": "it takes every label but -100 for text to reproduce, masked names included",
    "eval_table_size": "it takes every label but -100 for text to reproduce, masked names included",
    "do_bench_eval": "it reads token ids out of labels, and slung's labels carry codes",
}

_FUSED = {
    "liger_fused_linear_cross_entropy": "Liger's fused linear cross-entropy",
    "cut_cross_entropy": "Cut Cross-Entropy",
}


def fused_loss(cfg: Mapping) -> str | None:
    """The config's fused loss, which works inside the model's forward and knows -100 but no codes."""
    return next((name for key, name in _FUSED.items() if cfg.get(key)), None)


def check_conflicts(cfg: Mapping, block) -> None:
    """Raise `ValueError` for settings that cannot go together with a `slung:` block.

    Args:
        cfg: Axolotl's config, raw or validated.
        block: the `SlungConfig`.
    """
    for key, reason in _OTHER_TRAINING.items():
        if cfg.get(key):
            raise ValueError(f"`{key}: {cfg[key]}` cannot go together with `slung:`: {reason}. Take one of them out.")
    for key in ("context_parallel_size", "sequence_parallel_degree", "tensor_parallel_size", "expert_parallel_size"):
        if (cfg.get(key) or 1) > 1:
            raise ValueError(f"`{key}: {cfg[key]}` with `slung:` is not supported yet; set it to 1.")
    if cfg.get("adapter") in ("mixlora", "multilora"):
        raise ValueError(f"`adapter: {cfg['adapter']}` with `slung:` is not supported yet; use lora or qlora.")
    fused = fused_loss(cfg)
    if fused is None:
        return
    coded = sorted({b.action.value for b in block.resolved_buckets() if b.action in CODED_ACTIONS})
    if coded:
        raise ValueError(
            f"`slung.buckets`: action {coded[0]} needs slung's loss, which {fused} replaces; take the fused loss out "
            "of the config, or use only the actions train and mask"
        )
    if block.monitor_masked:
        raise ValueError(
            f"`slung.monitor_masked: true` needs slung's loss, which {fused} replaces; take one of the two out"
        )
    if block.normalize_by == "all_tokens":
        raise ValueError(
            f"`slung.normalize_by: all_tokens` needs slung's loss, which {fused} replaces; use loss_tokens"
        )
