"""What models do to their logits after the head: known, found by its own name, or fallen back from."""

import copy
import logging

import pytest
import torch
from helpers.heads import assert_same, attached, batch, load, step

from axolotl_slung.loss import bend as bend_module
from axolotl_slung.loss.bend import Bend, probe, seen

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(scope="module")
def tmp_path(tmp_path_factory):
    """One for all: the models are only read."""
    return tmp_path_factory.mktemp("models")


def with_logits(model, change, **config):
    """A class whose logits are `change(head's logits)`; `config` are numbers that its config has."""

    class Changed(type(model)):
        def forward(self, input_ids=None, labels=None, **kwargs):
            logits = change(self.lm_head(self.model(input_ids=input_ids).last_hidden_state))
            loss = None if labels is None else self.loss_function(logits=logits, labels=labels, vocab_size=0, **kwargs)
            return type("Output", (), {"loss": loss, "logits": logits})

    model.__class__ = Changed
    for name, value in config.items():
        setattr(model.config, name, value)
    return model


def compared(model, caplog, grow=1.0, rtol=1e-4):
    """Fused and on logits over two batches, between which the head grows; the loss that was fused."""
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    with caplog.at_level(logging.INFO):
        for seed in (0, 1):
            ids, labels = batch(model, seed)
            output, grads = step(model, ids, labels)
            expected, true_grads = step(plain, ids, labels)
            assert output.loss.item() == pytest.approx(expected.loss.item(), rel=10 * rtol)
            assert_same(grads, true_grads, rtol)
            for one in (model, plain):
                one.lm_head.weight.data.mul_(grow)
    return loss


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "change, config, found",
    [
        (lambda z: 30 * torch.tanh(z / 30), {"logits_soft_cap": 30.0}, Bend(1.0, 30.0)),
        (lambda z: 14.6 * torch.tanh(z / 14.6), {"output_logit_softcap": 14.6}, Bend(1.0, 14.6)),
        (lambda z: z * 0.3, {"lm_head_multiplier": 0.3}, Bend(0.3)),
        (lambda z: z / 13, {"logit_scaling_factor": 13}, Bend(1 / 13)),
        (lambda z: 20 * torch.tanh(z * 2 / 20), {"logit_cap": 20.0, "head_scale": 2.0}, Bend(2.0, 20.0)),
        (lambda z: (z.to(z.dtype) / 13).float(), {"logit_scaling_factor": 13}, Bend(1 / 13)),
    ],
    ids=["softcap", "another softcap", "multiplier", "divisor", "both", "cast"],
)  # fmt: skip
def test_a_scale_or_softcap_by_any_name_is_taken_up(tmp_path, caplog, dtype, change, config, found):
    """Logits are small at first, and bend later."""
    model = with_logits(load(tmp_path, dtype=dtype), change, **config)
    loss = compared(model, caplog, grow=8.0, rtol=1e-4 if dtype == torch.float32 else 0.06)
    assert loss.head.off is None and loss.head.bend == found
    assert "so the loss works on logits" not in caplog.text


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "change",
    [
        lambda z: z * 1.1, lambda z: z * 1.02, lambda z: (z * 1.1).to(torch.bfloat16), lambda z: 30 * torch.tanh(z / 30),
        lambda z: z.clamp(-50, 50), lambda z: 25 * torch.sin(z / 25), lambda z: torch.where(z > 0, z, z * 0.9),
        lambda z: z + 0.1 * torch.arange(z.shape[-1]) / z.shape[-1], lambda z: z.roll(1, -1), lambda z: -z,
        lambda z: z.index_fill(-1, torch.tensor([3]), -1e4),
    ],
    ids=["a tenth", "a fiftieth", "a tenth, cast", "softcap", "clamp", "sine", "kink", "bias", "permuted", "negated", "banned token"],
)  # fmt: skip
def test_what_no_config_tells_of_falls_back(tmp_path, caplog, dtype, change):
    """Also where none of it shows in the first batch's own logits."""
    model = with_logits(load(tmp_path, dtype=dtype), change)
    model.lm_head.weight.data.mul_(0.1)
    loss = compared(model, caplog, grow=40.0, rtol=1e-4 if dtype == torch.float32 else 0.06)
    assert "changes its logits in a way that the fused loss does not support" in loss.head.off
    assert "so the loss works on logits" in caplog.text


@pytest.mark.parametrize(
    "change",
    [lambda z: z[..., :-3], lambda z: torch.cat([z, z[..., :2]], -1)],
    ids=["fewer columns", "more columns"],
)
def test_other_columns_fall_back(tmp_path, caplog, change):
    assert "other positions or tokens" in compared(with_logits(load(tmp_path), change), caplog).head.off


@pytest.mark.parametrize(
    "change", [lambda z: z.float(), lambda z: z.double(), lambda z: z.bfloat16(), lambda z: z.flatten(0, 1)[None]]
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_casts_and_views_are_nothing(tmp_path, caplog, change, dtype):
    model = with_logits(load(tmp_path, dtype=dtype), change)
    loss = attached(model)
    step(model, *batch(model))
    assert loss.head.off is None and loss.head.bend == Bend()


def test_positions_that_a_model_drops_before_its_loss_fall_back(tmp_path, caplog):
    """As Moshi, which shifts its logits by itself."""
    model = load(tmp_path)

    class Shifts(type(model)):
        def forward(self, input_ids=None, labels=None, **kwargs):
            logits = (
                self.lm_head(self.model(input_ids=input_ids).last_hidden_state)[:, :-1]
                .contiguous()
                .view(-1, self.config.vocab_size)
            )
            loss = self.loss_function(logits=logits, labels=None, shift_labels=labels[:, 1:].reshape(-1), **kwargs)
            return type("Output", (), {"loss": loss, "logits": logits})

    model.__class__ = Shifts
    loss = compared(model, caplog)
    assert loss.head.off


def test_a_batch_that_is_no_number_is_compared_all_the_same(tmp_path, caplog):
    model = load(tmp_path)
    loss = attached(model)
    model.model.norm.weight.data[0] = torch.nan
    ids, labels = batch(model)
    output, _ = step(model, ids, labels)
    assert output.loss.isnan() and loss.head.off is None
    assert loss.take("train")[0, 1].isnan()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64], ids=str)
@pytest.mark.parametrize("vocabulary", [11, 600, 50304])
def test_the_probe_spans_all_sizes_and_a_model_of_its_own_dtype_agrees(dtype, vocabulary):
    z = probe(vocabulary, dtype, "cpu")[None]
    wide = z.to(torch.promote_types(dtype, torch.float32))
    assert wide.abs().max() > 9000 and wide.min() == -wide.max()

    class Config:
        final_logit_softcapping = 30.0

        def __init__(self):
            self.cap, self.scale = 30.0, 0.0625

    for bend in (Bend(), Bend(1.0, 30.0), Bend(0.0625), Bend(0.0625, 30.0)):
        for out in (bend(z), bend(wide), bend(wide).to(dtype)):
            assert seen(wide, out, bend, Config()) == bend == seen(wide, out, Bend(3.0), Config())
    assert bend_module.of_config(Config()) == Bend(1.0, 30.0)
