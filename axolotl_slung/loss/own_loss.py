"""Handles models whose forward computes cross-entropy itself, without `self.loss_function` (Gemma 3 multimodal, Mamba).

A trial on a few tokens shows whether their loss is the usual one. Its targets are the least likely tokens at their
positions, because no other alignment of logits and labels gives so large a loss. If it is the usual loss, the forward
can run without labels, and slung's loss is computed from its logits.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from ..labels.codec import IGNORE
from .reader import shifted

TRIED = 16
"""The number of tokens in the trial."""
UNKNOWN = "unknown"
"""There has been no trial yet."""


@dataclass(frozen=True)
class OwnLoss:
    """The usual cross-entropy, computed by the model itself. Slung's loss replaces it.

    Attributes:
        drops_padding: whether the model leaves out labels at positions with attention mask 0.
    """

    drops_padding: bool

    def labels(self, labels: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """The labels that the model's loss would use, int64 `[batch, length]`."""
        if not self.drops_padding or attention_mask is None:
            return labels
        return labels.masked_fill(attention_mask[:, -labels.shape[1] :].to(labels.device) == 0, IGNORE)

    def forward(
        self,
        model: Any,
        plain: Callable,
        *args,
        labels: torch.Tensor,
        num_items_in_batch: Any = None,
        shift_labels: torch.Tensor | None = None,
        **kwargs,
    ) -> Any:
        """Run the model's forward without labels, then its `loss_function`."""
        output = plain(*args, **kwargs)
        logits = output[0] if isinstance(output, tuple) else output.logits
        loss = model.loss_function(logits, labels, num_items_in_batch=num_items_in_batch, shift_labels=shift_labels)
        if isinstance(output, tuple):
            return (loss, *output)
        output.loss = loss
        return output


def own_loss(model: Any, plain: Callable, labels: torch.Tensor, args: tuple, kwargs: dict) -> OwnLoss | str | None:
    """Whether a model computes the usual cross-entropy by itself.

    Args:
        model: the model to try.
        plain: its forward.
        labels: int64 `[batch, length]`, the labels of the current batch.
        args, kwargs: the other arguments of the forward.

    Returns:
        An `OwnLoss` if it does. None if the model calls `loss_function` or computes a different loss. `UNKNOWN` if the
        batch is too short to tell.
    """
    if _calls_loss_function(type(model)):
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
        return _found(trial, padding, labels.device, called)
    finally:
        model.loss_function = loss_function


@torch.no_grad()
def _found(trial, padding, device, called) -> OwnLoss | None:
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
            bare = _seeded(trial, return_dict=True)
            logits = bare.logits.float()
            # targets with the largest loss for most tokens, the smallest for the padding, and none for a few
            labels = torch.full(logits.shape[:2], IGNORE, device=device)
            labels[:, 1:] = logits[:, :-1].argmin(-1)
            if padding is not None:
                labels[:, 1:] = torch.where(padding[:, 1:] == 0, logits[:, :-1].argmax(-1), labels[:, 1:])
            labels[:, 2] = IGNORE
            output = _seeded(trial, labels=labels, return_dict=True)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        # another kind of model or loss
        return None
    same = output.logits is not None and torch.equal(output.logits.float(), logits)
    if called or not same or output.loss is None or getattr(output, "aux_loss", None) is not None:
        return None
    rtol = 1e-2 if output.logits.dtype.itemsize == 2 else 1e-5
    for kind in (OwnLoss(drops_padding=False), OwnLoss(drops_padding=True)):
        expected = cross_entropy(logits.flatten(0, 1), shifted(kind.labels(labels, padding)).flatten())
        if torch.isclose(output.loss.float(), expected, rtol=rtol):
            return kind
    return None


def _seeded(forward, **kwargs):
    """Call `forward` with a fixed seed, so that dropout drops the same values each time."""
    torch.manual_seed(0)
    return forward(**kwargs)


def _few(x, shape):
    """The first tokens of an argument. None for a tensor without the shape of the labels; other values as they are."""
    if not isinstance(x, torch.Tensor):
        return x
    return x[:1, :TRIED] if x.shape[:2] == shape else None


def _calls_loss_function(cls) -> bool:
    """Whether the code of a class's own forward, below its decorators, names `loss_function`."""
    code = getattr(inspect.unwrap(cls.forward), "__code__", None)
    return code is not None and "loss_function" in code.co_names
