"""What the loss in the model is given, and what the model adds to it."""

from __future__ import annotations

import torch

from ..loss.causal_lm import SelectiveCausalLMLoss
from .batches import differs


class LossWatch:
    """Stands behind the loss in the model, and sees each of its training batches.

    Args:
        loss: the one in the model, or None beside a fused loss of other people's.

    Attributes:
        digest: of the batch under way, or None where nothing is compared; see `batches.DIGEST`.
        own_weight: what the model's own terms are multiplied by; see `settle`.
        drops_auxiliary: leave the auxiliary loss of a mixture of experts out.
        dropped_auxiliary: whether there was one.
    """

    def __init__(self, loss: SelectiveCausalLMLoss | None):
        self.digest: torch.Tensor | None = None
        self.own_weight = 1.0
        self.drops_auxiliary = self.dropped_auxiliary = False
        self._differs = _Flag()
        self._parts: list[torch.Tensor] = []
        self._handed: tuple | None = None
        if loss is not None:
            loss.on_loss = self._on_loss

    def __deepcopy__(self, memo):
        return LossWatch(None)  # a copy of the model is no part of the run

    def begin(self, digest, own_weight: float = 1.0) -> None:
        """A batch starts."""
        self.digest, self.own_weight = digest, own_weight
        self._parts, self._handed = [], None

    def labels(self, labels) -> None:
        """Compare shifted labels, int64 `[rows, length]`, with the digest of the batch under way."""
        if self.digest is not None:
            self._differs.add(differs(labels, self.digest))

    def differ(self, wait: bool = False) -> bool:
        """Whether labels were others than the batch's; without `wait`, as far as the device has told by now."""
        return self._differs.read(wait)

    def _on_loss(self, loss, labels, divisor):
        self.labels(labels)
        handed = loss.clone()  # the model may add to it in place
        self._parts.append(loss)
        self._handed = (handed, handed._version)
        return handed

    @torch.compiler.disable
    def settle(self, _model, _args, output):
        """A forward hook that weighs what the model adds to its loss by itself.

        Slung's part is divided by the tokens of all micro-batches and ranks, so that their sum is the loss. A model's own
        terms are means over its micro-batch, which have to be averaged.
        """
        total = output.get("loss") if isinstance(output, dict) else output[0] if isinstance(output, tuple) else None
        if not isinstance(total, torch.Tensor) or total.dim() or not total.requires_grad:
            return None
        settled = self._without_auxiliary(total, output) if self.drops_auxiliary else self._weighed(total)
        if settled is total:
            return None
        if isinstance(output, tuple):
            return (settled, *output[1:])
        output["loss"] = settled
        return output

    def _weighed(self, total):
        if not self._parts or self.own_weight == 1.0 or (total is self._handed[0] and total._version == self._handed[1]):
            return total
        slopes = torch.autograd.grad(total, self._parts, retain_graph=True, allow_unused=True)
        ours = sum(slope * part for slope, part in zip(slopes, self._parts) if slope is not None)
        return ours + (total - ours) * self.own_weight

    def _without_auxiliary(self, total, output):
        auxiliary = getattr(output, "aux_loss", None)
        if not isinstance(auxiliary, torch.Tensor) or not auxiliary.requires_grad:
            return total
        (slope,) = torch.autograd.grad(total, auxiliary, retain_graph=True, allow_unused=True)
        if slope is None:
            return total
        self.dropped_auxiliary = True
        return total - slope * auxiliary


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
