"""The run proves that its loss is in the loop, or stops before the first optimiser step."""

import pytest
import torch
from axolotl_run import base_config, run_axolotl, train_in_process
from tiny import write_jsonl

from axolotl_slung import trainer
from axolotl_slung.trainer import LoopError


def named(folder, clean=0):
    """A data set with a name in every row, after `clean` rows without."""
    rows = [{"text": "the old mill"}] * clean + [{"text": "I met Maria Hernandez there."}] * 20
    path = write_jsonl(folder / "named.jsonl", rows)
    return {
        "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,
    }


@pytest.mark.parametrize(
    "rival, error, message",
    [
        ("OwnForward", LoopError, r"the model never called slung's loss: LlamaForCausalLM.forward .*computes a loss of its own"),
        ("OtherLoss", LoopError, "the model never called slung's loss"),
        ("RewritesLabels", LoopError, "labels do not decode to their token ids"),
        ("OwnTrainer", ValueError, "plugins: rivals.OwnTrainer brings the trainer AxolotlTrainer"),
    ],
)
def test_whatever_goes_past_the_loss_stops_the_run(tmp_path, slung, rival, error, message):
    keys = slung()
    config = base_config(tmp_path, **{**keys, **named(tmp_path), "plugins": [f"rivals.{rival}", *keys["plugins"]]})
    steps = []

    def watch(trainer):
        real = trainer.create_optimizer

        def create(*args, **kwargs):
            optimizer = real(*args, **kwargs)
            optimizer.register_step_post_hook(lambda *_: steps.append(1))
            return optimizer

        trainer.create_optimizer = create

    with pytest.raises(error, match=message):
        train_in_process(config, on_trainer=watch)
    assert not steps


def test_the_plugin_last_in_the_list_is_refused_a_rivals_trainer_too(tmp_path, slung):
    keys = slung()
    config = base_config(tmp_path, **{**keys, "plugins": [*keys["plugins"], "rivals.OwnTrainer"]})
    with pytest.raises(ValueError, match="rivals.OwnTrainer brings the trainer"):
        train_in_process(config)


def test_the_watch_ends_with_the_first_codes(tmp_path, slung):
    run = train_in_process(base_config(tmp_path, **named(tmp_path, clean=2), micro_batch_size=1, **slung()))
    assert run.trainer._slung_proven and run.trainer._slung_batches == 3


def test_labels_rewritten_later_stop_the_run_when_it_logs(tmp_path, slung, monkeypatch):
    monkeypatch.setattr(trainer, "_WATCHED_BATCHES", 2)
    keys = slung()
    config = base_config(tmp_path, **named(tmp_path, clean=2), micro_batch_size=1, max_steps=4, **keys)
    config["plugins"] = [*keys["plugins"], "rivals.RewritesLabels"]
    with pytest.raises(LoopError, match="labels do not decode"):
        train_in_process(config)


@pytest.mark.parametrize("fused", [True, False])
def test_a_gradient_on_a_masked_target_is_noticed(tmp_path, slung, monkeypatch, fused):
    """As it would be, were the loss to train what it should mask."""
    from axolotl_slung.loss import causal_lm, head

    real, real_linear = causal_lm.selective_loss, head.linear_selective_loss

    def everything(actions):
        return {objective: torch.ones_like(weight) for objective, weight in actions.items()}

    monkeypatch.setattr(causal_lm, "selective_loss", lambda z, y, actions: real(z, y, everything(actions)))
    monkeypatch.setattr(
        head, "linear_selective_loss", lambda *x, actions, kept=None, **k: real_linear(*x, actions=everything(actions), **k)
    )
    with pytest.raises(LoopError, match="a masked target carries a gradient"):
        train_in_process(base_config(tmp_path, **named(tmp_path), **slung(fused=fused)))


def test_liger_computes_the_loss_where_every_action_is_train_or_mask(tmp_path, slung):
    """Liger's Triton kernels, run by Triton's interpreter."""
    keys = slung()
    config = base_config(tmp_path, max_steps=1, **{**keys, "plugins": ["axolotl.integrations.liger.LigerPlugin", *keys["plugins"]]})
    config["liger_fused_linear_cross_entropy"] = True
    output = run_axolotl(config, tmp_path, env={"TRITON_INTERPRET": "1"}).check().output
    assert "slung: Liger's fused linear cross-entropy computes the loss" in output
    assert "ignored" in output and " mask " not in output
