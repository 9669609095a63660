"""Copies of a slung model are models of their own: EMA, SWA, reference models, and what pickle makes."""

import copy
import inspect
import io
import json

import pytest
import torch
from helpers.heads import assert_same, attached, batch, load, lora, step
from torch.optim.swa_utils import AveragedModel

from axolotl_slung.loss.causal_lm import metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "on logits"])
@pytest.mark.parametrize("when", ["before the first batch", "later"])
@pytest.mark.parametrize("adapter", [False, True], ids=["plain", "LoRA with a copy of the head"])
def test_a_deep_copy_has_layers_gradients_and_figures_of_its_own(folder, fused, when, adapter):
    model = load(folder)
    if adapter:
        model = lora(model, target_modules=["q_proj"], modules_to_save=["lm_head"])
    base = model.get_base_model() if adapter else model
    loss = attached(base, fused)
    ids, labels = batch(base)
    if when == "later":
        step(model, ids, labels)
        model.zero_grad()
    loss.take("train")
    twin = copy.deepcopy(model)
    _, expected = step(model, ids, labels)
    model.zero_grad()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.3)
    output, grads = step(twin, ids, labels)
    assert all(p.grad is None for p in model.parameters())
    assert_same(grads, expected)
    assert output.loss.item() != pytest.approx(model(input_ids=ids, labels=labels).loss.item(), rel=1e-3)
    own = (twin.get_base_model() if adapter else twin).loss_function
    assert own is not loss and own.calls == 1 and metrics(own.take("train"))["slung/share_mask"] > 0
    assert not fused or (own.head.head is not loss.head.head and own.head.off is None)
    twin.eval()
    assert not torch.equal(twin(input_ids=ids).logits, model(input_ids=ids).logits)


def test_an_average_that_is_not_updated_stays_what_it_was(folder):
    model = load(folder)
    attached(model)
    ids, labels = batch(model)
    average = AveragedModel(model)
    with torch.no_grad():
        before = average(input_ids=ids, labels=labels).loss.item()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        step(model, ids, labels)
        optimizer.step()
    with torch.no_grad():
        assert (
            average(input_ids=ids, labels=labels).loss.item()
            == before
            != model(input_ids=ids, labels=labels).loss.item()
        )
    average.update_parameters(model)


def test_a_copy_after_mixed_precision_was_prepared(folder):
    """accelerate wraps the forward of what it prepares."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        model = load(folder)
        loss = attached(model)
        model = Accelerator(mixed_precision="bf16", cpu=True).prepare(model)
        ids, labels = batch(model)
        step(model, ids, labels)
        twin = copy.deepcopy(model)
        model.zero_grad()
        step(twin, ids, labels)
        assert all(p.grad is None for p in model.parameters()) and loss.calls == 1 and loss.head.off is None
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_the_class_looks_like_the_models_own(folder, tmp_path):
    model = load(folder)
    stock = type(model)
    attached(model)
    assert isinstance(model, stock) and isinstance(model.lm_head, torch.nn.Linear)
    assert (type(model).__name__, type(model).__module__) == (stock.__name__, stock.__module__)
    assert inspect.signature(model.forward) == inspect.signature(stock.forward.__get__(model))
    assert type(model).forward.__module__ == stock.forward.__module__ and model.can_generate()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [stock.__name__]
    again = type(model).from_pretrained(tmp_path)
    ids, labels = batch(model)
    assert torch.equal(again(input_ids=ids).logits, model.eval()(input_ids=ids).logits)
    assert again(input_ids=ids, labels=ids).loss > 0


def test_what_could_be_pickled_still_can(folder):
    """GPT-NeoX can; Llama cannot in Transformers 5.16, whatever slung does."""
    model = load(folder, "gpt_neox")
    attached(model)
    ids, labels = batch(model)
    _, expected = step(model, ids, labels)
    memory = io.BytesIO()
    torch.save(model, memory)
    memory.seek(0)
    again = torch.load(memory, weights_only=False)
    assert_same(step(again, ids, labels)[1], expected)
    assert again.loss_function is not model.loss_function


def test_a_forward_of_an_instance_stays_in_use(folder):
    """As accelerate's hooks and other plugins put there."""
    model, seen = load(folder), []
    inner = model.forward

    def forward(*args, **kwargs):
        seen.append(1)
        return inner(*args, **kwargs)

    model.forward = forward
    loss = attached(model)
    ids, labels = batch(model)
    step(model, ids, labels)
    assert seen == [1] and loss.calls == 1 and loss.head.off is None


def test_attached_twice_the_last_loss_counts(folder):
    model = load(folder)
    first, second = attached(model), attached(model)
    step(model, *batch(model))
    assert (first.calls, second.calls) == (0, 1) and second.head.off is None
