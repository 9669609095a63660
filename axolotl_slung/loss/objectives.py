"""Per-token objectives as functions of one number: the target's log-odds.

With logits `z` and target `y`, `m = z_y - logsumexp(z_j for j != y)`, so that `p = sigmoid(m)` and

    cross-entropy   -log p        softplus(-m)    d/dm = -sigmoid(-m)
    unlikelihood    -log(1 - p)   softplus(m)     d/dm =  sigmoid(m)

Both are exact for every p: neither rounds `1 - p`, which in float32 is zero for the very tokens that a model has
memorised. (The paper, section 3, writes unlikelihood as f = log(1 - p) inside a sum with a minus before it.)
Every action of the design is a mixture of the two with weights that are not negative.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


def log_odds_losses(m, cross_entropy_weight, unlikelihood_weight):
    """`a * -log p + b * -log(1 - p)` for tokens of log-odds `m`.

    Args:
        m: float `[tokens]`.
        cross_entropy_weight: `a`, `[tokens]`.
        unlikelihood_weight: `b`, `[tokens]`.

    Returns:
        `[tokens]`, of the dtype of `m`.
    """
    # -logsigmoid(-m) is softplus(m) without the switch to a straight line at 20 that torch's softplus makes
    return -cross_entropy_weight * logsigmoid(m) - unlikelihood_weight * logsigmoid(-m)


def log_odds_gradients(m, cross_entropy_weight, unlikelihood_weight):
    """The derivative of `log_odds_losses` by `m`, `[tokens]`."""
    return unlikelihood_weight * torch.sigmoid(m) - cross_entropy_weight * torch.sigmoid(-m)
