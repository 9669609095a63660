"""Models whose forward computes cross-entropy by itself, and never asks `self.loss_function` (Gemma 3's multimodal class, Mamba).

Whether their loss is the usual one is tried, on a few tokens: with targets that are the least likely ones at their
positions, no other alignment of logits and labels gives so large a loss. Then the forward can be run without labels, and
slung's loss be computed from what it gives.
"""

from __future__ import annotations

import functools
import inspect

import torch
from torch.nn.functional import cross_entropy

from ..codec import IGNORE
from .reader import shifted

TRIED = 16
"""Tokens."""
UNKNOWN = "unknown"
"""It has not been tried yet."""


def replacement(model, plain, labels, args, kwargs):
    """A forward for a model with a loss of its own that calls `model.loss_function`.

    Args:
        model: whose loss it is.
        plain: its forward.
        labels: int64 `[batch, length]`, of the batch at hand.
        args, kwargs: what else the forward is called with.

    Returns:
        A function called with `(plain, *args, labels=, **kwargs)`; None: the model calls `loss_function` itself, or its
        loss is none that could be replaced; or `UNKNOWN`: the batch is too short to tell.
    """
    if "loss_function" in _names(plain):
        return None
    if labels.shape[1] < 4:
        return UNKNOWN
    few = functools.partial(_few, shape=labels.shape)
    inputs = {key: few(x) for key, x in kwargs.items() if key not in ("num_items_in_batch", "shift_labels")}
    trial = functools.partial(plain, *map(few, args), **{key: x for key, x in inputs.items() if x is not None})
    tokens = labels[:1, :TRIED].shape[1]
    padding = kwargs.get("attention_mask")
    padding = None if padding is None or padding.shape != labels.shape else few(padding).clone()
    if padding is not None:
        padding[:, tokens // 2 :] = 0
        trial = functools.partial(trial, attention_mask=padding)
    called, loss_function = [], model.loss_function
    model.loss_function = lambda logits, *_, **__: called.append(1) or logits.float().sum() * 0
    try:
        kind = _kind(trial, padding, labels.device, called)
    finally:
        model.loss_function = loss_function
    return functools.partial(_replaced, model, kind == "not of padding") if kind else None


def _replaced(model, drops_padding, plain, *args, labels, num_items_in_batch=None, shift_labels=None, **kwargs):
    """The forward without labels, and slung's loss after it."""
    output = plain(*args, **kwargs)
    logits = output[0] if isinstance(output, tuple) else output.logits
    mask = kwargs.get("attention_mask")
    if drops_padding and mask is not None:
        labels = labels.masked_fill(mask[:, -labels.shape[1] :].to(labels.device) == 0, IGNORE)
    loss = model.loss_function(logits=logits, labels=labels, num_items_in_batch=num_items_in_batch, shift_labels=shift_labels)
    if isinstance(output, tuple):
        return (loss, *output)
    output.loss = loss
    return output


@torch.no_grad()
def _kind(trial, padding, device, called) -> str | None:
    """What the model's own loss is the mean over: "all" labelled tokens, those "not of padding", or None: something else."""
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
            bare = _seeded(trial, return_dict=True)
            logits = bare.logits.float()
            # the largest loss for most tokens, the smallest for the padding, and none for a few
            labels = torch.full(logits.shape[:2], IGNORE, device=device)
            labels[:, 1:] = logits[:, :-1].argmin(-1)
            if padding is not None:
                labels[:, 1:] = torch.where(padding[:, 1:] == 0, logits[:, :-1].argmax(-1), labels[:, 1:])
            labels[:, 2] = IGNORE
            output = _seeded(trial, labels=labels, return_dict=True)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        # some other kind of model, or of loss
        return None
    same = output.logits is not None and torch.equal(output.logits.float(), logits)
    if called or not same or output.loss is None or getattr(output, "aux_loss", None) is not None:
        return None
    kinds = {"all": labels}
    if padding is not None:
        kinds["not of padding"] = labels.masked_fill(padding == 0, IGNORE)
    rtol = 1e-2 if output.logits.dtype.itemsize == 2 else 1e-5
    for kind, counted in kinds.items():
        expected = cross_entropy(logits.flatten(0, 1), shifted(counted).flatten())
        if torch.isclose(output.loss.float(), expected, rtol=rtol):
            return kind
    return None


def _seeded(forward, **kwargs):
    """Dropout drops the same each time."""
    torch.manual_seed(0)
    return forward(**kwargs)


def _few(x, shape):
    """The first tokens of what the forward is called with; None for what has no tokens and is a tensor."""
    if not isinstance(x, torch.Tensor):
        return x
    return x[:1, :TRIED] if x.shape[:2] == shape else None


def _names(forward) -> tuple[str, ...]:
    """The names that a forward's own code uses, below its decorators."""
    while isinstance(forward, functools.partial):
        forward = forward.func
    function = inspect.unwrap(getattr(forward, "__func__", forward))
    code = getattr(function, "__code__", None)
    return code.co_names if code else ()
