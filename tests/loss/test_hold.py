"""`action: hold`: tokens are kept as likely as they are with the adapter off."""

import copy

import pytest
import torch
from helpers.axolotl_run import base_config, train_in_process
from helpers.heads import assert_same, load, lora, step
from helpers.tiny import tiny_model, write_jsonl
from helpers.two_ranks import assert_same_steps, run_two_ranks

from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, encode
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss, metrics
from axolotl_slung.loss.objectives import cross_entropy, held, hold, losses_and_slopes
from axolotl_slung.training.conflicts import conflicts_of

BUCKETS = (
    Bucket("safe", 0.3, Action.TRAIN),
    Bucket("doubtful", 0.6, Action.UNLIKELIHOOD, weight=0.5),
    Bucket("refusal", None, Action.HOLD, weight=2.0),
)


# --------------------------------------------------------------------------------------------------------- the formula


def divergence(m, before):
    """KL of the two answers "target" and "another", and its slope, from logarithms of probabilities."""
    log_p, log_rest = -torch.nn.functional.softplus(-m), -torch.nn.functional.softplus(m)
    log_q, log_other = -torch.nn.functional.softplus(-before), -torch.nn.functional.softplus(before)
    return (log_q.exp() * (log_q - log_p) + log_other.exp() * (log_other - log_rest)), m.sigmoid() - before.sigmoid()


def test_the_loss_is_a_divergence_with_all_its_digits():
    points = torch.tensor([-40.0, -18, -9, -1, 0, 0.5, 6, 17, 30], dtype=torch.float64)
    m, before = (x.reshape(-1) for x in torch.meshgrid(points, points + 0.25, indexing="ij"))
    weight = torch.full_like(m, 3.0)
    losses, slopes = losses_and_slopes(m, held({cross_entropy: torch.zeros_like(m), hold: weight}, before))
    expected, slope = divergence(m, before)
    torch.testing.assert_close(losses, 3 * expected, rtol=1e-6, atol=1e-14)
    # in float64, the difference of two probabilities near 1 has half its digits
    torch.testing.assert_close(slopes, 3 * slope, rtol=1e-3, atol=1e-15)
    actions = {cross_entropy: torch.zeros_like(m).float(), hold: weight.float()}
    _, single = losses_and_slopes(m.float(), held(actions, before.float()))
    torch.testing.assert_close(single.double(), slopes, rtol=3e-6, atol=1e-30)
    same = {cross_entropy: torch.zeros_like(m).float(), hold: weight.float()}
    losses, slopes = losses_and_slopes(before.float(), held(same, before.float()))
    assert losses.abs().max() < 1e-6 and slopes.abs().max() < 3e-7  # a rounding of 3


# ------------------------------------------------------------------------------------------------------------- a model

ADAPTERS = {
    "layers": {"target_modules": ["q_proj", "down_proj"]},
    "the head": {"target_modules": ["v_proj", "lm_head"]},
    "a copy of the head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "dora": {"target_modules": ["q_proj"], "use_dora": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def batch(model, only_held=False):
    torch.manual_seed(1)
    ids = torch.randint(5, model.config.vocab_size, (3, 20))
    bucket = torch.full_like(ids, 2) if only_held else torch.randint(0, 3, ids.shape)
    coded = torch.from_numpy(encode(ids.numpy(), bucket.numpy(), torch.ones(ids.shape).numpy()))
    labels = torch.where(bucket > 0, coded, ids)
    labels[0, :4] = IGNORE
    return ids, labels, bucket


def attach(model, fused):
    loss = SelectiveCausalLMLoss(BUCKETS)
    loss.attach(model.get_base_model(), fused, model)
    return loss


def moved(model, seed=3):
    """The adapter after some training."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


# two documents per row, as packing gives them
PACKED = {"position_ids": torch.arange(10).repeat(3, 2)}


def log_odds(model, ids):
    logits = model(input_ids=ids, **PACKED).logits[:, :-1].double()
    target = logits.gather(2, ids[:, 1:, None])
    others = logits.scatter(2, ids[:, 1:, None], -torch.inf).logsumexp(2)
    return target[..., 0] - others


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
@pytest.mark.parametrize("name", ADAPTERS)
def test_gradients_are_those_of_a_plain_sum(folder, name, fused):
    """In float64, on a copy of the model that has nothing of slung: the first batch, and a later one."""
    dtype = torch.float64
    model = lora(load(folder, dtype=dtype), **ADAPTERS[name])
    plain, base = copy.deepcopy(model), load(folder, dtype=dtype)
    loss = attach(model, fused)
    ids, labels, bucket = batch(base)
    for seed in (3, 4):
        moved(model, seed), moved(plain, seed)
        with torch.no_grad():
            before = log_odds(base, ids)
        m = log_odds(plain, ids)
        kind, kept = bucket[:, 1:], labels[:, 1:] != IGNORE
        parts = (cross_entropy(m), 0.5 * torch.nn.functional.softplus(m), 2 * divergence(m, before)[0])
        expected = sum((part * ((kind == index) & kept)).sum() for index, part in enumerate(parts)) / kept.sum()
        plain.zero_grad()
        expected.backward()
        output, grads = step(model, ids, labels, **PACKED)
        assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)
        assert_same(grads, {n: p.grad for n, p in plain.named_parameters()}, rtol=1e-6)
        figures = metrics(loss.take("train"))
        drift = divergence(m, before)[0][(kind == 2) & kept].mean().item()
        assert figures["slung/loss_hold"] == pytest.approx(2 * drift, rel=1e-3) and drift > 1e-5
    assert loss.head is None or loss.head.off is None or name == "the head"
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in plain.parameters()]
    assert all(a.training == b.training for a, b in zip(model.modules(), plain.modules()))
    model.eval()
    with torch.no_grad():
        model(input_ids=ids, labels=labels, **PACKED)
    assert metrics(loss.take("eval"))["slung/loss_hold"] == pytest.approx(2 * drift, rel=1e-3)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
def test_a_new_adapter_has_no_loss_and_no_gradient(folder, fused):
    model = lora(load(folder), **ADAPTERS["layers"])
    loss = attach(model, fused)
    ids, labels, _ = batch(model, only_held=True)
    for _ in range(2):
        output, grads = step(model, ids, labels)
        assert abs(output.loss.item()) < 1e-6
        assert all(grad is None or grad.abs().max() < 1e-6 for grad in grads.values())
    moved(model)
    output, grads = step(model, ids, labels)
    assert output.loss.item() > 1e-4 and max(grad.abs().max() for grad in grads.values() if grad is not None) > 1e-4
    assert loss.reader.before is not None
    labels = torch.where(labels == IGNORE, IGNORE, ids)
    step(model, ids, labels)
    assert loss.reader.before is None  # a batch without such tokens has no further forward pass


def test_a_deep_copy_has_a_reference_of_its_own(folder):
    model = lora(load(folder), **ADAPTERS["layers"])
    attach(model, True)
    ids, labels, _ = batch(model)
    step(model, ids, labels)
    twin = copy.deepcopy(model)
    moved(model), moved(twin)
    expected = step(model, ids, labels)[1]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert_same(step(twin, ids, labels)[1], expected)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda model: model.get_base_model(), "full fine-tuning changes the only copy; set `adapter: lora`"),
        (lambda model: [moved(model), model][1], "the adapter has been trained, or does not begin at zero"),
        (lambda model: model.requires_grad_(True), "is trained outside the adapter"),
    ],
    ids=["full fine-tuning", "a trained adapter", "trained layers beside the adapter"],
)
def test_models_without_a_reference_are_refused(folder, change, said):
    model = change(lora(load(folder), **ADAPTERS["layers"]))
    with pytest.raises(SlungError, match=said):
        SelectiveCausalLMLoss(BUCKETS).attach(model, True, model)


@pytest.mark.parametrize(
    "keys, said",
    [
        ({}, "adapter: None: `action: hold` needs the model before training"),
        ({"adapter": "lora", "relora": True}, "relora: true: merges the adapter"),
        ({"adapter": "lora", "lora_model_dir": "x"}, "lora_model_dir: x: `action: hold` needs an adapter"),
        ({"adapter": "lora", "fsdp_config": {"a": 1}}, "fsdp_config: cannot be used with `action: hold`: ranks"),
        ({"adapter": "lora", "deepspeed": {"zero_optimization": {"stage": 3}}}, "deepspeed: ZeRO-3 cannot be used"),
    ],
    ids=str,
)
def test_settings_without_a_reference_are_refused(keys, said):
    buckets = [{"name": "safe", "below": 0.5, "action": "train"}, {"name": "no", "action": "hold"}]
    block = SlungConfig.model_validate({"labelers": [{"type": "entities", "names": ["Ada"]}], "buckets": buckets})
    [error] = conflicts_of(keys, block)
    assert error.startswith(said)


# -------------------------------------------------------------------------------------------------------------- a run

HOLDING = [{"name": "safe", "below": 0.5, "action": "train"}, {"name": "no", "action": "hold", "weight": 3}]
LORA = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
    "lora_target_modules": ["q_proj", "v_proj"],
}


def config(folder, slung, name="run", block=None, **overrides):
    rows = [{"text": f"{i}. I met Maria Hernandez {'there ' * (i % 5)}by the mill."} for i in range(8)]
    path = write_jsonl(folder / "rows.jsonl", rows)
    data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
    keys = {"base_model": str(tiny_model(folder)), "micro_batch_size": 4, "gradient_accumulation_steps": 2}
    keys |= {"learning_rate": 0.05, "max_steps": 4, "num_epochs": 8, "output_dir": str(folder / name), **LORA}
    return base_config(
        folder,
        **{
            **slung(**{"buckets": HOLDING, "mask_document_starts": True, **(block or {})}),
            **data,
            **keys,
            "shuffle_merged_datasets": False,
            **overrides,
        },
    )


def weights(run):
    return {name: p.detach() for name, p in run.trainer.model.named_parameters() if p.requires_grad}


@pytest.mark.with_axolotl
def test_runs_agree_however_their_batches_are_made(tmp_path, slung):
    one = train_in_process(config(tmp_path, slung, "one"))
    drift = [entry["slung/loss_hold"] for entry in one.log_history if "loss" in entry]
    assert abs(drift[0]) < 1e-6 < drift[-1] and one.trainer._slung_proven
    others = {
        "whole": {"micro_batch_size": 8, "gradient_accumulation_steps": 1},
        "single": {"micro_batch_size": 1, "gradient_accumulation_steps": 8},
        "logits": {"block": {"fused": False}},
        "checkpointed": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
    }
    for name, overrides in others.items():
        run = train_in_process(config(tmp_path, slung, name, **overrides))
        assert run.losses == pytest.approx(one.losses, rel=1e-4)
        assert_same(weights(run), weights(one), rtol=2e-3)
    packing = {"sample_packing": True, "sequence_len": 512, "attn_implementation": "sdpa", "pad_to_sequence_len": True}
    packing |= {"micro_batch_size": 1, "gradient_accumulation_steps": 1}
    packed = train_in_process(config(tmp_path, slung, "packed", **packing))
    # its adapter begins with other random numbers, which the first loss does not depend on
    assert packed.losses[0] == pytest.approx(one.losses[0], rel=1e-5)
    later = [entry["slung/loss_hold"] for entry in packed.log_history if "loss" in entry]
    assert abs(later[0]) < 1e-6 < later[-1]
    assert any(label <= FIRST_CODE for row in one.dataset_meta.train_dataset for label in row["labels"])


@pytest.mark.with_axolotl
@pytest.mark.parametrize(
    "around",
    [{"adapter": "qlora", "load_in_4bit": True}, {"lora_modules_to_save": ["lm_head"]}],
    ids=["qlora", "a copy of the head"],
)
def test_the_reference_is_the_model_below_any_adapter(tmp_path, slung, around):
    run = train_in_process(config(tmp_path, slung, base_model=str(tiny_model(tmp_path, hidden=64)), **around))
    drift = [entry["slung/loss_hold"] for entry in run.log_history if "loss" in entry]
    assert abs(drift[0]) < 1e-6 < drift[-1] and run.trainer._slung_proven


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_two_ranks_are_one_process(tmp_path, slung, strategy):
    one = train_in_process(config(tmp_path, slung, "one", micro_batch_size=2, gradient_accumulation_steps=4))
    run = run_two_ranks(config(tmp_path, slung, micro_batch_size=2), tmp_path, strategy).check()
    assert_same_steps(run.ranks, run.weights(), one)
