"""Computes the selective loss from logits, in chunks of tokens, for heads that the fused loss does not support.

`on_hidden_states.py` has the fused loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .objectives import Actions, has_loss, losses_and_slopes

CHUNK = 1024
"""Tokens per chunk: the only float32 copies of logits are `[CHUNK, vocabulary]`."""


class _SelectiveLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets, actions):
        log_odds, others = log_odds_and_others(logits, targets)
        losses, slopes = losses_and_slopes(log_odds, actions)
        live = has_loss(actions)
        # the logits of tokens without a loss may have any value, as for torch's cross-entropy
        losses, slopes = losses.where(live, 0), slopes.where(live, 0)
        ctx.save_for_backward(logits, targets, slopes, others)
        ctx.mark_non_differentiable(log_odds)
        return losses, log_odds

    @staticmethod
    def backward(ctx, grad_losses, _grad_log_odds):
        logits, targets, slopes, others = ctx.saved_tensors
        slope = grad_losses * slopes
        grad = torch.empty_like(logits)
        for chunk in _chunks(len(targets)):
            # dL/dz = dL/dm * (onehot - q), with q the softmax over all tokens but the target
            q = logits[chunk].to(slope.dtype, copy=True).sub_(others[chunk, None]).exp_()
            q.mul_(-slope[chunk, None]).scatter_(1, targets[chunk, None], slope[chunk, None])
            grad[chunk] = q.masked_fill_(slope[chunk, None] == 0, 0)
        return grad, None, None


def selective_loss(
    logits: Tensor,  # (tokens, vocabulary)
    targets: Tensor,  # (tokens,)
    actions: Actions,  # objective: (tokens,)
) -> tuple[Tensor, Tensor]:
    """Per-token losses, computed through the log-odds.

    Args:
        logits: `[tokens, vocabulary]`, any float dtype, already aligned with `targets`.
        targets: int64 `[tokens]`, token ids; any valid id if all weights of the token are 0.
        actions: the weight of each objective for each token.

    Returns:
        `(losses, log_odds)`, both `[tokens]` in float32 (float64 for float64 logits). The log-odds are detached. A
        token whose weights are all 0 has a loss and a gradient of exactly 0. The losses depend on `logits` even if all
        weights are 0, so that a distributed backward pass runs its collectives.
    """
    return _SelectiveLoss.apply(logits, targets, actions)


def log_odds_and_others(
    logits: Tensor,  # (tokens, vocabulary)
    targets: Tensor,  # (tokens,)
) -> tuple[Tensor, Tensor]:
    """The targets' log-odds, and the log-sum-exp of all other logits: `[tokens]`, float32 (float64 for float64 logits)."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    log_odds = torch.empty(len(logits), dtype=dtype, device=logits.device)
    others = torch.empty_like(log_odds)
    for chunk in _chunks(len(logits)):
        z = logits[chunk].to(dtype, copy=True)
        column = targets[chunk, None]
        target = z.gather(1, column)[:, 0]
        others[chunk] = z.scatter_(1, column, -torch.inf).logsumexp(1)
        log_odds[chunk] = target - others[chunk]
    return log_odds, others


def _chunks(tokens):
    return [slice(start, start + CHUNK) for start in range(0, tokens, CHUNK)]
