"""Small steps of the fused loss on GPUs, each one kernel in place of many."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _times(x_ptr, x_stride, factor_ptr, factor_stride, out_ptr, out_stride, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    factor = tl.load(factor_ptr + row * factor_stride).to(tl.float32)
    x = tl.load(x_ptr + row * x_stride + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * out_stride + columns, (x * factor).to(out_ptr.dtype.element_ty), mask=inside)


def times(x: Tensor, factor: Tensor, out: Tensor) -> Tensor:
    """`x * factor`, computed in float32 and rounded once into `out`.

    Args:
        x: `[rows, columns]`, any float dtype below float64; columns contiguous.
        factor: a scalar, or `[rows, 1]`.
        out: the same shape as `x`, any float dtype below float64. May be `x`.
    """
    rows, width = x.shape
    if x.numel():
        block = min(1024, triton.next_power_of_2(width))
        step = factor.stride(0) if factor.ndim else 0
        _times[(rows, triton.cdiv(width, block))](
            x, x.stride(0), factor, step, out, out.stride(0), width, BLOCK=block, num_warps=4
        )
    return out


@triton.jit
def _log1p(e):
    """`log(1 + e)` for e in [0, 1] with all its digits."""
    u = 1.0 + e
    return tl.log(u) + (e - (u - 1.0)) / u


@triton.jit
def _two(m_ptr, up_ptr, down_ptr, losses_ptr, slopes_ptr, tokens, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < tokens
    m = tl.load(m_ptr + at, mask=inside, other=0.0)
    up = tl.load(up_ptr + at, mask=inside, other=0.0)
    down = tl.load(down_ptr + at, mask=inside, other=0.0)
    # NaN stays NaN in both
    e = tl.exp(-tl.abs(m))
    small, large = e / (1.0 + e), 1.0 / (1.0 + e)
    p, not_p = tl.where(m < 0, small, large), tl.where(m < 0, large, small)
    near = _log1p(e)
    nll = tl.where(m < 0, near - m, near)
    penalty = tl.where(m < 0, near, near + m)
    # an objective may be infinite where it has no weight
    losses = tl.where(up != 0, up * nll, 0.0) + tl.where(down != 0, down * penalty, 0.0)
    slopes = tl.where(down != 0, down * p, 0.0) - tl.where(up != 0, up * not_p, 0.0)
    tl.store(losses_ptr + at, losses, mask=inside)
    tl.store(slopes_ptr + at, slopes, mask=inside)


def two_objectives(m: Tensor, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and slopes of cross-entropy with the weights `up` and unlikelihood with the weights `down`.

    All are float32 `[tokens]`; see `objectives.losses_and_slopes`.
    """
    m, up, down = m.contiguous(), up.contiguous(), down.contiguous()
    losses, slopes = torch.empty_like(m), torch.empty_like(m)
    if len(m):
        _two[(triton.cdiv(len(m), 1024),)](m, up, down, losses, slopes, len(m), BLOCK=1024, num_warps=4)
    return losses, slopes
