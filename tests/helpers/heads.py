"""A model with the selective loss in it, one step of it, and its gradients."""

import torch
from transformers import AutoModelForCausalLM

from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import IGNORE, encode
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss
from helpers.tiny import tiny_model

BUCKETS = (
    Bucket("low", 0.3, Action.TRAIN),
    Bucket("masked", 0.6, Action.MASK),
    Bucket("soft", 0.9, Action.SOFT, weight=0.5),
    Bucket("high", None, Action.UNLIKELIHOOD, weight=2.0),
)


def load(folder, arch="llama", tied=False, dtype=torch.float32):
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder, arch, tied=tied), dtype=dtype)
    return model.train()


def batch(model, seed=0, rows=3, length=20):
    """Ids, and labels with codes of every bucket, ignored and trained tokens."""
    torch.manual_seed(seed)
    ids = torch.randint(5, model.config.vocab_size, (rows, length))
    labels = ids.clone()
    bucket = torch.randint(0, 4, ids.shape)
    coded = torch.from_numpy(encode(ids.numpy(), bucket.numpy(), torch.rand(ids.shape).numpy()))
    labels = torch.where(bucket > 0, coded, labels)
    labels[0, :4] = IGNORE
    return ids, labels


def attached(model, fused=True, **options):
    loss = SelectiveCausalLMLoss(BUCKETS, **options)
    loss.attach(model, fused)
    return loss


def step(model, ids, labels, **more):
    model.zero_grad()
    output = model(input_ids=ids, labels=labels, **more)
    output.loss.backward()
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    return output, grads


def assert_same(found, expected, rtol=1e-4):
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        assert (grad is None) == (found[name] is None), name
        if grad is not None:
            assert (found[name] - grad).norm() <= rtol * grad.norm() + 1e-7, name


def lora(model, **options):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, **options))
