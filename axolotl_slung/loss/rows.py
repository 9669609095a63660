"""Processes rows of logits between the matrix products of the fused loss.

One pass computes the target's log-odds and overwrites the logits with their own gradient. There are three backends:
numba for CPUs (`rows_cpu.py`), Triton for GPUs (`rows_triton.py`), and plain torch for everything else. The tests hold
all three to the same reference. To understand the computation, read the torch version.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .objectives import has_triton

BLOCK = 64
"""The number of rows that the torch backend processes at once, in the wider dtype."""


def log_odds_and_dlogits(
    z: Tensor,  # (tokens, vocabulary)
    targets: Tensor,  # (tokens,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The log-odds of the targets. Overwrites the logits `z` with the gradient of the log-odds, up to a factor per row.

    With `l = softcap(logit_scale * z)` and `q` the softmax of `l` over all but the target, `dm/dz` is
    `-(q - onehot) * logit_scale * softcap'`.

    Args:
        z: logits `[tokens, vocabulary]`, contiguous, at least two columns. Overwritten with
            `norm * (q - onehot) * softcap'`; then `dL/dz` is `z * (-logit_scale * dL/dm / norm)`.
        targets: int64 `[tokens]`.
        logit_scale: above 0.
        softcap: above 0, or None for none.

    Returns:
        `(log_odds, norm)`, both `[tokens]`, float32 (float64 for float64 logits). A row that contains NaN has NaN
        log-odds.

    Raises:
        IndexError: a target is not a valid column. Only the CPU raises; on a GPU the row's log-odds are NaN, because a
            check would synchronize.
    """
    if z.device.type == "cpu" and len(targets) and not 0 <= targets.min() <= targets.max() < z.shape[1]:
        raise IndexError(f"slung: a target is out of bounds for {z.shape[1]} columns of logits")
    return _backend(z)(z, targets, logit_scale, softcap)


def backend_name(device: torch.device, dtype: torch.dtype) -> str:
    """The backend for a device and dtype: "numba", "triton" or "torch"."""
    if device.type == "cpu" and dtype in (torch.float32, torch.bfloat16):
        return "numba"
    if device.type == "cuda" and dtype != torch.float64 and has_triton():
        return "triton"
    return "torch"


def _backend(z: Tensor) -> Callable:
    # imported only when used, because both compile
    name = backend_name(z.device, z.dtype)
    if name == "numba":
        from .rows_cpu import log_odds_and_dlogits
    elif name == "triton":
        from .rows_triton import log_odds_and_dlogits
    else:
        return with_torch
    return log_odds_and_dlogits


def with_torch(
    z: Tensor,  # (tokens, vocabulary), overwritten
    targets: Tensor,  # (tokens,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`log_odds_and_dlogits` in plain torch; `norm` is 1."""
    wide = torch.promote_types(z.dtype, torch.float32)
    log_odds = torch.empty(len(targets), dtype=wide, device=z.device)
    for start in range(0, len(targets), BLOCK):
        rows = slice(start, start + BLOCK)
        target = targets[rows, None]
        logits = z[rows].to(wide) * logit_scale
        bend = 1.0
        if softcap is not None:
            bent = torch.tanh(logits / softcap)
            logits, bend = bent * softcap, 1 - bent * bent
        of_target = logits.gather(1, target)
        logits.scatter_(1, target, -torch.inf)
        log_odds[rows] = (of_target - logits.logsumexp(1, keepdim=True))[:, 0]
        z[rows] = torch.softmax(logits, 1).scatter_(1, target, -1) * bend
    return log_odds, torch.ones_like(log_odds)
