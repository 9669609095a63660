"""What the loss in the model is given, and what the model adds to it."""

from __future__ import annotations

from typing import Any

import torch

from ...loss.causal_lm import SelectiveCausalLMLoss
from .batches import differs


class LossWatch:
    """Stands behind the loss in the model, and sees each of its training batches.

    Slung's part of a loss is divided by the tokens of all micro-batches and ranks, so that their sum is the loss. What a model
    adds by itself is a mean over its micro-batch, which has to be averaged. So the model is given slung's part multiplied by
    the number of micro-batches and ranks, and the whole is divided by it afterward.

    Args:
        loss: the one in the model, or None beside a fused loss of other people's.

    Attributes:
        digest: of the batch under way, or None where nothing is compared; see `batches.DIGEST`.
        parts: micro-batches of a step, times ranks.
        unsettled: whether a loss was multiplied and not divided yet.
    """

    def __init__(self, loss: SelectiveCausalLMLoss | None):
        self.digest: torch.Tensor | None = None
        self.parts = 1
        self.unsettled = False
        self._differs = _Flag()
        if loss is not None:
            loss.on_loss = self._on_loss

    def __deepcopy__(self, memo):
        return LossWatch(None)  # a copy of the model is no part of the run

    def begin(self, digest: torch.Tensor | None, parts: int = 1) -> None:
        """A batch starts."""
        self.digest, self.parts, self.unsettled = digest, parts, False

    def labels(self, labels: torch.Tensor | None) -> None:
        """Compare shifted labels, int64 `[rows, length]`, with the digest of the batch under way."""
        if self.digest is not None:
            self._differs.add(differs(labels, self.digest))

    def differ(self, wait: bool = False) -> bool:
        """Whether labels were others than the batch's; without `wait`, as far as the device has told by now."""
        return self._differs.read(wait)

    def _on_loss(self, loss, labels, divisor):
        self.labels(labels)
        if self.parts == 1:
            return loss
        self.unsettled = True
        return loss * self.parts

    @torch.compiler.disable
    def settle(self, _model: Any, _args: Any, output: Any) -> Any:
        """A forward hook that divides what the model returns."""
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
