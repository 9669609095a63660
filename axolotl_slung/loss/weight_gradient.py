"""The gradient of the head's weight: `dlogits.T @ (narrow * hidden)`, summed over chunks of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from .objectives import has_triton
from .products import add_outer

SLICE = 4096
"""Rows of the weight that a CPU adds up at once, so that they stay in its cache."""


class WeightGradient:
    """The sum over chunks, `[vocabulary, width]`.

    The loss's own gradient is known only in the backward pass. A single chunk is kept until then, so that its product has
    the right size at once. Several chunks are added up in float32.

    Args:
        weight: in the dtype of the products.
        chunks: the number of calls of `add`.
    """

    def __init__(self, weight: Tensor, chunks: int):
        self._weight_like = torch.empty_like(weight, device="meta")
        self._chunks = chunks
        self._single: tuple[Tensor, Tensor, Tensor] | None = None
        self._total: Tensor | None = None
        self._device = weight.device

    def add(
        self,
        dlogits: Tensor,  # (tokens, vocabulary)
        hidden: Tensor,  # (tokens, width)
        narrow: Tensor,  # (tokens, 1), float32 or wider
    ) -> None:
        """Add the chunk's `dlogits.T @ (narrow * hidden)`. It keeps `dlogits` if this is the only chunk."""
        if self._chunks == 1:
            self._single = dlogits, hidden, narrow
            return
        wide = torch.promote_types(dlogits.dtype, torch.float32)
        side, size = fitted(hidden, narrow, dlogits.dtype)
        started = self._total is not None
        if self._total is None:
            self._total = torch.empty_like(self._weight_like, dtype=wide, device=self._device)
        _product(dlogits, side, size, out=self._total, started=started)

    def scaled(self, factor: Tensor, dtype: torch.dtype) -> Tensor:
        """The gradient times `factor`, a scalar tensor; call it once."""
        if self._single is not None:
            (dlogits, hidden, narrow), self._single = self._single, None
            side, size = fitted(hidden, narrow * factor, dlogits.dtype)
            if size is None and dlogits.dtype == dtype:
                return add_outer(torch.empty_like(self._weight_like, device=self._device), dlogits, side, started=False)
            wide = torch.promote_types(dlogits.dtype, torch.float32)
            total = torch.empty_like(self._weight_like, dtype=wide, device=self._device)
            return _product(dlogits, side, size, out=total, started=False).to(dtype)
        total, self._total = self._total, None
        if total is None:
            return torch.zeros_like(self._weight_like, dtype=dtype, device=self._device)
        return scaled(total, factor, dtype)


def _product(dlogits, side, size, out, started) -> Tensor:
    """Write `dlogits.T @ side` times `size` into `out`, or add it if `started`."""
    # on a GPU the library adds in float32; a product in half precision would be rounded, and as large as the weight
    if size is None and (dlogits.dtype == out.dtype or dlogits.device.type == "cuda"):
        return add_outer(out, dlogits, side, started)
    for start in range(0, len(out), SLICE):
        part = slice(start, start + SLICE)
        product = dlogits[:, part].T @ side
        if size is not None:
            product = product.to(out.dtype) * size
        out[part] = out[part] + product if started else product
    return out


def fitted(hidden: Tensor, narrow: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """`narrow * hidden` in `dtype`, the narrow side of a product. Returns it and the factor for the result, or None for 1.

    Float16 ends at 65504. There the narrow side is scaled so that no sum over tokens can overflow.

    Args:
        hidden: `[tokens, width]`, any float dtype.
        narrow: float32 or wider, `[tokens, 1]`. The entries of the product's other side are at most 1.
    """
    if dtype != torch.float16:
        return product_in(hidden, narrow, dtype), None
    side = hidden * narrow
    largest = side.abs().sum(0).max()
    # a power of two loses no digits
    factor = torch.exp2(torch.floor(torch.log2(32768 / largest.clamp(min=1e-30))).clamp(max=100))
    return (side * factor).to(dtype), 1 / factor


def product_in(x: Tensor, factor: Tensor, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """`x * factor`, computed in the wider dtype and rounded once to `dtype`, without a wide copy.

    Args:
        x: any shape.
        factor: a scalar, or `[rows, 1]` for `x` of shape `[rows, columns]`.
        dtype: of the result.
        out: where to write it; may be `x`. None: new memory.
    """
    out = torch.empty_like(x, dtype=dtype) if out is None else out
    # the kernel reads and writes whole rows
    rows = x.ndim == 2 and x.stride(1) == out.stride(1) == 1
    if x.device.type == "cuda" and rows and torch.float64 not in (x.dtype, factor.dtype, dtype) and has_triton():
        from .elementwise_triton import times

        # torch converts the dtype entry by entry, at a quarter of the speed of memory
        return times(x, factor, out)
    return torch.mul(x, factor, out=out)


def scaled(grad: Tensor, factor: Tensor, dtype: torch.dtype) -> Tensor:
    """`grad * factor` in `dtype`, in place if the dtypes agree."""
    return product_in(grad, factor, dtype, grad if grad.dtype == dtype else None)
