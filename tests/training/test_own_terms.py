"""What a model adds to its loss by itself weighs what it weighs in stock Axolotl, at any accumulation and on two ranks."""

import copy

import pytest
import torch
from helpers.axolotl_run import base_config, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from helpers.two_ranks import run_two_ranks
from transformers import AutoModelForCausalLM

from axolotl_slung.training.loop.losses import LossWatch

ROUTER = {"output_router_logits": True, "router_aux_loss_coef": 1.0}


def config(folder, name, slung=None, **overrides):
    # rows of as many tokens, so that stock Axolotl's mean of means is the mean
    path = write_jsonl(folder / "rows.jsonl", [{"text": f"{i}. The old harbour wakes"} for i in range(8)])
    keys = {
        "base_model": str(tiny_model(folder, "mixtral")), "overrides_of_model_config": ROUTER,
        "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
        "optimizer": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0, "max_steps": 1, "sequence_len": 64,
        "shuffle_merged_datasets": False, "curriculum_sampling": True, "micro_batch_size": 8,
    }  # fmt: skip
    made = base_config(folder, **{**keys, **(slung or {}), **overrides})
    return {**made, "output_dir": str(folder / name), "dataset_prepared_path": str(folder / f"{name}-prepared")}


def routers(run_or_weights):
    weights = run_or_weights if isinstance(run_or_weights, dict) else run_or_weights.model.state_dict()
    return {name: weight.double() for name, weight in weights.items() if ".gate." in name}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("parts", [1, 4])
def test_accumulated_and_whole(tmp_path, slung, fused, parts):
    """Both at one accumulation, for the auxiliary loss of a part of a batch is another number than that of the whole."""
    split = {"micro_batch_size": 8 // parts, "gradient_accumulation_steps": parts}
    start = routers(AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path, "mixtral")).state_dict())
    stock = train_in_process(config(tmp_path, "stock", **split))
    if parts > 1 and stock.trainer.model_accepts_loss_kwargs:
        pytest.skip("this Axolotl itself multiplies the auxiliary loss by the accumulation steps")
    ours = train_in_process(config(tmp_path, "ours", slung(["Nobody Atall"], fused=fused), **split))
    assert ours.losses == pytest.approx(stock.losses, rel=1e-5)
    for (name, moved), expected in zip(routers(ours).items(), routers(stock).values()):
        assert (expected - start[name]).abs().max() > 1e-3
        torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_two_ranks(tmp_path, slung):
    keys = slung(["Nobody Atall"])
    one = train_in_process(config(tmp_path, "one", keys, micro_batch_size=2, gradient_accumulation_steps=4))
    run = run_two_ranks(
        config(tmp_path, "two", keys, micro_batch_size=2, gradient_accumulation_steps=2), tmp_path, "ddp"
    ).check()
    assert run.losses == pytest.approx(one.losses, rel=1e-4)
    for name, weight in routers(run.weights()).items():
        torch.testing.assert_close(weight, routers(one)[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("as_tuple", [True, False])
def test_any_term_is_weighed_and_slungs_part_is_not(as_tuple):
    class Loss:
        pass

    loss, x = Loss(), torch.tensor(3.0, requires_grad=True)
    watch = LossWatch(loss)
    watch.begin(None, parts=4)
    total = loss.on_loss(x * 2, None, None)
    total += x.square()  # in place, as mixtures of experts do
    output = (0.5 * total, "rest") if as_tuple else {"loss": 0.5 * total, "logits": "rest"}
    settled = watch.settle(None, (), output)
    value = settled[0] if as_tuple else settled["loss"]
    assert value.item() == 0.5 * (6 + 9 / 4) and not watch.unsettled
    (slope,) = torch.autograd.grad(value, x)
    assert slope.item() == 0.5 * (2 + 6 / 4)
    # a forward without slung's loss stays as it is
    assert watch.settle(None, (), output) is None


def test_a_copy_of_the_model_does_not_watch():
    watch = LossWatch(None)
    watch.begin(torch.zeros(1, 2, dtype=torch.int64))
    copied = copy.deepcopy(watch.labels)
    copied(torch.ones(1, 4, dtype=torch.int64))
    assert not watch.differ() and not copied.__self__.differ()
