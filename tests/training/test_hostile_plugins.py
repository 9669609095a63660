"""Plugins that train what is masked, each in a way of its own: every one stops the run, and says why."""

import pytest
from helpers.axolotl_run import base_config, train_in_process
from helpers.tiny import write_jsonl

from axolotl_slung.training.loop import LoopError


def config(folder, slung, rival, block=None, **overrides):
    path = write_jsonl(
        folder / "named.jsonl", [{"text": f"{i}. I met Maria Hernandez there, at the old mill."} for i in range(8)]
    )
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
    made = base_config(folder, **{**slung(**(block or {})), **data, "num_epochs": 100, "max_steps": 8, **overrides})
    made["plugins"] = [f"helpers.rivals.{rival}", *made["plugins"]]
    return made


COLLATORS = {
    "OwnCollator": r"helpers.rivals.RemakesLabels \(of the plugin helpers.rivals.OwnCollator\) changes labels: in one batch \d+ tokens are trained, 0 are -100",
    "HuggingFaceCollator": r"DataCollatorForLanguageModeling changes labels: in one batch \d+ tokens are trained, 0 are -100",
    "LosesCodes": r"helpers.rivals.LosesCodes.post_trainer_create.<locals>.lose \(of the plugin helpers.rivals.LosesCodes\) changes labels: in one batch 0 tokens are trained, [1-9]",
    "ShiftLabels": r"helpers.rivals.ShiftLabels.* makes `shift_labels` that differ from its shifted labels",
    "Transforms": "the training data returns other labels than it stores",
}
LOSSES = {
    "GathersBatches": "slung did not count the tokens of this step's batches: .*get_batch_samples is helpers.rivals.GathersBatches",
    "SecondLoss": r"labels are all -100 leaves a gradient on .*compute_loss is helpers.rivals.SecondLoss",
    "SecondHead": r"labels are all -100 leaves a gradient on .*LlamaForCausalLM.forward is helpers.rivals.SecondHead",
    "RewritesInLoss": r"the labels at the loss differ from those that the collator made.*compute_loss is helpers.rivals._Rewrites",
    "RewritesInForward": "the labels at the loss differ from those that the collator made",
    "BackwardOnStepBegin": "a backward pass through the model starts outside the training step",
    "BackwardBeforeOptimizer": "a backward pass through the model starts outside the training step",
}


@pytest.mark.parametrize("rival", [*COLLATORS, *LOSSES])
def test_each_stops_the_run(tmp_path, slung, rival):
    with pytest.raises(LoopError, match={**COLLATORS, **LOSSES}[rival]):
        train_in_process(config(tmp_path, slung, rival, max_steps=1 if rival.startswith("Backward") else 8))


def test_a_backward_pass_between_micro_batches(tmp_path, slung):
    with pytest.raises(LoopError, match="a backward pass through the model starts outside"):
        train_in_process(config(tmp_path, slung, "BackwardInSubstep", gradient_accumulation_steps=2))


@pytest.mark.parametrize(
    "overrides",
    [
        {"dataloader_num_workers": 1},
        {"sample_packing": True, "sequence_len": 128, "attn_implementation": "sdpa"},
        {"accelerator_config": {"dispatch_batches": True}},
    ],
    ids=str,
)
def test_wherever_batches_are_made(tmp_path, slung, overrides):
    rival = "Unmasks" if "sample_packing" in overrides else "HuggingFaceCollator"
    block = {"monitor_masked": False} if rival == "Unmasks" else {}
    with pytest.raises(LoopError, match=r"changes labels: in one batch \d+ tokens are trained"):
        train_in_process(config(tmp_path, slung, rival, block, **overrides))


def test_labels_rewritten_after_a_hundred_batches(tmp_path, slung):
    steps = []

    def count(trainer):
        really = trainer.log

        def log(logs, *args, **kwargs):
            steps.append(trainer.state.global_step)
            return really(logs, *args, **kwargs)

        trainer.log = log

    with pytest.raises(LoopError, match="training_step is helpers.rivals._Rewrites"):
        train_in_process(config(tmp_path, slung, "RewritesInStep", max_steps=120), on_trainer=count)
    assert steps[-1] == 100


def test_rows_with_codes_that_no_batch_brings(tmp_path, slung):
    rows = [{"text": f"{i}. I met {'Maria Hernandez' if i % 2 else 'her'} there."} for i in range(60)]
    data = {
        "datasets": [{"path": str(write_jsonl(tmp_path / "half.jsonl", rows)), "ds_type": "json", "type": "completion"}]
    }
    with pytest.raises(LoopError, match="rows of the training data have codes, but no batch had any"):
        train_in_process(config(tmp_path, slung, "ChoosesRows", **data, max_steps=20))


def test_a_second_loss_that_starts_later(tmp_path, slung):
    """The check is made before steps 1, 11, 101 and so on."""
    with pytest.raises(LoopError, match="labels are all -100 leaves a gradient"):
        train_in_process(config(tmp_path, slung, "LateSecondLoss", max_steps=20))
    # as the run would have ended without it
    train_in_process(config(tmp_path, slung, "LateSecondLoss", max_steps=3, output_dir=str(tmp_path / "short")))


@pytest.mark.parametrize("rival", ["SecondLoss", "SecondHead"])
@pytest.mark.parametrize(
    "overrides",
    [
        {"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_linear": True},
        {"block": {"fused": False, "method": "unlikelihood"}},
    ],
    ids=str,
)
def test_second_losses_under_an_adapter_and_on_logits(tmp_path, slung, rival, overrides):
    with pytest.raises(LoopError, match="labels are all -100 leaves a gradient"):
        train_in_process(config(tmp_path, slung, rival, **overrides))
