"""Objectives beside the paper's: each against its formula, and through a config to real labels and a real loss."""

import sys

import numpy as np
import pytest
import torch
from helpers.axolotl_run import base_config, prepare_in_process, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from axolotl_slung.config import SlungConfig
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode, encode
from axolotl_slung.labels.goldfish import CONTEXT, goldfish
from axolotl_slung.loss.objectives import Hinge, ObjectiveError, cross_entropy, dft, of_path, token_losses, unlikelihood
from axolotl_slung.loss.reader import LabelReader
from axolotl_slung.training.conflicts import conflicts_of

TEXTS = [
    f"{i}. I met Maria Hernandez at the mill, which {word} rebuilt in 1851, with three wheels."
    for i, word in enumerate("abcdefghij")
]
NAMES = {"type": "entities"}


def test_objectives_are_their_formulas():
    p = torch.tensor([1e-9, 0.001, 0.25, 0.5, 0.999], dtype=torch.float64)
    m = p.logit()
    torch.testing.assert_close(cross_entropy(m), -p.log())
    torch.testing.assert_close(unlikelihood(m), -(1 - p).log())
    torch.testing.assert_close(Hinge(0.01)(m), (p.log() - torch.tensor(0.01).double().log()).clamp(min=0))
    torch.testing.assert_close(dft(m), -p * p.log())
    mixed = token_losses(m, {cross_entropy: p * 0 + 2, Hinge(0.5): p})
    torch.testing.assert_close(mixed, -2 * p.log() + p * (p.log() - torch.tensor(0.5).double().log()).clamp(min=0))


def test_dft_is_cross_entropy_times_a_constant_probability():
    m = torch.tensor([-80.0, -20, -1, 0, 3, 20], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(dft(m).sum(), m)
    torch.testing.assert_close(slope, -m.detach().sigmoid() * (-m.detach()).sigmoid())
    single = m.detach().float().requires_grad_()
    (found,) = torch.autograd.grad(dft(single).sum(), single)
    torch.testing.assert_close(found.double(), slope, rtol=1e-6, atol=0)


def test_a_hinge_leaves_unlikely_tokens_alone():
    m = torch.tensor([-8.0, 3.0], requires_grad=True)
    Hinge(0.01)(m).sum().backward()
    assert m.grad[0] == 0 and m.grad[1] == pytest.approx(1 - torch.sigmoid(torch.tensor(3.0)).item())
    assert Hinge(0.01) == Hinge(0.01) and hash(Hinge(0.01)) == hash(Hinge(0.01)) != hash(Hinge(0.02))


# ------------------------------------------------------------------------------------------------------------ goldfish


def test_a_goldfish_drops_one_in_k_by_what_comes_before():
    ids = np.random.default_rng(0).integers(0, 50000, 40_000)
    for k in (2, 3, 4, 50):
        dropped = goldfish(ids, k)
        assert dropped.mean() == pytest.approx(1 / k, rel=0.06) and not dropped[:CONTEXT].any()
    passage = ids[:200]
    where = goldfish(passage, 4)
    # the same passage elsewhere, whatever stands in front of it, loses the same tokens; and so it does in repetition
    for before in (ids[500:501], ids[300:377], passage):
        again = goldfish(np.concatenate([before, passage]), 4)[len(before) :]
        assert (again[CONTEXT:] == where[CONTEXT:]).all()
    other = passage.copy()
    other[50] += 1
    differs = np.nonzero(goldfish(other, 2) != goldfish(passage, 2))[0]
    assert len(differs) and differs.min() > 50 and differs.max() <= 50 + CONTEXT
    assert goldfish(ids[:CONTEXT], 4).tolist() == [False] * CONTEXT and len(goldfish([], 4)) == 0


def rows_of(prepared):
    return [(np.array(row["input_ids"]), np.array(row["labels"])) for row in prepared.train_dataset]


def config(folder, slung, **block):
    path = write_jsonl(folder / "rows.jsonl", [{"text": text} for text in TEXTS])
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
    return base_config(folder, **data, **slung(["Maria Hernandez"], **block), sequence_len=256)


@pytest.mark.with_axolotl
@pytest.mark.parametrize("monitored", [True, False])
def test_goldfish_in_a_config(tmp_path, slung, monitored):
    buckets = [{"name": "fine", "below": 0.5, "action": "goldfish", "k": 3}, {"name": "name", "action": "mask"}]
    masked = 0
    for ids, labels in rows_of(prepare_in_process(config(tmp_path, slung, buckets=buckets, monitor_masked=monitored))):
        dropped = goldfish(ids, 3)
        names = np.array([index for index in range(len(ids)) if labels[index] != ids[index] and not dropped[index]])
        assert len(names) and (np.diff(names) <= 2).all()  # the name stands together, but for what the goldfish took
        assert (labels[dropped] < 0).all()
        if monitored:
            assert (decode(labels[dropped & (np.arange(len(ids)) < names[0])])[1] == 0).all()
        masked += dropped.sum()
    assert masked > 20


# --------------------------------------------------------------------------------------------------------- the control


@pytest.mark.with_axolotl
def test_the_control_puts_as_many_actions_on_random_tokens(tmp_path, slung):
    real = rows_of(prepare_in_process(config(tmp_path, slung, method="unlikelihood")))
    control = rows_of(prepare_in_process(config(tmp_path, slung, method="unlikelihood", random_control=True)))
    again = rows_of(prepare_in_process(config(tmp_path / "again", slung, method="unlikelihood", random_control=True)))
    special = {0, 1, 2, 3}
    for (ids, labels), (same_ids, moved), (_, repeated) in zip(real, control, again):
        assert (ids == same_ids).all() and (moved == repeated).all()
        assert (labels <= FIRST_CODE).sum() == (moved <= FIRST_CODE).sum() > 0
        assert (decode(moved[moved <= FIRST_CODE])[0] == ids[moved <= FIRST_CODE]).all()
        assert not special & set(ids[moved <= FIRST_CODE].tolist())
        assert (labels == IGNORE).sum() == (moved == IGNORE).sum()
    places = np.concatenate([np.nonzero(moved <= FIRST_CODE)[0] for _, moved in control])
    assert len(set(places.tolist())) > len({tuple(np.nonzero(labels <= FIRST_CODE)[0]) for _, labels in real})


# ----------------------------------------------------------------------------------------------------------- through it

OWN = """
import torch
def simple(m): return torch.nn.functional.softplus(m + 5)
def a_number(m): return m.sum()
def infinite(m): return 1 / (m * 0)
def no_torch(m): return m.detach() + 1
def fails(m): raise KeyError("x")
number = 5
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "my_objectives.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_objectives", None)


@pytest.mark.with_axolotl
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    "bucket",
    [
        {"action": "hinge", "threshold": 1e-5, "weight": 0.5},
        {"action": "custom", "objective": "my_objectives:simple"},
        {"action": "custom", "objective": "dft", "weight": 3},
    ],
    ids=str,
)
def test_an_action_through_a_run(tmp_path, slung, own_module, bucket, fused):
    """The first loss is the formula's on the model's own logits."""
    buckets = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "name", **bucket}]
    made = config(tmp_path, slung, buckets=buckets, fused=fused) | {"micro_batch_size": 10, "max_steps": 1}
    run = train_in_process(made)
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).double()
    total = names = count = 0.0
    for row in run.dataset_meta.train_dataset:
        log_p = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].log_softmax(-1)
        log_p = log_p.gather(1, torch.tensor(row["input_ids"][1:])[:, None])[:, 0]
        risky = torch.tensor(row["labels"][1:]) <= FIRST_CODE
        m = log_p - torch.log1p(-log_p.exp())
        if bucket["action"] == "hinge":
            of_names = (log_p - np.log(1e-5)).clamp(min=0)
        elif bucket["objective"] == "dft":
            of_names = -log_p.exp() * log_p
        else:
            of_names = torch.log1p((m + 5).exp())
        total += -log_p[~risky].sum().item() + bucket.get("weight", 1.0) * of_names[risky].sum().item()
        names += of_names[risky].sum().item() * bucket.get("weight", 1.0)
        count += len(risky)
    assert run.losses == [pytest.approx(total / count, rel=1e-4)]
    [entry] = [entry for entry in run.log_history if "loss" in entry]
    assert entry[f"slung/share_{bucket['action']}"] > 0.02
    assert names > (1e-3 if bucket.get("objective") == "dft" else 1)  # the model has learned nothing
    assert run.trainer.slung_loss.head is None if not fused else run.trainer.slung_loss.head.off is None


@pytest.mark.with_axolotl
@pytest.mark.parametrize("fused", [True, False])
def test_dft_in_place_of_cross_entropy(tmp_path, slung, fused):
    """One step of SGD is the formula's gradient, over accumulation; evaluation and metrics stay plain nll."""
    kept = {"micro_batch_size": 5, "gradient_accumulation_steps": 2, "max_steps": 1, "num_epochs": 2}
    kept |= {"optimizer": "sgd", "learning_rate": 1.0, "max_grad_norm": 0.0}
    made = config(tmp_path, slung, method="masked", train_objective="dft", fused=fused) | kept
    made["test_datasets"] = [{**made["datasets"][0], "split": "train"}]
    made |= {"eval_strategy": "steps", "eval_steps": 1, "val_set_size": 0}
    run = train_in_process(made)
    model = AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path)).double()
    losses, count, nll = [], 0, []
    for row in run.dataset_meta.train_dataset:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"][1:])
        log_p = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0][labels >= 0]
        losses.append((-log_p.exp().detach() * log_p).sum())
        nll += (-log_p).tolist()
        count += len(log_p)
    loss = sum(losses) / count
    loss.backward()
    assert run.losses == [pytest.approx(loss.item(), rel=1e-4)]
    [entry] = [entry for entry in run.log_history if "loss" in entry]
    assert entry["slung/nll_train"] == pytest.approx(np.mean(nll), rel=1e-4)
    for (name, before), after in zip(model.named_parameters(), run.trainer.model.parameters()):
        torch.testing.assert_close(
            (before.detach() - after.detach()).float(), before.grad.float(), rtol=1e-3, atol=1e-6, msg=name
        )
    evaluated = [entry["eval_loss"] for entry in run.log_history if "eval_loss" in entry]
    assert evaluated and evaluated == pytest.approx([np.mean(nll)] * len(evaluated), rel=0.05)


def test_both_ways_to_ask_for_dft_add_up():
    bucket = Bucket("doubtful", None, Action.CUSTOM, weight=0.5, objective="dft")
    labels = torch.tensor([7, IGNORE, int(encode([9], [1], [1.0])[0])])
    read = LabelReader((Bucket("safe", 0.5, Action.TRAIN), bucket), "dft").read(labels)
    assert read.actions[dft].tolist() == [1, 0, 0.5] and read.actions[cross_entropy].tolist() == [0, 0, 0]


def test_dft_is_refused_beside_a_loss_that_replaces_it():
    block = SlungConfig(labelers=[NAMES | {"names": ["Ada"]}], train_objective="dft")
    [error] = conflicts_of({"cut_cross_entropy": True}, block)
    assert error.startswith("slung.train_objective: dft: needs slung's loss, but Cut Cross-Entropy replaces it;")


@pytest.mark.with_axolotl
def test_the_schedule_follows_the_optimizer_steps(tmp_path, slung):
    made = config(tmp_path, slung, method="unlikelihood", weight_start=1, weight_warmup=2) | {
        "max_steps": 4,
        "learning_rate": 1e-6,
    }
    run = train_in_process(made | {"micro_batch_size": 10})
    entries = [entry for entry in run.log_history if "loss" in entry]
    full = entries[-1]["slung/loss_unlikelihood"]
    assert [entry["slung/loss_unlikelihood"] for entry in entries] == pytest.approx([0, full / 2, full, full], rel=1e-3)


@pytest.mark.parametrize(
    "path, message",
    [
        ("my_objectives:nothing", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("my_objectives:a_number", "must turn log-odds"),
        ("my_objectives:no_torch", "must turn log-odds"),
        ("my_objectives:fails", "fails on log-odds .*: KeyError"),
        ("my_objectives:number", "fails on log-odds .*: TypeError"),
        ("my_objectives:infinite", "infinite loss or derivative"),
    ],
)
def test_what_is_no_objective_is_refused(own_module, path, message):
    with pytest.raises(ObjectiveError, match=message):
        of_path(path)


def test_an_objective_of_ones_own(own_module):
    assert of_path("my_objectives:simple")(torch.zeros(1)).item() == pytest.approx(np.log1p(np.exp(5)))


@pytest.mark.parametrize(
    "buckets, message",
    [
        ([{"action": "hinge"}], "`threshold` is required by action: hinge; add it"),
        ([{"action": "mask", "threshold": 0.1}], "`threshold` has no effect with action: mask, only with hinge"),
        ([{"action": "goldfish"}], "`k` is required by action: goldfish"),
        ([{"action": "goldfish", "k": 1}], "greater than or equal to 2"),
        ([{"action": "custom"}], "`objective` is required by action: custom"),
        ([{"action": "custom", "objective": "no colon"}], "String should match pattern"),
        ([{"action": "goldfish", "k": 4, "weight": 2}], "`weight` has no effect with action: goldfish"),
    ],
)
def test_options_belong_to_their_actions(buckets, message):
    block = {
        "labelers": [{**NAMES, "path": "x"}],
        "buckets": [{"name": "low", "below": 0.5, "action": "train"}, {"name": "high", **buckets[0]}],
    }
    with pytest.raises(ValidationError, match=message):
        SlungConfig.model_validate(block)


def test_a_schedule_without_a_weight_is_refused():
    for key in ("weight_start", "weight_warmup"):
        with pytest.raises(ValidationError, match="no bucket's action has a `weight`"):
            SlungConfig.model_validate({"labelers": [{**NAMES, "path": "x"}], "method": "masked", key: 5})
