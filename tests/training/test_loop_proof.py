"""The run proves that its loss is in the loop, or stops before the first optimizer step."""

import pytest
import torch
from helpers.axolotl_run import base_config, named, run_axolotl, train_in_process
from helpers.tiny import tiny_tokenizer, write_jsonl
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.training import trainer
from axolotl_slung.training.loop import LoopError


@pytest.mark.parametrize(
    "rival, error, message",
    [
        (
            "OwnForward",
            LoopError,
            r"the model never called slung's loss: LlamaForCausalLM.forward .*computes its own loss",
        ),
        ("OtherLoss", LoopError, "the model never called slung's loss"),
        ("RewritesLabels", LoopError, "labels do not match their token ids"),
        (
            "OwnTrainer",
            ValueError,
            "plugins: helpers.rivals.OwnTrainer: its trainer AxolotlTrainer would replace slung's loss",
        ),
    ],
)
def test_whatever_goes_past_the_loss_stops_the_run(tmp_path, slung, rival, error, message):
    keys = slung()
    config = base_config(
        tmp_path, **{**keys, **named(tmp_path), "plugins": [f"helpers.rivals.{rival}", *keys["plugins"]]}
    )
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
    config = base_config(tmp_path, **{**keys, "plugins": [*keys["plugins"], "helpers.rivals.OwnTrainer"]})
    with pytest.raises(ValueError, match="helpers.rivals.OwnTrainer: its trainer"):
        train_in_process(config)


def test_the_watch_ends_with_the_first_codes(tmp_path, slung):
    run = train_in_process(base_config(tmp_path, **named(tmp_path, clean=2), micro_batch_size=1, **slung()))
    assert run.trainer._slung_proven and run.trainer._slung_batches == 3


def test_labels_rewritten_after_the_watch_stop_the_run(tmp_path, slung, monkeypatch):
    monkeypatch.setattr(trainer, "_WATCHED_BATCHES", 1)
    keys = slung()
    config = base_config(tmp_path, **named(tmp_path, clean=2), micro_batch_size=1, max_steps=4, **keys)
    config["plugins"] = [*keys["plugins"], "helpers.rivals.RewritesLabels"]
    with pytest.raises(LoopError, match="labels do not match their token ids"):
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
        head,
        "linear_selective_loss",
        lambda *x, actions, kept=None, **k: real_linear(*x, actions=everything(actions), **k),
    )
    with pytest.raises(LoopError, match="a masked target has a gradient"):
        train_in_process(base_config(tmp_path, **named(tmp_path), **slung(fused=fused)))


def test_liger_computes_the_loss_where_every_action_is_train_or_mask(tmp_path, slung):
    """Liger's Triton kernels, run by Triton's interpreter."""
    keys = slung()
    config = base_config(
        tmp_path, max_steps=1, **{**keys, "plugins": ["axolotl.integrations.liger.LigerPlugin", *keys["plugins"]]}
    )
    config["liger_fused_linear_cross_entropy"] = True
    output = run_axolotl(config, tmp_path, env={"TRITON_INTERPRET": "1"}).check().output
    assert "slung: Liger's fused linear cross-entropy computes the loss" in output
    assert "ignored" in output and " mask " not in output


HINGE = [{"name": "low", "below": 0.5, "action": "train"}, {"name": "risky", "action": "hinge", "threshold": 0.5}]


@pytest.mark.parametrize("fused", [True, False])
def test_a_batch_of_targets_without_a_slope_is_sound(tmp_path, slung, fused):
    """A hinge leaves alone what is less likely than its threshold: a wholly risky text has a loss and no gradient."""
    path = write_jsonl(
        tmp_path / "rows.jsonl", [{"text": "Maria Hernandez"}, {"text": "She met Maria Hernandez there."}] * 4
    )
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}], "micro_batch_size": 1}
    keys = {"shuffle_merged_datasets": False, "curriculum_sampling": True}
    run = train_in_process(base_config(tmp_path, **data, **keys, **slung(buckets=HINGE, eos="mask", fused=fused)))
    assert run.losses[0] == 0 and run.losses[1] > 0


@pytest.mark.parametrize("fused", [True, False])
def test_numbers_that_are_not_finite_are_no_masked_targets_gradient(tmp_path, slung, fused):
    """Whatever such a run ends in, it is not said that a masked target is trained."""

    def spoil(trainer):
        with torch.no_grad():
            trainer.model.model.norm.weight[0] = float("nan")

    try:
        train_in_process(base_config(tmp_path, **named(tmp_path), **slung(fused=fused)), on_trainer=spoil)
    except LoopError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize("arch", ["mamba", "xglm"])
def test_models_that_keep_the_trainers_count_to_themselves(tmp_path, slung, arch):
    """Mamba computes the usual loss itself, which slung's replaces; XGLM does not hand the count on."""
    model = build(tmp_path, arch)
    keys = {
        "base_model": str(model),
        **named(tmp_path),
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "max_grad_norm": 0.0,
        "max_steps": 1,
    }
    keys |= slung(method="unlikelihood")
    whole = train_in_process(
        base_config(tmp_path, **{**keys, "micro_batch_size": 8, "output_dir": str(tmp_path / "whole")})
    )
    parts = train_in_process(
        base_config(
            tmp_path,
            **{**keys, "micro_batch_size": 2, "gradient_accumulation_steps": 4, "output_dir": str(tmp_path / "parts")},
        )
    )
    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    for left, right in zip(parts.model.parameters(), whole.model.parameters()):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_a_model_with_another_loss_of_its_own_stops_before_training(tmp_path, slung):
    model = build(tmp_path, "bart")
    keys = {"base_model": str(model), **named(tmp_path), **slung(method="unlikelihood")}
    with pytest.raises(LoopError, match="the model never called slung's loss: BartForCausalLM.forward .*its own loss"):
        train_in_process(base_config(tmp_path, **keys))


def build(folder, arch):
    """A tiny model of an architecture whose config has names of its own."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(folder))
    sizes = {
        "mamba": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "state_size": 4,
            "intermediate_size": 64,
            "time_step_rank": 4,
        },
        "bart": {
            "d_model": 32,
            "decoder_ffn_dim": 64,
            "decoder_layers": 2,
            "decoder_attention_heads": 4,
            "is_encoder_decoder": False,
        },
        "xglm": {
            "d_model": 32,
            "ffn_dim": 64,
            "num_layers": 2,
            "attention_heads": 4,
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
    }
    config = AutoConfig.for_model(arch, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes[arch])
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / arch)
    tokenizer.save_pretrained(folder / arch)
    return folder / arch
