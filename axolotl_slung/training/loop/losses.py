"""Watches the labels that reach the loss in the model, and scales the losses that the model adds."""

from __future__ import annotations

from typing import Any

import torch

from ...loss.causal_lm import SelectiveCausalLMLoss
from .batches import differs


class LossWatch:
    """Watches each training batch at the loss in the model.

    Slung's part of the loss is divided by the tokens of all micro-batches and ranks: the sum over them is the loss.
    A loss that the model adds is a mean over its micro-batch, and must be averaged. The model therefore gets slung's
    part multiplied by the number of micro-batches and ranks. The total is divided by that number afterward.

    Args:
        loss: the loss in the model, or None with another package's fused loss.

    Attributes:
        digest: the digest of the current batch, or None if nothing is compared; see `batches.DIGEST`.
        parts: micro-batches per step, times ranks.
        unsettled: whether a loss was multiplied and not yet divided.
    """

    def __init__(self, loss: SelectiveCausalLMLoss | None):
        self.digest: torch.Tensor | None = None
        self.parts = 1
        self.unsettled = False
        self._differs = _Flag()
        if loss is not None:
            loss.on_loss = self._on_loss

    def __deepcopy__(self, memo):
        return LossWatch(None)  # a copy of the model is not part of the run

    def begin(self, digest: torch.Tensor | None, parts: int = 1) -> None:
        """Start a batch."""
        self.digest, self.parts, self.unsettled = digest, parts, False

    def labels(self, labels: torch.Tensor | None) -> None:
        """Compare shifted labels, int64 `[rows, length]`, with the digest of the current batch."""
        if self.digest is not None:
            self._differs.add(differs(labels, self.digest))

    def differ(self, wait: bool = False) -> bool:
        """Whether labels differed from the batch's. Without `wait`, only what the device has reported so far counts."""
        return self._differs.read(wait)

    def _on_loss(self, loss, labels, divisor):
        self.labels(labels)
        if self.parts == 1:
            return loss
        self.unsettled = True
        return loss * self.parts

    @torch.compiler.disable
    def settle(self, _model: Any, _args: Any, output: Any) -> Any:
        """A forward hook that divides the loss that the model returns by `parts`."""
        if not self.unsettled:
            return None
        if isinstance(output, tuple):
            self.unsettled = False
            return (output[0] / self.parts, *output[1:])
        if isinstance(output, dict) and output.get("loss") is not None:
            self.unsettled = False
            output["loss"] = output["loss"] / self.parts
        return output


class _Flag:
    """Whether any of many bool scalar tensors is true, without waiting for their device."""

    def __init__(self):
        self._any: torch.Tensor | None = None
        self._copy = self._event = None

    def add(self, flag):
        self._any = flag if self._any is None else self._any | flag
        if flag.is_cuda and self._event is None:
            self._copy = self._any.to("cpu", non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def read(self, wait):
        if self._any is None:
            return False
        if wait or not self._any.is_cuda:
            return bool(self._any)
        if self._event is None or not self._event.query():
            return False
        self._event = None  # the next flag is copied
        return bool(self._copy)
