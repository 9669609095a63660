"""`rows.log_odds_and_dlogits` for GPUs: one Triton program per row, between two cuBLAS products.

The first pass over a row keeps a maximum and a sum of exponentials relative to it, apart for each lane of the block, and
joins the lanes once at the end. It skips the target's column. The second pass writes `q - onehot` in place of the logits,
and mostly finds the row in the cache. Only the last block of a row is masked, so that the others are read 16 bytes at a time
whatever the size of the vocabulary. All arithmetic is in float32; `norm` is 1.
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
def _add(z, counts, largest, total):
    """Add one block of logits to each lane's maximum and sum; lanes that do not count stay as they are."""
    z = tl.where(counts, z, float("-inf"))
    grows = z > largest
    # one exponential for both cases; NaN is not larger, so it reaches the sum
    e = tl.exp(-tl.abs(z - largest))
    return tl.where(grows, z, largest), tl.where(grows, total * e + 1.0, total + e)


@triton.jit
def _row(z_ptr, stride, targets_ptr, log_odds_ptr, vocabulary, scale, cap, HAS_CAP: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    z_ptr += row * stride
    y = tl.load(targets_ptr + row)
    # an index outside the row is not read or written
    known = (y >= 0) & (y < vocabulary)
    y = tl.where(known, y, 0).to(tl.int32)
    columns = tl.arange(0, BLOCK)
    whole = vocabulary // BLOCK * BLOCK
    # read before the reductions below, where all warps wait: afterwards some warps overwrite it
    target, _at_target = _logits(tl.load(z_ptr + y + tl.arange(0, 1)), scale, cap, HAS_CAP)

    # below every finite logit, but not infinite: the difference to minus infinity must not be NaN
    largest = tl.full((BLOCK,), -3.4e38, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, whole, BLOCK):
        at = start + columns
        z, _bend = _logits(tl.load(z_ptr + at), scale, cap, HAS_CAP)
        largest, total = _add(z, at != y, largest, total)
    at = whole + columns
    z, _bend = _logits(tl.load(z_ptr + at, mask=at < vocabulary, other=0.0), scale, cap, HAS_CAP)
    largest, total = _add(z, (at < vocabulary) & (at != y), largest, total)
    top = tl.max(largest, 0)
    others = top + tl.log(tl.sum(total * tl.exp(largest - top), 0))

    nothing = tl.full((1,), float("nan"), tl.float32)
    tl.store(log_odds_ptr + row + tl.arange(0, 1), tl.where(known, target - others, nothing))
    at = whole + columns
    z, bend = _logits(tl.load(z_ptr + at, mask=at < vocabulary, other=0.0), scale, cap, HAS_CAP)
    tl.store(z_ptr + at, tl.where(at == y, -1.0, tl.exp(z - others)) * bend, mask=at < vocabulary)
    for start in range(0, whole, BLOCK):
        # backwards: what was read last is still in the cache
        at = whole - BLOCK - start + columns
        z, bend = _logits(tl.load(z_ptr + at), scale, cap, HAS_CAP)
        tl.store(z_ptr + at, tl.where(at == y, -1.0, tl.exp(z - others)) * bend)


BLOCK, WARPS = 4096, 16
"""Columns that a program reads at once, and its warps: 8 columns, 16 bytes per thread. The fastest of those tried on an H200."""


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
        block = min(BLOCK, triton.next_power_of_2(vocabulary))
        warps = min(WARPS, max(1, block // 256))
        _row[(tokens,)](
            z, z.stride(0), targets, log_odds, vocabulary, float(logit_scale), float(softcap or 1),
            HAS_CAP=softcap is not None, BLOCK=block, num_warps=warps,  # pyright: ignore[reportCallIssue]
        )  # fmt: skip
    return log_odds, torch.ones_like(log_odds)
