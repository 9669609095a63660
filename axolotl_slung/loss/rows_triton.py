"""`rows.log_odds_and_dlogits` for GPUs: one Triton program per row, between two cuBLAS products.

The first pass over a row keeps a running maximum and the sum of exponentials relative to it. It skips the target's
column. The second pass writes `q - onehot` in place of the logits. All arithmetic is in float32; `norm` is 1.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _tanh(x):
    # exp(-2|x|) cannot overflow
    e = tl.exp(-2.0 * tl.abs(x))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -t, t)


@triton.jit
def _logits(z, scale, cap, HAS_CAP: tl.constexpr):
    """Logits with the model's scale and softcap, and the derivative of the softcap."""
    z = z.to(tl.float32) * scale
    bend = tl.full(z.shape, 1.0, tl.float32)
    if HAS_CAP:
        bent = _tanh(z / cap)
        z = bent * cap
        bend = 1.0 - bent * bent
    return z, bend


@triton.jit
def _row(z_ptr, stride, targets_ptr, log_odds_ptr, vocabulary, scale, cap, HAS_CAP: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    z_ptr += row * stride
    y = tl.load(targets_ptr + row)
    # an index outside the row is not read or written
    known = (y >= 0) & (y < vocabulary)
    y = tl.where(known, y, 0)
    columns = tl.arange(0, BLOCK)
    # read before the reductions below, where all warps wait: afterwards some warps overwrite it
    target, _at_target = _logits(tl.load(z_ptr + y + tl.arange(0, 1)), scale, cap, HAS_CAP)

    largest = float("-inf")
    total = 0.0
    for start in range(0, vocabulary, BLOCK):
        at = start + columns
        z, _bend = _logits(tl.load(z_ptr + at, mask=at < vocabulary, other=0.0), scale, cap, HAS_CAP)
        z = tl.where((at < vocabulary) & (at != y), z, float("-inf"))
        new = tl.maximum(largest, tl.max(z, 0))
        # in a block with only the target nothing counts; avoid infinity minus infinity there
        safe = tl.where(new == float("-inf"), 0.0, new)
        total = total * tl.exp(largest - safe) + tl.sum(tl.exp(z - safe), 0)
        largest = new
    others = largest + tl.log(total)

    nothing = tl.full((1,), float("nan"), tl.float32)
    tl.store(log_odds_ptr + row + tl.arange(0, 1), tl.where(known, target - others, nothing))
    for start in range(0, vocabulary, BLOCK):
        at = start + columns
        inside = at < vocabulary
        z, bend = _logits(tl.load(z_ptr + at, mask=inside, other=0.0), scale, cap, HAS_CAP)
        q = tl.where(at == y, -1.0, tl.exp(z - others)) * bend
        tl.store(z_ptr + at, q, mask=inside)


def log_odds_and_dlogits(
    z: Tensor,  # (tokens, vocabulary), overwritten
    targets: Tensor,  # (tokens,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """See `rows.log_odds_and_dlogits`; `z` is float32, bfloat16 or float16."""
    tokens, vocabulary = z.shape
    log_odds = torch.empty(tokens, dtype=torch.float32, device=z.device)
    if tokens:
        block = min(8192, triton.next_power_of_2(vocabulary))
        _row[(tokens,)](
            z, z.stride(0), targets, log_odds, vocabulary, float(logit_scale), float(softcap or 1),
            HAS_CAP=softcap is not None, BLOCK=block, num_warps=min(16, max(4, block // 512)),  # pyright: ignore[reportCallIssue]
        )  # fmt: skip
    return log_odds, torch.ones_like(log_odds)
