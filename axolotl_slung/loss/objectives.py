"""Per-token objectives, each a function of one number: the target's log-odds.

With logits `z` and target `y`, `m = z_y - logsumexp(z_j for j != y)`, so that `p = sigmoid(m)`. Written with `m`, every
objective is exact for every p: none of them rounds `1 - p`, which in float32 is zero for the very tokens that a model has
memorized. What the loss does with a token is a mixture of objectives with a weight each:

    actions = {cross_entropy: a, unlikelihood: b}       # float32 [tokens] each; both 0: no loss

A new objective is a function more; docs/objectives.md shows how a config names one. Derivatives come from autograd, on a
number a token.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..errors import SlungError
from ..labels.buckets import Action, Bucket


class ObjectiveError(SlungError):
    """An objective of the user's that cannot be one; the message names the YAML key, the value and the mend."""


Objective = Callable[[Tensor], Tensor]
"""Log-odds `[tokens]` to losses `[tokens]`, by torch's functions; finite, with a finite derivative, for finite log-odds."""

Actions = Mapping[Objective, Tensor]
"""The weight of each objective for each token, float32 `[tokens]`."""


def cross_entropy(m: Tensor) -> Tensor:
    """`-log p`."""
    return -logsigmoid(m)


def unlikelihood(m: Tensor) -> Tensor:
    """`-log(1 - p)` (Welleck et al. 2019; the paper, section 3, writes f = log(1 - p) inside a sum with a minus)."""
    # -logsigmoid(-m) is softplus(m) without the switch to a straight line at 20 that torch's softplus makes
    return -logsigmoid(-m)


@dataclass(frozen=True)
class Hinge:
    """`max(0, log p - log threshold)`: pushed down while more likely than the threshold, then left alone.

    Attributes:
        threshold: a probability in (0, 1).
    """

    threshold: float

    def __call__(self, m):
        return torch.relu(logsigmoid(m) - log(self.threshold))


def of_bucket(bucket: Bucket) -> Objective | None:
    """What a bucket's codes are trained with, cross-entropy aside; None where they are masked.

    Raises:
        ObjectiveError: the function that `action: custom` names cannot be an objective.
    """
    if not bucket.action.traits.coded:
        return None
    # the config sees to the key that an action needs
    made = {
        Action.UNLIKELIHOOD: lambda: unlikelihood,
        Action.SOFT: lambda: unlikelihood,
        Action.HINGE: lambda: Hinge(cast(float, bucket.threshold)),
        Action.CUSTOM: lambda: of_path(cast(str, bucket.objective)),
    }
    return made[bucket.action]()


def token_losses(m: Tensor, actions: Actions) -> Tensor:
    """The losses of tokens of log-odds `m`, `[tokens]`, of its dtype."""
    losses = (weight.to(m.dtype) * objective(m) for objective, weight in actions.items())
    return cast(Tensor, sum(losses))  # of one objective at least


def losses_and_slopes(m: Tensor, actions: Actions) -> tuple[Tensor, Tensor]:
    """`token_losses` and their derivative by `m`, both `[tokens]` and detached."""
    with torch.enable_grad():
        leaf = m.detach().requires_grad_()
        losses = token_losses(leaf, actions)
        (slopes,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), slopes


def at(actions: Actions, rows: Any) -> dict[Objective, Tensor]:
    """The actions of some tokens only."""
    return {objective: weight[rows] for objective, weight in actions.items()}


def has_loss(actions: Actions) -> Tensor:
    """Which tokens have a loss, bool `[tokens]`."""
    return torch.stack([weight != 0 for weight in actions.values()]).any(0)


def of_path(path: str) -> Objective:
    """A function of the user's, by `package.module:function`.

    Raises:
        ObjectiveError: there is none, or it does not do what an objective does.
    """
    module, _, name = path.partition(":")
    try:
        objective = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ObjectiveError(
            f"slung.buckets: objective: {path} cannot be imported: {error}; write package.module:function"
        ) from None
    m = torch.linspace(-30, 30, 61, requires_grad=True)
    try:
        losses = objective(m)
    except Exception as error:
        raise ObjectiveError(
            f"slung.buckets: objective: {path} fails on log-odds [61]: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(losses, Tensor) or losses.shape != m.shape or not losses.requires_grad:
        raise ObjectiveError(
            f"slung.buckets: objective: {path} has to turn log-odds [tokens] into losses [tokens] by torch's functions"
        )
    (slopes,) = torch.autograd.grad(losses.sum(), m)
    if not (losses.isfinite().all() and slopes.isfinite().all()):
        raise ObjectiveError(
            f"slung.buckets: objective: {path} has an infinite loss or derivative for log-odds within -30 and 30"
        )
    return objective
