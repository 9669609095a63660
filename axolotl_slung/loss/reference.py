"""The reference for the selective loss: slow, readable, differentiable by autograd, in any float dtype.

All fast implementations are tested against this file.
"""

from __future__ import annotations

import torch


def selective_loss_reference(
    logits: torch.Tensor, targets: torch.Tensor, cross_entropy_weight: torch.Tensor, unlikelihood_weight: torch.Tensor
) -> torch.Tensor:
    """Per-token loss `-a log p(y) - b log(1 - p(y))` (paper, section 3).

    Args:
        logits: `[tokens, vocabulary]`; pass float64 for a ground truth.
        targets: int64 `[tokens]`, token ids.
        cross_entropy_weight: `a`, `[tokens]`.
        unlikelihood_weight: `b`, `[tokens]`.

    Returns:
        `[tokens]`, in the dtype of `logits`.
    """
    everything = logits.logsumexp(-1)
    target = logits.gather(-1, targets[:, None])[:, 0]
    is_target = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, targets[:, None], True)
    others = logits.masked_fill(is_target, -torch.inf).logsumexp(-1)
    log_p, log_not_p = _log_and_log_of_rest(target - everything, others - everything)
    return -cross_entropy_weight * log_p - unlikelihood_weight * log_not_p


def logits_reference(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> torch.Tensor:
    """Logits `[tokens, vocabulary]` of hidden states `[tokens, width]`, with the model's scale and softcap."""
    logits = torch.nn.functional.linear(hidden, weight, bias) * logit_scale
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def _log_and_log_of_rest(log_p, log_not_p):
    """Both logarithms, computed from the smaller of the two probabilities, which loses no digits."""
    likely = log_p > log_not_p
    # the unused branch must stay finite for its gradient; the used values are below log(1/2)
    smaller = torch.log1p(-torch.where(likely, log_not_p, log_p).clamp(max=-0.5).exp())
    return torch.where(likely, smaller, log_p), torch.where(likely, log_not_p, smaller)
