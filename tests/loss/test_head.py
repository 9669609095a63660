"""The fused loss inside real models: the same loss and gradients as on their own logits, or a fallback that says so."""

import copy
import logging

import pytest
import torch
from helpers.heads import BUCKETS, assert_same, attached, batch, load, lora, step

from axolotl_slung.labels.codec import IGNORE, encode
from axolotl_slung.loss import head as head_module
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss, metrics

FAMILIES = {
    "OLMo": ("olmo", False), "OLMo 2": ("olmo2", False), "Llama": ("llama", False), "Mistral": ("mistral", False),
    "Qwen 2.5": ("qwen2", False), "Qwen 2.5, tied": ("qwen2", True), "Qwen 3": ("qwen3", True), "Gemma 2": ("gemma2", True),
    "Gemma 3": ("gemma3_text", True), "Phi 3": ("phi3", False), "GPT-NeoX": ("gpt_neox", False), "SmolLM": ("llama", True),
    "Granite": ("granite", True), "Cohere": ("cohere", True), "Phi 2": ("phi", False),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_families(tmp_path, caplog, family):
    """Two batches: the first, which is compared, and one after it. Scales, softcaps, biases and tied heads included."""
    arch, tied = FAMILIES[family]
    model = load(tmp_path, arch, tied)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    plain = copy.deepcopy(model)
    loss, plain_loss = attached(model), attached(plain, fused=False)
    for seed in (0, 1):
        ids, labels = batch(model, seed)
        output, grads = step(model, ids, labels, num_items_in_batch=torch.tensor(17))
        expected, true_grads = step(plain, ids, labels, num_items_in_batch=torch.tensor(17))
        assert output.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
        assert_same(grads, true_grads)
        assert output.logits is None and expected.logits is not None
    assert loss.head.off is None and not [r for r in caplog.records if r.name.startswith("axolotl_slung")]
    figures, true_figures = metrics(loss.take("train")), metrics(plain_loss.take("train"))
    assert figures == pytest.approx(true_figures, rel=1e-4)


def test_evaluation_and_generation_keep_their_logits(tmp_path):
    model = load(tmp_path)
    attached(model)
    ids, labels = batch(model)
    step(model, ids, labels)
    with torch.no_grad():
        output = model(input_ids=ids, labels=labels)
    assert output.logits.shape == (*ids.shape, model.config.vocab_size)
    assert model(input_ids=ids).logits.requires_grad
    model.eval()
    assert model(input_ids=ids, labels=labels).logits.shape == output.logits.shape
    assert model.generate(ids[:1], max_new_tokens=3, do_sample=False).shape[1] <= ids.shape[1] + 3


def test_a_model_that_does_more_to_its_logits_falls_back_and_says_so(tmp_path, caplog):
    """Nothing in the config tells of the factor; the first batch does."""
    model = load(tmp_path)
    plain = copy.deepcopy(model)

    class Louder(type(model)):
        def forward(self, input_ids=None, labels=None, **kwargs):
            hidden = self.model(input_ids=input_ids).last_hidden_state
            logits = self.lm_head(hidden) * 3
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
            return type("Output", (), {"loss": loss, "logits": logits})

    for one in (model, plain):
        one.__class__ = Louder
    loss = attached(model)
    attached(plain, fused=False)
    ids, labels = batch(model)
    with caplog.at_level(logging.WARNING):
        output, grads = step(model, ids, labels)
    warning = "changes its logits in a way that the fused loss does not support, so the loss works on logits"
    assert warning in caplog.text
    expected, true_grads = step(plain, ids, labels)
    assert output.loss.item() == pytest.approx(expected.loss.item()) and loss.head.off
    assert_same(grads, true_grads)
    caplog.clear()
    step(model, ids, labels)
    assert not caplog.text


def test_a_fused_loss_that_is_wrong_falls_back(tmp_path, caplog, monkeypatch):
    """Its gradient is compared too, on the first batch."""
    real = head_module.linear_selective_loss

    def wrong(hidden, *args, **kwargs):
        loss, log_odds = real(hidden, *args, **kwargs)
        return loss + 0.1 * hidden.sum(), log_odds

    monkeypatch.setattr(head_module, "linear_selective_loss", wrong)
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    attached(model)
    attached(plain, fused=False)
    ids, labels = batch(model)
    with caplog.at_level(logging.WARNING):
        _, grads = step(model, ids, labels)
    assert "the gradient of the fused loss differs from that of the model's logits" in caplog.text
    assert_same(grads, step(plain, ids, labels)[1])


def test_a_head_that_was_swapped_afterwards_falls_back(tmp_path, caplog):
    """As conversions to float8 do."""
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    fresh = torch.nn.Linear(model.lm_head.in_features, model.lm_head.out_features, bias=False)
    fresh.weight = model.lm_head.weight
    model.lm_head = fresh
    ids, labels = batch(model)
    with caplog.at_level(logging.WARNING):
        _, grads = step(model, ids, labels)
    assert "the model calls another head than its output embeddings" in caplog.text and loss.head.off
    assert_same(grads, step(plain, ids, labels)[1])


@pytest.mark.parametrize(
    "options, fused",
    [
        ({"target_modules": ["q_proj", "v_proj"]}, True),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, True),
        ({"target_modules": ["q_proj", "lm_head"]}, False),
    ],
    ids=["on everything but the head", "a copy of the head", "on the head"],
)
def test_lora(tmp_path, caplog, options, fused):
    base = load(tmp_path)
    model, plain = lora(copy.deepcopy(base), **options), lora(copy.deepcopy(base), **options)
    with caplog.at_level(logging.WARNING):
        loss = attached(model.get_base_model())
    attached(plain.get_base_model(), fused=False)
    assert (loss.head.off is None) == fused
    assert ("the model's head is peft.tuners.lora.layer.Linear, not a plain nn.Linear" in caplog.text) == (not fused)
    for seed in (0, 1):
        ids, labels = batch(base, seed)
        output, grads = step(model, ids, labels)
        expected, true_grads = step(plain, ids, labels)
        assert output.loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
        assert_same(grads, true_grads)
    assert (loss.head.off is None) == fused
    # what is frozen gets no gradient
    assert (
        (model.get_base_model().get_output_embeddings().weight.grad is None)
        or not fused
        or "modules_to_save" in options
    )


@pytest.mark.parametrize("frozen", ["head", "body"])
def test_frozen_parts(tmp_path, frozen):
    model = load(tmp_path)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(("lm_head" in name) == (frozen == "body"))
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    ids, labels = batch(model)
    _, grads = step(model, ids, labels)
    assert_same(grads, step(plain, ids, labels)[1])
    assert (grads["lm_head.weight"] is None) == (frozen == "head") and loss.head.off is None


def test_a_batch_without_a_kept_token(tmp_path):
    """Also as the first one, which is compared all the same."""
    model = load(tmp_path)
    loss = attached(model)
    ids, labels = batch(model)
    nothing = torch.full_like(labels, IGNORE)
    for _ in range(2):
        output, grads = step(model, ids, nothing, num_items_in_batch=torch.tensor(0))
        assert output.loss.item() == 0 and all((g == 0).all() for g in grads.values())
    assert loss.head.off is None
    output, grads = step(model, ids, labels)
    assert output.loss.item() > 0 and any((g != 0).any() for g in grads.values())


def test_masked_tokens_are_watched_by_a_sample(tmp_path, monkeypatch):
    """Their share stays exact; their nll is that of the sample."""
    monkeypatch.setattr(head_module, "WATCHED", 16)
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    loss, plain_loss = attached(model), attached(plain, fused=False)
    ids, labels = batch(model, rows=24, length=60)
    step(model, ids, labels)
    step(plain, ids, labels)
    figures, exact = metrics(loss.take("train")), metrics(plain_loss.take("train"))
    assert figures["slung/share_mask"] == pytest.approx(exact["slung/share_mask"])
    assert figures["slung/nll_mask"] == pytest.approx(exact["slung/nll_mask"], rel=0.2)
    assert figures["slung/nll_mask"] != pytest.approx(exact["slung/nll_mask"], rel=1e-6)
    assert figures["slung/nll_train"] == pytest.approx(exact["slung/nll_train"], rel=1e-4)


def test_weights_before_their_schedule_are_as_if_masked(tmp_path):
    model = load(tmp_path)
    loss = attached(model, weight_start=3, weight_warmup=4)
    assert [loss.weight_schedule(step) for step in (0, 2, 3, 4, 6, 7, 100)] == [0, 0, 0.25, 0.5, 1, 1, 1]
    assert [SelectiveCausalLMLoss(BUCKETS).weight_schedule(step) for step in (0, 1)] == [1, 1]
    ids, labels = batch(model)
    count = loss.reader.count(labels, "loss_tokens")
    full, _ = step(model, ids, labels)
    loss.reader.weight_factor = 0.5
    half, _ = step(model, ids, labels)
    loss.reader.weight_factor = 0.0
    loss.take("train")
    none, _ = step(model, ids, labels)
    assert full.loss.item() - half.loss.item() == pytest.approx(half.loss.item() - none.loss.item(), rel=1e-2)
    assert loss.reader.count(labels, "loss_tokens") == count
    figures = metrics(loss.take("train"))
    assert figures["slung/loss_unlikelihood"] == 0 and figures["slung/p_unlikelihood"] > 0


@pytest.mark.parametrize("how", ["reentrant", "non-reentrant"])
def test_gradient_checkpointing(tmp_path, how):
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    model.gradient_checkpointing_enable({"use_reentrant": how == "reentrant"})
    ids, labels = batch(model)
    _, grads = step(model, ids, labels)
    assert_same(grads, step(plain, ids, labels)[1])
    assert loss.head.off is None


def test_torch_compile(tmp_path):
    """The body is compiled, the head and the loss stay outside."""
    model = load(tmp_path)
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    compiled = torch.compile(model)
    for seed in (0, 1, 2):
        ids, labels = batch(model, seed)
        model.zero_grad()
        compiled(input_ids=ids, labels=labels).loss.backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        assert_same(grads, step(plain, ids, labels)[1], rtol=1e-3)
    assert loss.head.off is None


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=str)
def test_bfloat16(tmp_path, weights):
    """As a model in bfloat16, and under autocast, whose weights stay in float32."""
    model = load(tmp_path, dtype=weights)
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    for seed in (0, 1):
        ids, labels = batch(model, seed)
        with torch.autocast("cpu", torch.bfloat16, enabled=weights == torch.float32):
            output, grads = step(model, ids, labels)
            expected, true_grads = step(plain, ids, labels)
        assert output.loss.item() == pytest.approx(expected.loss.item(), rel=2e-2)
        assert_same(grads, true_grads, rtol=0.05)
    assert loss.head.off is None and grads["lm_head.weight"].dtype == weights


def test_a_label_for_another_length_is_not_guessed_at(tmp_path, caplog):
    """A forward that hands the head fewer positions than there are labels."""
    model = load(tmp_path)
    loss = attached(model)
    ids, labels = batch(model)
    with caplog.at_level(logging.WARNING), pytest.raises(Exception):  # noqa: B017 - the model's own, on logits
        model(input_ids=ids, labels=labels, logits_to_keep=5)
    assert "the head works on [3, 5] positions, and the labels have [3, 20]" in loss.head.off


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first batch", "later"])
def test_out_of_memory_between_head_and_loss_comes_out(tmp_path, error, first):
    """On logits there would be less memory still."""
    model = load(tmp_path)
    loss = attached(model)
    ids, labels = batch(model)
    if not first:
        step(model, ids, labels)

    def fails(*_):
        raise error

    model.lm_head.register_forward_hook(fails)
    with pytest.raises(type(error)):
        step(model, ids, labels)
    assert loss.head.off is None


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("code", [False, True], ids=["trained", "masked"])
@pytest.mark.parametrize("first", [True, False], ids=["first batch", "later"])
def test_a_token_that_the_head_has_no_row_for_is_an_error(tmp_path, fused, code, first):
    """The embedding may have more rows than the head."""
    model = load(tmp_path)
    attached(model, fused)
    ids, labels = batch(model)
    if not first:
        step(model, ids, labels)
    rows = model.lm_head.out_features
    labels[1, 3] = int(encode(rows, 1, 0.5)) if code else rows
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        step(model, ids, labels)


def test_float64_is_float64_throughout(tmp_path):
    model = load(tmp_path, dtype=torch.float64)
    plain = copy.deepcopy(model)
    loss = attached(model)
    attached(plain, fused=False)
    for seed in (0, 1):
        ids, labels = batch(model, seed)
        output, grads = step(model, ids, labels, num_items_in_batch=torch.tensor(7))
        expected, true_grads = step(plain, ids, labels, num_items_in_batch=torch.tensor(7))
        assert output.loss.dtype == torch.float64 and output.loss.item() == pytest.approx(
            expected.loss.item(), rel=1e-12
        )
        for name, grad in true_grads.items():
            assert (grads[name] - grad).norm() <= 1e-12 * grad.norm(), name
    assert loss.head.off is None
