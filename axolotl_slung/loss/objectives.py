"""Per-token objectives, each a function of one number: the target's log-odds.

With logits `z` and target `y`, `m = z_y - logsumexp(z_j for j != y)`, so that `p = sigmoid(m)`. Written with `m`, every
objective is exact for every p. None of them rounds `1 - p`, which is zero in float32 for the tokens that a model has
memorized. Each token has a weighted sum of objectives:

    actions = {cross_entropy: a, unlikelihood: b}       # float32 [tokens] each; both 0: no loss

A new objective is one more function; docs/objectives.md shows how a config names one. Autograd computes its
derivative, one number per token.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import log
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..errors import SlungError
from ..labels.buckets import Action, Bucket


class ObjectiveError(SlungError):
    """A custom objective that does not work as an objective; the message names the YAML key, the value and the fix."""


Objective = Callable[[Tensor], Tensor]
"""Maps log-odds `[tokens]` to losses `[tokens]` with torch functions. Finite log-odds give finite losses and slopes."""

Actions = Mapping[Objective, Tensor]
"""The weight of each objective for each token, float32 `[tokens]`."""


def cross_entropy(m: Tensor) -> Tensor:
    """`-log p`."""
    return -logsigmoid(m)


def unlikelihood(m: Tensor) -> Tensor:
    """`-log(1 - p)` (Welleck et al. 2019; the paper, section 3, writes f = log(1 - p) inside a sum with a minus)."""
    # -logsigmoid(-m) is softplus(m) without the switch to a straight line at 20 that torch's softplus makes
    return -logsigmoid(-m)


def dft(m: Tensor) -> Tensor:
    """`-p log p` with the gradient of `-log p` times p, where p is a constant (DFT, Wu et al. 2025, arXiv:2508.05629)."""
    return torch.sigmoid(m).detach() * cross_entropy(m)


NAMED = {"cross_entropy": cross_entropy, "dft": dft}
"""Objectives that a config names without a module."""


@dataclass(frozen=True)
class Hinge:
    """`max(0, log p - log threshold)`: pushes p down to the threshold; no loss below it.

    Attributes:
        threshold: a probability in (0, 1).
    """

    threshold: float

    def __call__(self, m):
        return torch.relu(logsigmoid(m) - log(self.threshold))


def hold(m: Tensor) -> Tensor:
    """Stands for the loss of `action: hold`, which is not a function of `m` only: `held` puts it in this place."""
    return 0 * m


def _one(m: Tensor) -> Tensor:
    return 0 * m + 1


def held(actions: Actions, before: Tensor) -> Actions:
    """The actions with the loss of `hold`: the divergence KL(p_before || p) of the two answers "target" and "another".

        p_before log(p_before / p) + (1 - p_before) log((1 - p_before) / (1 - p))

    Its slope in `m` is `p - p_before`. It is a mixture of cross-entropy and unlikelihood, less a constant. Each product has
    all its digits for every p, unlike the difference of two probabilities near 1.

    Args:
        actions: with the weights of `hold`.
        before: the log-odds before training, `[tokens]`; finite where the weight is 0, too.
    """
    made = dict(actions)
    weight = made.pop(hold)
    for objective, p in ((cross_entropy, torch.sigmoid(before)), (unlikelihood, torch.sigmoid(-before))):
        made[objective] = made.get(objective, 0) + weight * p
        made[_one] = made.get(_one, 0) - weight * p * objective(before)
    return made


def of_bucket(bucket: Bucket) -> Objective | None:
    """The objective of a bucket's codes, besides cross-entropy; None if they are masked.

    Raises:
        ObjectiveError: the function named for `action: custom` does not work as an objective.
    """
    if not bucket.action.traits.coded:
        return None
    # the config ensures that the key an action needs is set
    made = {
        Action.UNLIKELIHOOD: lambda: unlikelihood,
        Action.SOFT: lambda: unlikelihood,
        Action.HINGE: lambda: Hinge(cast(float, bucket.threshold)),
        Action.HOLD: lambda: hold,
        Action.CUSTOM: lambda: of_path(cast(str, bucket.objective)),
        # for weights above 0; the reader makes it unlikelihood below
        Action.WEIGHTED: lambda: cross_entropy,
    }
    return made[bucket.action]()


def token_losses(m: Tensor, actions: Actions) -> Tensor:
    """The losses of tokens with log-odds `m`, `[tokens]`, in the dtype of `m`."""
    # an objective may be infinite where it has no weight
    losses = (torch.where(weight != 0, weight.to(m.dtype) * objective(m), 0) for objective, weight in actions.items())
    return cast(Tensor, sum(losses))  # there is at least one objective


def losses_and_slopes(m: Tensor, actions: Actions) -> tuple[Tensor, Tensor]:
    """`token_losses` and their derivative with respect to `m`, both `[tokens]` and detached."""
    if m.device.type == "cuda" and m.dtype == torch.float32 and actions.keys() <= set(_ONE_KERNEL) and has_triton():
        from .elementwise_triton import two_objectives

        nothing = torch.zeros_like(m)
        return two_objectives(m.detach(), *(actions.get(one, nothing).float() for one in _ONE_KERNEL))
    with torch.enable_grad():
        leaf = m.detach().requires_grad_()
        losses = token_losses(leaf, actions)
        (slopes,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach(), slopes


_ONE_KERNEL = (cross_entropy, unlikelihood)
"""The objectives that a GPU computes in one kernel instead of some forty, in the kernel's order."""


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def at(actions: Actions, rows: Any) -> dict[Objective, Tensor]:
    """The actions of the tokens at `rows`."""
    return {objective: weight[rows] for objective, weight in actions.items()}


def has_loss(actions: Actions) -> Tensor:
    """Which tokens have a loss, bool `[tokens]`."""
    return torch.stack([weight != 0 for weight in actions.values()]).any(0)


def of_path(path: str) -> Objective:
    """The objective with a name of `NAMED`, or the user's function, named as `package.module:function`.

    Raises:
        ObjectiveError: the function does not exist, or does not work as an objective.
    """
    if path in NAMED:
        return NAMED[path]
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
            f"slung.buckets: objective: {path} must turn log-odds [tokens] into losses [tokens]; use torch functions"
        )
    (slopes,) = torch.autograd.grad(losses.sum(), m)
    if not (losses.isfinite().all() and slopes.isfinite().all()):
        raise ObjectiveError(
            f"slung.buckets: objective: {path} has an infinite loss or derivative; "
            "expected finite ones for log-odds from -30 to 30"
        )
    return objective
