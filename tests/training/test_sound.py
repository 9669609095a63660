"""Sound configs: the checks of the loop let each of them through, and leave nothing of themselves in the run."""

import pytest
import torch
from helpers.axolotl_run import base_config, train_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.training.loop.silence import Silence

LORA = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "lora_target_modules": ["q_proj", "v_proj"],
}
HINGE = [{"name": "low", "below": 0.5, "action": "train"}, {"name": "risky", "action": "hinge", "threshold": 0.5}]
SOUND = {
    "plain": {},
    "unlikelihood, started late": {"block": {"method": "unlikelihood", "weight_start": 2, "weight_warmup": 2}},
    "hinge": {"block": {"buckets": HINGE, "eos": "mask"}},
    "on logits": {"block": {"fused": False, "normalize_by": "all_tokens"}},
    "labels of -100": {"block": {"monitor_masked": False}},
    "neftune": {"noisy_embedding_alpha": 5.0},
    "lora with dropout": LORA,
    "dora": {**LORA, "peft_use_dora": True},
    "lora on the head": {**LORA, "lora_target_modules": ["q_proj", "lm_head"]},
    "a copy of the head": {**LORA, "lora_modules_to_save": ["lm_head", "embed_tokens"]},
    "packing": {"sample_packing": True, "sequence_len": 128, "attn_implementation": "sdpa", "gradient_accumulation_steps": 2},
    "accumulation, checkpointing": {"gradient_accumulation_steps": 3, "gradient_checkpointing": True},
    "reentrant checkpointing": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    "workers": {"dataloader_num_workers": 1},
    "dispatched": {"accelerator_config": {"dispatch_batches": True}},
    "counting tokens": {"include_tkps": True},
    "frozen": {"unfrozen_parameters": ["^lm_head.weight$"]},
    "evaluation, early stopping": {
        "val_set_size": 0.2, "eval_steps": 1, "save_steps": 1, "load_best_model_at_end": True, "early_stopping_patience": 3,
        "metric_for_best_model": "eval_slung/p_mask", "greater_is_better": False,
    },
    "mixtral": {"arch": "mixtral", "gradient_accumulation_steps": 2},
    "mixtral with auxiliary loss": {"arch": "mixtral", "overrides_of_model_config": {"output_router_logits": True}},
    "lisa": {"lisa_n_layers": 1, "lisa_step_interval": 1, "lisa_layers_attribute": "model.layers"},
    "relora": {**LORA, "relora": True, "relora_prune_ratio": 0.9, "jagged_restart_steps": 2, "jagged_restart_warmup_steps": 1},
    "watchdog": {"loss_watchdog_threshold": 100.0, "loss_watchdog_patience": 3, "group_by_length": True},
    "grokfast": {"plugins": ["axolotl.integrations.grokfast.GrokfastPlugin"]},
}  # fmt: skip


def config(folder, slung, name, block=None, plugins=(), arch="llama", **overrides):
    path = write_jsonl(
        folder / "rows.jsonl",
        [{"text": f"{i}. I met Maria Hernandez {'there ' * (i % 5)}by the mill."} for i in range(20)],
    )
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
    made = base_config(
        folder, **{**slung(**(block or {})), **data, "base_model": str(tiny_model(folder, arch)), **overrides}
    )
    made["plugins"] = [*plugins, *made["plugins"]]
    return {**made, "output_dir": str(folder / name)}


@pytest.mark.parametrize("name", SOUND)
def test_checks_change_nothing(tmp_path, slung, name, monkeypatch):
    """The run with the masked micro-batches before its first step is the one without, bit for bit."""
    checked = train_in_process(config(tmp_path, slung, "checked", **SOUND[name]))
    assert checked.trainer._slung_checked_at == 0
    monkeypatch.setattr(Silence, "check", lambda *_, **__: None)
    plain = train_in_process(config(tmp_path, slung, "plain", **SOUND[name]))
    assert checked.losses == plain.losses and len(plain.losses) > 1
    for (key, left), right in zip(checked.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0, msg=lambda text, key=key: f"{key}: {text}")
    for left, right in zip(checked.log_history, plain.log_history):
        shared = [key for key in left if key.startswith(("slung/", "tokens/trainable", "grad_norm", "eval_loss"))]
        assert {key: left[key] for key in shared} == {key: right[key] for key in shared}


def test_masked_tokens_are_not_counted_as_trainable(tmp_path, slung):
    run = train_in_process(config(tmp_path, slung, "run", include_tkps=True, max_steps=1))
    rows = list(run.dataset_meta.train_dataset)
    assert all(min(row["labels"]) < -100 for row in rows)
    [logged] = [entry for entry in run.log_history if "tokens/trainable" in entry]
    plain = train_in_process(
        config(tmp_path, slung, "plain", block={"monitor_masked": False}, include_tkps=True, max_steps=1)
    )
    [expected] = [entry for entry in plain.log_history if "tokens/trainable" in entry]
    assert logged["tokens/trainable"] == expected["tokens/trainable"] < logged["tokens/total"]


def test_metrics_of_others_get_ids_and_ignored_labels(tmp_path, slung):
    seen = []

    def measure(trainer):
        trainer.args.prediction_loss_only = False
        trainer.compute_metrics = lambda prediction: seen.append(prediction.label_ids) or {}

    train_in_process(config(tmp_path, slung, "run", val_set_size=0.2, eval_steps=3), on_trainer=measure)
    assert seen and seen[0].min() == -100 and (seen[0] == -100).sum() > 5 and (seen[0] >= 0).sum() > 5
