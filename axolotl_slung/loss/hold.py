"""The log-odds of tokens before training, for the action `hold`.

Under LoRA, the model before training is the same model with the adapter off. So a micro-batch with tokens to hold has one
more forward pass, without gradients. In it, only those tokens are projected to logits.
"""

# pyright: reportAttributeAccessIssue=false
# torch.compiler.disable is typed as a function, not as a method
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import SlungError
from .objectives import hold
from .on_logits import log_odds_and_others
from .reader import Read

_KEY = "slung.buckets: action hold"


class Reference:
    """The model before training.

    Args:
        model: a causal language model with an adapter of PEFT that has not been trained yet.

    Raises:
        SlungError: with the adapter off, the model is not what it was before training, or will not stay so.
    """

    def __init__(self, model: Any):
        self._tuner = getattr(model, "base_model", None)
        if not hasattr(self._tuner, "disable_adapter_layers"):
            raise SlungError(
                f"{_KEY}: it needs the model before training, and full fine-tuning changes the only copy; set `adapter: "
                "lora` or `adapter: qlora`, or use another action"
            )
        named = list(model.named_parameters())
        if any(hasattr(parameter, "ds_id") for _, parameter in named):
            raise SlungError(f"{_KEY}: cannot be used with ZeRO-3, whose ranks gather parameters together; use ZeRO-2")
        with _off(self._tuner):
            trained = [name for name, parameter in named if parameter.requires_grad]
        if trained:
            raise SlungError(
                f"{_KEY}: {trained[0]} is trained outside the adapter, so the model before training is lost; train only "
                "the adapter"
            )
        if any(p.any() for name, p in named if ".lora_B." in name or ".lora_embedding_B." in name):
            raise SlungError(
                f"{_KEY}: with its adapter off, the model is not what it is now: the adapter has been trained, or does not "
                "begin at zero; merge it into the base model first, or remove `peft_init_lora_weights`"
            )
        self._rows: Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    @torch.compiler.disable
    def _select(self, _head, args):
        """Only the hidden states at `_rows`, as `[1, rows, width]`."""
        return None if self._rows is None else (args[0].flatten(0, -2)[self._rows][None], *args[1:])

    @torch.no_grad()
    def log_odds(self, model: Any, forward: Callable, read: Read, args: tuple, kwargs: dict) -> Tensor | None:
        """The log-odds of a batch's tokens to hold.

        Args:
            model: the causal language model below the adapter.
            forward: its forward.
            read: the batch's labels, decoded.
            args, kwargs: the batch without its labels.

        Returns:
            float32 `[tokens]` (float64 for float64 logits), 0 for tokens that are not held. None if none is.

        Raises:
            SlungError: the model does not compute its logits from the inputs of its output embeddings one by one.
        """
        (self._rows,) = read.actions[hold].nonzero(as_tuple=True)
        if not len(self._rows):
            self._rows = None
            return None
        rows = self._rows
        try:
            with _off(self._tuner), _evaluating(model):
                output = forward(*args, **kwargs)
        finally:
            self._rows = None
        logits = output[0] if isinstance(output, tuple) else output.logits
        if logits.shape[:-1] != (1, len(rows)):
            raise SlungError(
                f"{_KEY}: {len(rows)} hidden states gave logits of the shape {list(logits.shape)}; use another action with "
                "this architecture"
            )
        found, _ = log_odds_and_others(logits[0], read.targets[rows])
        return found.new_zeros(len(read.targets)).index_put_((rows,), found)


@contextmanager
def _off(tuner: Any) -> Iterator[None]:
    """Turn the adapter off. PEFT also changes which parameters have gradients, which is undone."""
    flags = [(parameter, parameter.requires_grad) for parameter in tuner.parameters()]
    tuner.disable_adapter_layers()
    try:
        yield
    finally:
        tuner.enable_adapter_layers()
        for parameter, flag in flags:
            if parameter.requires_grad != flag:
                parameter.requires_grad_(flag)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Turn off dropout and gradient checkpointing.

    Linear layers do the same in training. bitsandbytes' 4-bit layers on CPUs do not: without gradients outside training they
    pack their weights for inference, and have no gradient from then on.
    """
    training = [module for module in model.modules() if module.training and not isinstance(module, torch.nn.Linear)]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
