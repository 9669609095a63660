"""Are the gradients those of the selective loss? Watched where they arise, and wherever else a backward pass starts."""

from __future__ import annotations

import torch

from ...loss.causal_lm import SelectiveCausalLMLoss
from ...loss.objectives import Actions, at, has_loss, losses_and_slopes
from . import LoopError

WATCHED_PARAMETERS = 16
"""Of the trained parameters, evenly spread, as many have a hook."""


class LoopProof:
    """Watches the gradient of one training step at the head's input, or at the logits.

    Masked and ignored targets have to get a gradient of exactly zero, and of the targets whose loss has a slope at
    least one a gradient that is not zero. Where a number is not finite nothing can be told.

    Attributes:
        error: what was found wrong, or None.
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
                self.error = "a masked target carries a gradient"
            elif sloped.any() and not (largest[sloped] != 0).any():
                self.error = "no target carries a gradient"

        source.register_hook(check)


def with_slope(log_odds: torch.Tensor, actions: Actions) -> torch.Tensor:
    """The tokens whose loss changes with their log-odds, bool `[tokens]`; a hinge's does not below its threshold.

    Args:
        log_odds: `[tokens]`, NaN where they were not computed.
        actions: as `objectives.Actions`.
    """
    kept = has_loss(actions).nonzero()[:, 0]
    sloped = torch.zeros(len(log_odds), dtype=torch.bool, device=log_odds.device)
    sloped[kept] = losses_and_slopes(log_odds[kept].float(), at(actions, kept))[1] != 0
    return sloped


class Backwards:
    """Stops a backward pass through the model that starts outside the training step, such as a callback's.

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
                "slung: a backward pass through the model starts outside the training step, where slung cannot tell what it "
                "trains; look at the callbacks and plugins of the config"
            )

    def end(self):
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()


def gradient_of(gradient: torch.Tensor | None):
    """The largest entry that is finite, by magnitude, of what this rank holds of a gradient: a float32 scalar tensor."""
    local = gradient.to_local() if hasattr(gradient, "to_local") else gradient
    if not local.numel():
        return torch.zeros((), device=local.device)
    return local.detach().abs().nan_to_num(nan=0.0, posinf=0.0).amax().float()
