"""The three matrix products of the fused loss, for any size of the vocabulary.

cuBLAS is up to seven times slower in half precision if the vocabulary is not a multiple of 8 (50257: 15.7 ms against 2.2 for
50304, on an H200). There the products are split: one over as many tokens of the vocabulary as are a multiple of `ALIGNED`,
and a narrow one over the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor

ALIGNED = 64
"""A row of logits takes a multiple of this many numbers on a GPU, and so does the larger part of a split product."""


def empty_logits(tokens: int, weight: Tensor) -> Tensor:
    """Memory for logits, `[tokens, vocabulary]`; on a GPU its rows are aligned, so that 16 bytes are read at once."""
    vocabulary = len(weight)
    padding = -vocabulary % ALIGNED if weight.device.type == "cuda" else 0
    return weight.new_empty(tokens, vocabulary + padding)[:, :vocabulary]


def logits_into(out: Tensor, states: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Write `states @ weight.T + bias` into `out`, `[tokens, vocabulary]`."""
    for part in _parts(weight):
        if bias is None:
            torch.mm(states, weight[part].T, out=out[:, part])
        else:
            torch.addmm(bias[part], states, weight[part].T, out=out[:, part])


def times_weight(dlogits: Tensor, weight: Tensor) -> Tensor:
    """`dlogits @ weight`, `[tokens, width]`."""
    *rest, most = reversed(_parts(weight))
    if not rest:
        return dlogits @ weight
    # the small part first: only its own rounding is added, since the large product adds it before it rounds
    product = dlogits[:, rest[0]] @ weight[rest[0]]
    return torch.addmm(product, dlogits[:, most], weight[most], out=product)


def add_outer(out: Tensor, dlogits: Tensor, states: Tensor, started: bool) -> Tensor:
    """Write `dlogits.T @ states` into `out`, `[vocabulary, width]`, or add it if `started`. `out` may be float32."""
    for part in _parts(out, dlogits.dtype):
        rows, columns = out[part], dlogits[:, part].T
        if out.dtype == dlogits.dtype:
            torch.addmm(rows, columns, states, beta=int(started), out=rows)
        elif started:
            torch.ops.aten.addmm.dtype_out(rows, columns, states, out.dtype, out=rows)
        else:
            torch.ops.aten.mm.dtype_out(columns, states, out.dtype, out=rows)
    return out


def _parts(weight: Tensor, dtype: torch.dtype | None = None) -> list[slice]:
    """The parts of the vocabulary for which one product is fast, the largest first."""
    vocabulary = len(weight)
    half = (dtype or weight.dtype).itemsize == 2
    if weight.device.type != "cuda" or not half or vocabulary % 8 == 0 or vocabulary < ALIGNED:
        return [slice(0, vocabulary)]
    most = vocabulary // ALIGNED * ALIGNED
    return [slice(0, most), slice(most, vocabulary)]
