"""Checks that gradients are those of the selective loss, and that no other code starts a backward pass."""

from __future__ import annotations

import torch

from ...loss.causal_lm import SelectiveCausalLMLoss
from ...loss.objectives import Actions, at, has_loss, losses_and_slopes
from . import LoopError

WATCHED_PARAMETERS = 16
"""The number of trained parameters that get a hook, evenly spaced."""


class LoopProof:
    """Watches the gradient of one training step at the head's input, or at the logits.

    Masked and ignored targets must get a gradient of exactly zero. Of the targets whose loss has a slope, at least one
    must get a nonzero gradient. A step with a number that is not finite is not judged.

    Attributes:
        error: what is wrong, or None.
        seen: whether a gradient was seen that could be judged.
    """

    def __init__(self, loss: SelectiveCausalLMLoss):
        self._loss = loss
        self.error: str | None = None
        self.seen = False
        loss.on_batch = self._watch

    def _watch(self, source, labels, log_odds):
        if not source.requires_grad:
            return
        actions = self._loss.reader.read(labels.reshape(-1)).actions
        kept = has_loss(actions)
        sloped = with_slope(log_odds, actions)

        def check(gradient):
            largest = gradient.reshape(-1, gradient.shape[-1]).abs().amax(-1)
            if not largest.isfinite().all():
                return
            self.seen = True
            if (largest[~kept] != 0).any():
                self.error = "a masked target has a gradient"
            elif sloped.any() and not (largest[sloped] != 0).any():
                self.error = "no target has a gradient"

        source.register_hook(check)


def with_slope(log_odds: torch.Tensor, actions: Actions) -> torch.Tensor:
    """Which tokens' loss changes with their log-odds, bool `[tokens]`. A hinge loss is flat below its threshold.

    Args:
        log_odds: `[tokens]`, NaN where not computed.
        actions: as `objectives.Actions`.
    """
    kept = has_loss(actions).nonzero()[:, 0]
    sloped = torch.zeros(len(log_odds), dtype=torch.bool, device=log_odds.device)
    sloped[kept] = losses_and_slopes(log_odds[kept].float(), at(actions, kept))[1] != 0
    return sloped


class Backwards:
    """Stops a backward pass through the model that starts outside the training step, for example in a callback.

    Args:
        model: with its trained parameters in place.

    Attributes:
        inside: whether a training step is under way.
    """

    def __init__(self, model: torch.nn.Module):
        self.inside = False
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        step = max(1, -(-len(trained) // WATCHED_PARAMETERS))
        self._hooks = [parameter.register_hook(self._check) for parameter in {*trained[::step], *trained[-1:]}]

    def _check(self, gradient):
        if not self.inside:
            raise LoopError(
                "slung: a backward pass through the model starts outside the training step, where slung cannot check "
                "what it trains; check the callbacks and plugins in the config"
            )

    def end(self) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()


def gradient_of(gradient: torch.Tensor) -> torch.Tensor:
    """The largest finite magnitude in this rank's part of a gradient: a float32 scalar tensor."""
    local = gradient.to_local() if hasattr(gradient, "to_local") else gradient
    if not local.numel():
        return torch.zeros((), device=local.device)
    return local.detach().abs().nan_to_num(nan=0.0, posinf=0.0).amax().float()
