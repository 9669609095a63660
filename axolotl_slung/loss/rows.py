"""What happens to a row of logits between the matrix products of the fused loss.

One pass gives the target's log-odds and turns the logits into what the gradient needs, in place. Three ways to do it,
all held to the same reference by the tests: compiled for processors (`rows_cpu.py`), by Triton for GPUs
(`rows_triton.py`), and by torch alone for everything else, which is the one to read.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch

BLOCK = 64
"""Rows that torch handles at once, in the wider dtype."""


def log_odds_and_rest(z, targets, logit_scale: float = 1.0, softcap: float | None = None):
    """The targets' log-odds; the logits become the gradient's wide side.

    With `l = softcap(logit_scale * z)` and `q` the softmax of `l` over all but the target, `dm/dz` is
    `-(q - onehot) * logit_scale * softcap'`.

    Args:
        z: `[tokens, vocabulary]`, contiguous, at least two columns; overwritten with `norm * (q - onehot) * softcap'`.
        targets: int64 `[tokens]`.
        logit_scale: above 0.
        softcap: above 0, or None for none.

    Returns:
        `(log_odds, norm)`, both `[tokens]`, float32 (float64 for float64 logits). What is not a number in a row makes its
        log-odds that too.

    Raises:
        IndexError: a target is none of the columns. A GPU does not wait to tell: there the row's log-odds are not a number.
    """
    if z.device.type == "cpu" and len(targets) and not 0 <= targets.min() <= targets.max() < z.shape[1]:
        raise IndexError(f"slung: a target is out of bounds for {z.shape[1]} columns of logits")
    return _backend(z)(z, targets, logit_scale, softcap)


def backend_name(device: torch.device, dtype: torch.dtype) -> str:
    """Which of the ways a tensor takes: "numba", "triton" or "torch"."""
    if device.type == "cpu" and dtype in (torch.float32, torch.bfloat16):
        return "numba"
    if device.type == "cuda" and dtype != torch.float64 and find_spec("triton"):
        return "triton"
    return "torch"


def _backend(z):
    # each is imported where it is used: both compile
    name = backend_name(z.device, z.dtype)
    if name == "numba":
        from .rows_cpu import log_odds_and_rest
    elif name == "triton":
        from .rows_triton import log_odds_and_rest
    else:
        return with_torch
    return log_odds_and_rest


def with_torch(z, targets, logit_scale=1.0, softcap=None):
    """`log_odds_and_rest`, by torch; `norm` is 1."""
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
