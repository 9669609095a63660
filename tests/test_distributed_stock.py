"""Stock Axolotl on two CPU ranks, without the plugin: is what the other distributed tests stand on really distributed?

Two runs of one rank each look like one run on two ranks from outside. Here each strategy has to give the weights that
one process gives when it accumulates the two ranks' batches, and under DeepSpeed each rank has to hold its share.
"""

import importlib.util
import math

import pytest
import torch
from axolotl_run import STRATEGIES, base_config, run_two_ranks, train_in_process
from safetensors.torch import load_file
from tiny import tiny_model

STEPS = 3


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """One process that sees both ranks' batches in each step: (losses, name -> weight)."""
    folder = tmp_path_factory.mktemp("one_process")
    run = train_in_process(base_config(folder, max_steps=STEPS, gradient_accumulation_steps=2))
    return run.losses, {name: weight.detach().clone() for name, weight in run.model.named_parameters()}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_train_one_model(strategy, one_process, tmp_path):
    if strategy != "ddp" and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("needs deepspeed")
    run = run_two_ranks(base_config(tmp_path, max_steps=STEPS), tmp_path, strategy).check()
    first, second = run.ranks
    weights = run.weights()
    total = sum(weight.numel() for weight in weights.values())

    # two ranks that know of each other
    assert [rank.rank for rank in run.ranks] == [0, 1]
    assert [rank.world_size for rank in run.ranks] == [2, 2]
    assert {rank.distributed_type for rank in run.ranks} == {"MULTI_CPU" if strategy == "ddp" else "DEEPSPEED"}

    # what they share out between them
    for rank in run.ranks:
        if strategy == "zero3":
            assert rank.partitioned["model.embed_tokens.weight"] == list(weights["model.embed_tokens.weight"].shape)
            assert rank.partitioned["lm_head.weight"] == list(weights["lm_head.weight"].shape)
        else:
            assert rank.partitioned == {}
    if strategy == "ddp":
        assert first.optimizer_elements == second.optimizer_elements == total
    else:
        # a little more than half each, where padding is needed
        assert total <= first.optimizer_elements + second.optimizer_elements < 1.1 * total
        assert abs(first.optimizer_elements - second.optimizer_elements) < 0.1 * total

    # one model, on both ranks and as saved
    assert first.checksums == second.checksums
    saved = load_file(run.output_dir / "model.safetensors")
    assert saved.keys() == weights.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(saved[name], weight, rtol=0, atol=0)

    # the same steps as one process with both ranks' batches
    losses, expected = one_process
    assert len(first.losses) == STEPS and all(map(math.isfinite, first.losses))
    assert first.losses == pytest.approx(losses, rel=1e-5)
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-4)

    # which is not where it started: every step moves a weight by up to the learning rate, 0.01
    start = load_file(tiny_model(tmp_path) / "model.safetensors")
    assert all((weight - start[name]).abs().max() > 0.01 for name, weight in weights.items())
