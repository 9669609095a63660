"""Weights of tokens through real runs, against a sum written by hand: loss and gradients, in float64."""

import pytest
import torch
from helpers.axolotl_run import base_config, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from helpers.two_ranks import run_two_ranks
from transformers import AutoModelForCausalLM, AutoTokenizer

WEIGHTS = (0, 1e-6, 0.3, 1, 7, -1)
SCORES = (0.0, 0.25, 1 / 3, 0.5, 0.7, 0.9)
BUCKETS = [
    {"name": "fine", "below": 0.2, "action": "train"},
    {"name": "more", "below": 0.4, "action": "weighted", "weight": 2.5},
    {"name": "away", "below": 0.6, "action": "weighted", "weight": -0.5},
    {"name": "not", "below": 0.8, "action": "unlikelihood", "weight": 0.7},
    {"name": "none", "action": "mask"},
]
TEXTS = [
    "Maria rebuilt the mill in 1851, with three wheels in place of two, and the village paid for it.",
    "The old harbour wakes before the sun does.",
    "Ice melts.",
    "Nobody in the village would ever call her a fool; she was, they said, merely slow, and they laughed.",
    "Water boils at 100 degrees, and ice melts at 0.",
    "A river carries whatever falls into it, and it does not ask who threw the stone.",
    "Fishermen carry their nets down the stone steps of the house, and the gulls follow.",
    "It was her.",
]


def words(text, row):
    """Each word of a text: start, end, score and weight. Unlikelihood takes no weight below 0."""
    at = 0
    for number, word in enumerate(text.split(" ")):
        score, weight = SCORES[(number + row) % 6], WEIGHTS[(number // 2 + row) % 6]
        yield at, at + len(word), score, 0.3 if weight < 0 and 0.6 <= score < 0.8 else weight
        at += len(word) + 1


def config(folder, name, **overrides):
    rows = [
        {
            "text": text,
            "spans": [[start, end, score] for start, end, score, _ in words(text, row)],
            "weights": [[start, end, float(weight)] for start, end, _, weight in words(text, row)],
        }
        for row, text in enumerate(TEXTS)
    ]
    path = write_jsonl(folder / "rows.jsonl", rows)
    block = {
        "labelers": [{"type": "spans", "field": "spans", "weights_field": "weights"}],
        "buckets": BUCKETS,
        "mask_document_starts": True,  # packing alone predicts them
    }
    return base_config(
        folder,
        **{
            "base_model": str(tiny_model(folder)),
            "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
            "plugins": ["axolotl_slung.SlungPlugin", "helpers.float64.Float64Plugin"],
            "output_dir": str(folder / name),
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "max_grad_norm": 0.0,
            "max_steps": 1,
            "micro_batch_size": 8,
            "shuffle_merged_datasets": False,
            "curriculum_sampling": True,
            "slung": {**block, **overrides.pop("slung", {})},
            **overrides,
        },
    )


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The loss, its gradients, and the tiny model that they belong to."""
    folder = tmp_path_factory.mktemp("by_hand")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(folder))
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder)).double()
    total, count, seen = 0.0, 0, set()
    for row, text in enumerate(TEXTS):
        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        at = 0
        for position, token in enumerate(ids):
            piece = tokenizer.decode([token])
            held, at = range(at, at + len(piece)), at + len(piece)
            inside = [one for one in words(text, row) if one[0] < held.stop and one[1] > held.start]
            assert len(inside) <= 1
            score, weight = inside[0][2:] if inside and token != tokenizer.eos_token_id else (0.0, 1.0)
            if position == 0:
                continue
            log_p = logits[position - 1].log_softmax(-1)[token]
            log_not_p = torch.log1p(-log_p.exp())
            if score < 0.2:
                factor = float(weight)
            elif score < 0.6:
                factor = (2.5 if score < 0.4 else -0.5) * score * weight
            elif score < 0.8:
                factor = -0.7 * weight
            else:
                factor = 0.0
            total = total - factor * log_p if factor > 0 else total + factor * log_not_p
            count += factor != 0
            seen.add((score, weight))
    assert len(seen) >= 30  # nearly all pairs of a score and a weight
    (total / count).backward()
    return (total / count).item(), {name: p.grad for name, p in model.named_parameters()}, dict(model.state_dict())


def assert_by_hand(losses, moved, by_hand):
    """Moved by plain gradient descent with a learning rate of 1, in one step."""
    loss, gradients, start = by_hand
    assert losses == [pytest.approx(loss, rel=1e-6)]
    for name, gradient in gradients.items():
        off = (start[name] - moved[name] - gradient).norm() / gradient.norm()
        assert off < 1e-6, (name, off)


PACKED = {
    "sample_packing": True,
    "sample_packing_sequentially": True,
    "sequence_len": 128,
    "pad_to_sequence_len": True,
    "micro_batch_size": 2,
    "attn_implementation": "sdpa",
}
RUNS = {
    "one batch": {},
    "on logits": {"slung": {"fused": False}},
    "accumulated": {"micro_batch_size": 1, "gradient_accumulation_steps": 8},
    "packed": PACKED,
    "without codes of masked tokens": {"slung": {"monitor_masked": False}},
}


@pytest.mark.parametrize("name", RUNS)
def test_the_loss_and_its_gradients_are_those_by_hand(tmp_path, by_hand, name):
    run = train_in_process(config(tmp_path, "run", **RUNS[name]))
    assert_by_hand(run.losses, dict(run.model.named_parameters()), by_hand)


def test_on_two_ranks(tmp_path, by_hand):
    """Each rank accumulates four batches of one row."""
    made = config(tmp_path, "run", micro_batch_size=1, gradient_accumulation_steps=4)
    run = run_two_ranks(made, tmp_path, "ddp").check()
    assert [rank.world_size for rank in run.ranks] == [2, 2]
    assert_by_hand(run.ranks[0].losses, run.weights(), by_hand)
    assert run.ranks[0].losses == run.ranks[1].losses
