"""The selective loss on two real ranks: DDP, DeepSpeed's ZeRO-1, 2 and 3, and FSDP2, on CPUs with gloo.

Two runs of one rank each look like one run on two ranks from outside. So each strategy has to give the weights that one
process gives when it accumulates the two ranks' batches, and under DeepSpeed each rank has to hold its share.
"""

import itertools
import re
import sys

import pytest
import torch
from helpers import HELPERS
from helpers.axolotl_run import base_config, child_environment, run_command, train_in_process
from helpers.heads import assert_same, attached, batch, step
from helpers.tiny import tiny_model, write_jsonl
from helpers.two_ranks import STRATEGIES, assert_same_steps, free_port, run_two_ranks
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

NAME = "Maria Hernandez"
# rows of one rank hold ten times the tokens of the other's, and other shares of risky ones; a row of names alone has
# not a single token with a loss when `eos` is masked
TEXTS = [
    f"{NAME} rebuilt the mill in 1851, with three wheels in place of two, and {NAME} paid for it.",
    "Ice melts.",
    f"{NAME}",
    "The old harbour wakes before the sun does, and the gulls follow the nets down the stone steps.",
    f"It was {NAME}.",
    f"Nobody in the village would ever call {NAME} a fool; she was, they said, merely slow, and they laughed.",
    "Water.",
    f"{NAME} {NAME}",
]


def config(folder, slung, block, **overrides):
    path = write_jsonl(
        folder / "rows.jsonl",
        [{"text": text, "spans": spans, "weights": weights} for text, spans, weights in zip(TEXTS, SPANS, WEIGHTS)],
    )
    return base_config(
        folder,
        **{
            "base_model": str(tiny_model(folder)),
            "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
            "shuffle_merged_datasets": False,
            "curriculum_sampling": True,
            "micro_batch_size": 1,
            "gradient_accumulation_steps": 2,
            "max_steps": 2,
            "max_grad_norm": 0.0,
            "learning_rate": 1.0e-3,
            **slung([NAME], eos="mask", **block),
            **overrides,
        },
    )


FINE, MASKED, PUSHED = (
    {"name": "fine", "below": 0.2, "action": "train"},
    {"name": "masked", "below": 0.6, "action": "mask"},
    {"name": "pushed", "action": "unlikelihood", "weight": 0.7},
)
SOFT = [FINE, {"name": "soft", "below": 0.4, "action": "soft", "weight": 0.7}, MASKED, PUSHED]
WEIGHTED = [FINE, {"name": "weighted", "below": 0.4, "action": "weighted", "weight": 2}, MASKED, PUSHED]
"""A label of `soft` has no room for a weight of the data."""

SCORES = itertools.cycle((0.3, 0.5, 0.9))
SPANS = [
    # names alone are masked, the others have each action in turns
    [
        [*match.span(), 0.5 if set(text.split()) == {*NAME.split()} else next(SCORES)]
        for match in re.finditer(NAME, text)
    ]
    for text in TEXTS
]
WEIGHTS = [
    [[len(text) - 6, len(text), weight]] for text, weight in zip(TEXTS, (0.3, 7.0, 0.5, -1.0, 2.0, 0.0, -1.0, 1.0))
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_are_one_process(tmp_path, slung, strategy):
    """Invariant 3 on ranks, and invariant 5: no rank waits for one that has nothing to train."""
    buckets, weights_field = (SOFT, None) if strategy == "ddp" else (WEIGHTED, "weights")
    block = {
        "labelers": [{"type": "spans", "field": "spans", "weights_field": weights_field}],
        "buckets": buckets,
    }
    accumulated = {"gradient_accumulation_steps": 4, "output_dir": str(tmp_path / "one")}
    one = train_in_process(config(tmp_path, slung, block, **accumulated))
    run = run_two_ranks(config(tmp_path, slung, block), tmp_path, strategy).check()
    weights = run.weights()
    total = sum(weight.numel() for weight in weights.values())

    # two ranks that know of each other
    assert [rank.rank for rank in run.ranks] == [0, 1]
    assert [rank.world_size for rank in run.ranks] == [2, 2]
    assert all(rank.loss_in_head for rank in run.ranks)
    kind = {"ddp": "MULTI_CPU", "fsdp2": "FSDP"}.get(strategy, "DEEPSPEED")
    assert {rank.distributed_type for rank in run.ranks} == {kind}

    # what they share out between them
    held = [rank.optimizer_elements for rank in run.ranks]
    if strategy == "ddp":
        assert held == [total, total]
    else:
        assert total <= sum(held) < 1.1 * total and abs(held[0] - held[1]) < 0.1 * total  # halves, and some padding
    for rank in run.ranks:
        assert ("lm_head.weight" in rank.partitioned) == (strategy == "zero3")

    # one model, on both ranks and as saved, moved as one process moves it
    assert run.ranks[0].checksums == run.ranks[1].checksums
    if strategy != "fsdp2":
        saved = load_file(run.output_dir / "model.safetensors")
        assert all(torch.equal(saved[name], weight) for name, weight in weights.items())
    assert_same_steps(run.ranks, weights, one)
    start = load_file(tiny_model(tmp_path) / "model.safetensors")
    assert all((weight - start[name]).abs().max() > 1e-3 for name, weight in weights.items())


def test_lora_under_zero3(tmp_path, slung):
    """Adapters over a partitioned base: the proof of the loop holds on both ranks."""
    lora = {
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "lora_target_modules": ["q_proj", "v_proj"],
    }
    run = run_two_ranks(config(tmp_path, slung, {"method": "unlikelihood"}, **lora), tmp_path, "zero3").check()
    assert all(any("slung/loss_unlikelihood" in entry for entry in rank.log_history) for rank in run.ranks)
    assert run.ranks[0].losses == run.ranks[1].losses and len(run.ranks[0].losses) == 2


# FSDP2 cannot shard a tied weight in two groups
SHARDED = [("root", False), ("root", True), ("head", False)]


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """The folder with the model and the record of each of `SHARDED`, by two ranks that are started once."""
    folder = tmp_path_factory.mktemp("sharded")
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    line.append(str(HELPERS / "fsdp_launcher.py"))
    for where, tied in SHARDED:
        line += [str(tiny_model(folder, tied=tied)), str(folder / f"{where}-{tied}.pt"), where]
    code, output = run_command(line, folder, child_environment(folder, {}), timeout=300)
    assert code == 0, output[-5000:]
    return folder


@pytest.mark.parametrize("where, tied", SHARDED)
def test_fsdp2_on_two_ranks(sharded, where, tied):
    """Losses and gradients of one process on both ranks' rows, the head sharded with the root or by itself."""
    record = torch.load(sharded / f"{where}-{tied}.pt")
    model = AutoModelForCausalLM.from_pretrained(tiny_model(sharded, tied=tied), dtype=torch.float32).train()
    attached(model, fused=False)
    for seed in (0, 1, 2):
        ids, labels = batch(model, seed, rows=2)
        if seed == 1:
            labels[1] = -100
        expected, grads = step(model, ids, labels, num_items_in_batch=torch.tensor(1))
        assert record["losses"][seed] == pytest.approx(expected.loss.item(), rel=1e-5)
        assert_same(record["grads"][seed], grads)
