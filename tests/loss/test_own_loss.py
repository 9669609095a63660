"""Models that compute cross-entropy themselves: slung's loss takes its place where it is the usual one."""

import copy
import inspect

import pytest
import torch
from helpers.axolotl_run import base_config, named, train_in_process
from helpers.heads import BUCKETS, assert_same, attached, batch, step
from helpers.tiny import tiny_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, Gemma3ImageProcessor, Gemma3Processor

from axolotl_slung.labels.codec import IGNORE
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss
from axolotl_slung.loss.objectives import cross_entropy
from axolotl_slung.loss.reader import LabelReader, shifted
from axolotl_slung.loss.reference import selective_loss_reference

TEXT = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 120, "initializer_range": 0.1}
ATTENTION = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
CONFIGS = {
    "gemma3": {
        "text_config": {**TEXT, **ATTENTION, "sliding_window": 8},
        "vision_config": VISION,
        "mm_tokens_per_image": 4,
    },
    "mamba": {**TEXT, "state_size": 4},
    "falcon_mamba": {**TEXT, "state_size": 4},
    "modernbert-decoder": {**TEXT, "intermediate_size": 64, "num_attention_heads": 4, "pad_token_id": 0},
}
OTHERS = {
    "bart": {
        "d_model": 32,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "vocab_size": 120,
    },
    "xlnet": {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 32, "vocab_size": 120},
}


def tiny(kind, dtype=torch.float32, **more):
    torch.manual_seed(0)
    config = {**CONFIGS, **OTHERS}[kind]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **config, **more), dtype=dtype, attn_implementation="eager"
    )
    return model.train()


def inputs(model, seed):
    class Sized:
        config = model.config.get_text_config()

    ids, labels = batch(Sized, seed)
    more = {}
    if model.config.model_type == "gemma3":
        more = {"token_type_ids": torch.zeros_like(ids), "attention_mask": torch.ones_like(ids)}
        more["attention_mask"][1, -5:] = 0
        labels[1, -5:] = IGNORE
    return ids, labels, more


def oracle(model, ids, labels, more, count):
    """The summed objective on the model's own logits in float64, and its gradients."""
    model.zero_grad()
    logits = model(input_ids=ids, **more).logits
    read = LabelReader(BUCKETS).read(shifted(labels).reshape(-1))
    first, second = (
        dict(read.actions)[kind].double()
        for kind in (cross_entropy, *[k for k in read.actions if k is not cross_entropy])
    )
    loss = (
        selective_loss_reference(logits.double().reshape(-1, logits.shape[-1]), read.targets, first, second).sum()
        / count
    )
    loss.backward()
    return loss, {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
def test_the_usual_cross_entropy_makes_room(kind, fused):
    """Training and evaluation, loss and gradients, on two batches; what is drawn at random is drawn as without slung."""
    model = tiny(kind)
    plain = copy.deepcopy(model)
    loss = attached(model, fused)
    for seed in (0, 1):
        ids, labels, more = inputs(model, seed)
        before = torch.random.get_rng_state()
        output, grads = step(model, ids, labels, num_items_in_batch=torch.tensor(17), **more)
        assert torch.equal(before, torch.random.get_rng_state())
        expected, true_grads = oracle(plain, ids, labels, more, 17)
        assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
        assert_same(grads, true_grads)
        assert (output.logits is None) == fused
    assert loss.calls == 2 and (not fused or loss.head.off is None)
    with torch.no_grad():
        output = model(input_ids=ids, labels=labels, **more)
        # stock Transformers' own number, where masked and pushed tokens are left out
        expected = plain(input_ids=ids, labels=labels.clamp(min=IGNORE), **more)
    assert (
        output.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
        and output.logits.shape == expected.logits.shape
    )


def test_it_starts_with_an_evaluation():
    model = tiny("gemma3")
    plain = copy.deepcopy(model)
    loss = attached(model)
    ids, labels, more = inputs(model, 0)
    with torch.no_grad():
        model(input_ids=ids, labels=labels, **more)
    assert loss.calls == 1
    _, grads = step(model, ids, labels, num_items_in_batch=9, **more)
    assert_same(grads, oracle(plain, ids, labels, more, 9)[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision(dtype):
    model = tiny("gemma3", dtype)
    loss = attached(model)
    ids, labels, more = inputs(model, 0)
    output, _ = step(model, ids, labels, **more)
    assert loss.calls == 1 and loss.head.off is None and output.loss.isfinite()


def test_labels_on_padding_are_left_out_as_gemma_3_does():
    model = tiny("gemma3")
    if "loss_function" in inspect.unwrap(type(model).forward).__code__.co_names:
        pytest.skip("this Transformers' Gemma 3 calls loss_function, on labels of padding too")
    plain = copy.deepcopy(model)
    attached(model)
    ids, labels, more = inputs(model, 0)
    dropped = labels.clone()
    labels[1, -5:] = 7
    _, grads = step(model, ids, labels, num_items_in_batch=9, **more)
    assert_same(grads, oracle(plain, ids, dropped, more, 9)[1])


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
def test_any_other_loss_stays_the_models(kind, fused):
    """These do not shift their labels. That slung's loss was never called stops the run (`test_loop_proof.py`)."""
    model = tiny(kind)
    plain = copy.deepcopy(model)
    loss = attached(model, fused)
    ids, labels, _ = inputs(model, 0)
    labels = labels.clamp(min=IGNORE)
    output = model(input_ids=ids, labels=labels)
    torch.manual_seed(0)
    assert loss.calls == 0 and output.loss.isfinite()
    model.eval(), plain.eval()
    assert model(input_ids=ids, labels=labels).loss == plain(input_ids=ids, labels=labels).loss


@pytest.mark.parametrize("extra", ["smoothed", "aux", "none"])
def test_a_usual_loss_with_something_beside_it_is_none(extra):
    """Label smoothing, and a term of the model's own, must not get lost."""
    model = tiny("mamba")
    inner = type(model).forward

    class Own(type(model)):
        def forward(self, input_ids=None, labels=None, **kwargs):
            output = inner(self, input_ids=input_ids)
            if labels is not None:
                flat = output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
                smoothing = 0.1 if extra == "smoothed" else 0.0
                output.loss = torch.nn.functional.cross_entropy(*flat, label_smoothing=smoothing)
                if extra == "aux":
                    output.loss = output.loss + 1e-3 * output.logits.square().mean()
            return output

    model.__class__ = Own
    loss = SelectiveCausalLMLoss(BUCKETS)
    loss.attach(model)
    ids, labels, _ = inputs(model, 0)
    model(input_ids=ids, labels=labels.clamp(min=IGNORE))
    assert loss.calls == (1 if extra == "none" else 0)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_gemma_3_trains_in_axolotl(tmp_path, slung, fused, packing):
    """The class that AutoModelForCausalLM gives for gemma-3-4b; nothing risky is trained as stock Axolotl trains it."""
    pictures = {"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>"}
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path), extra_special_tokens=pictures)
    config = dict(CONFIGS["gemma3"], image_token_index=tokenizer.convert_tokens_to_ids("<image>"))
    config["text_config"] = dict(config["text_config"], vocab_size=len(tokenizer) + 20)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("gemma3", **config, pad_token_id=tokenizer.pad_token_id)
    )
    model.save_pretrained(tmp_path / "gemma3")
    # Axolotl asks for a processor, though the data are text alone
    Gemma3Processor(Gemma3ImageProcessor(size={"height": 28, "width": 28}), tokenizer).save_pretrained(
        tmp_path / "gemma3"
    )
    keys = {
        "base_model": str(tmp_path / "gemma3"),
        "max_steps": 4,
        "sample_packing": packing,
        "pad_to_sequence_len": packing,
    }
    run = train_in_process(base_config(tmp_path, **keys, **named(tmp_path), **slung(fused=fused)))
    loss = run.trainer.slung_loss
    assert run.trainer._slung_proven and loss.calls >= 4 and (not fused or loss.head.off is None)
    assert type(run.model).__name__ == "Gemma3ForConditionalGeneration"
