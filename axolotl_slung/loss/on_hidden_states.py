"""Computes the selective loss from hidden states: projection, loss and gradient, one chunk of tokens at a time.

The logits of all tokens are never in memory at once. Tokens without a loss are never projected. With the target's
log-odds `m` (`objectives.py`) and `q` the softmax over all tokens but the target,

    dL/dz = dL/dm * (onehot - q)

so the forward pass already has what the gradient needs, and computes it. This takes three matrix products. A loss that
recomputes the logits in its backward pass needs four. `dL/dm` is one number per token and is multiplied into the narrow
sides of the products.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .objectives import Actions, at, has_loss, losses_and_slopes
from .products import empty_logits, logits_into, times_weight
from .rows import log_odds_and_dlogits
from .weight_gradient import WeightGradient, fitted, product_in, scaled


class ChunkSize(NamedTuple):
    """How many tokens are projected at once.

    Attributes:
        most_bytes: bytes of logits in memory at once.
        fewest: the fewest tokens; with fewer the products would be slow. This has precedence.
    """

    most_bytes: int
    fewest: int


CHUNK = ChunkSize(2**28, 256)
CHUNK_ON_CUDA = 2048
"""The fewest tokens on a GPU, where each chunk adds the whole gradient of the weight to float32 in memory."""
SHARE_OF_CUDA = 16
"""One part in so many of a GPU's memory is used for logits: 5 GB of 80 GB."""


@functools.cache
def _cuda_chunk(device: torch.device) -> ChunkSize:
    return ChunkSize(torch.cuda.get_device_properties(device).total_memory // SHARE_OF_CUDA, CHUNK_ON_CUDA)


class _LinearSelectiveLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        hidden: Tensor,  # (tokens, width)
        weight: Tensor,  # (vocabulary, width)
        bias: Tensor | None,  # (vocabulary,)
        targets: Tensor,  # (tokens,)
        actions: Actions,  # objective: (tokens,)
        kept: Tensor,  # (tokens with a loss,)
        logit_scale: float,
        softcap: float | None,
    ):
        dtype = compute_dtype(weight)
        wide = torch.promote_types(dtype, torch.float32)
        need_hidden, need_weight, need_bias = ctx.needs_input_grad[:3]
        w, b = weight.to(dtype), None if bias is None else bias.to(dtype)
        chunks = _chunks(kept, len(hidden), len(weight), dtype)

        loss = hidden.new_zeros((), dtype=wide)
        log_odds = hidden.new_full(targets.shape, torch.nan, dtype=wide)
        # float16 could overflow, because the sum is divided by the number of tokens only later
        d_hidden = (
            torch.zeros_like(hidden, dtype=wide if hidden.dtype == torch.float16 else None) if need_hidden else None
        )
        d_weight = WeightGradient(w, len(chunks)) if need_weight else None
        d_bias = torch.zeros(len(weight), dtype=wide, device=weight.device) if need_bias else None
        for rows, states, logits in _projected(hidden, w, b, chunks):
            m, norm = log_odds_and_dlogits(logits, targets[rows], logit_scale, softcap)
            dlogits = logits  # overwritten in place; each row must still be multiplied by `narrow`
            losses, slopes = losses_and_slopes(m, at(actions, rows))
            log_odds[rows] = m
            loss += losses.sum()
            narrow = (-logit_scale * slopes / norm)[:, None]
            if d_hidden is not None:
                product = times_weight(dlogits, w)
                if isinstance(rows, slice):
                    product_in(product, narrow, d_hidden.dtype, d_hidden[rows])
                else:
                    d_hidden[rows] = product_in(product, narrow, d_hidden.dtype)
            if d_bias is not None:
                side, size = fitted(narrow.new_ones(len(narrow), 1), narrow, dtype)
                sum_of_rows = side[:, 0] @ dlogits
                d_bias += sum_of_rows if size is None else sum_of_rows.to(wide) * size
            if d_weight is not None:
                d_weight.add(dlogits, states, narrow)

        # attributes, not saved tensors: hooks that offload saved tensors would only lose time on these
        ctx.grads = d_hidden, d_weight, d_bias
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        ctx.mark_non_differentiable(log_odds)
        return loss, log_odds

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_loss, _grad_log_odds):
        if ctx.grads is None:
            raise RuntimeError(
                "linear_selective_loss: backward a second time; the gradients are computed once, so call backward once"
            )
        (d_hidden, d_weight, d_bias), ctx.grads = ctx.grads, None
        of_hidden, of_weight, of_bias = ctx.dtypes
        return (
            None if d_hidden is None else scaled(d_hidden, grad_loss, of_hidden),
            None if d_weight is None else d_weight.scaled(grad_loss, of_weight),
            None if d_bias is None else scaled(d_bias, grad_loss, of_bias),
            *[None] * 5,
        )


def compute_dtype(weight: torch.Tensor) -> torch.dtype:
    """The dtype in which `nn.Linear` would compute: autocast's, or the weight's own."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def _chunks(kept: Tensor, tokens: int, vocabulary: int, dtype: torch.dtype) -> Sequence[Tensor | slice]:
    """Split `kept` into parts of about equal size, by `ChunkSize`; slices if all tokens are kept."""
    most_bytes, fewest = _cuda_chunk(kept.device) if kept.device.type == "cuda" else CHUNK
    number = -(-len(kept) // max(fewest, most_bytes // (vocabulary * dtype.itemsize)))
    if len(kept) < tokens:
        return kept.tensor_split(number) if number else ()
    bounds = [i * tokens // number for i in range(number + 1)] if number else []
    # the largest first
    return [slice(*pair) for pair in sorted(pairwise(bounds), key=lambda pair: pair[0] - pair[1])]


def _projected(
    hidden: Tensor,  # (tokens, width)
    weight: Tensor,  # (vocabulary, width)
    bias: Tensor | None,  # (vocabulary,)
    chunks: Sequence[Tensor | slice],
) -> Iterator[tuple[Tensor | slice, Tensor, Tensor]]:
    """The logits of each chunk, before scale and softcap. All use the same memory.

    Yields:
        `(rows, hidden states [rows, width], logits [rows, vocabulary])`.
    """
    memory = None
    for rows in chunks:
        states = hidden[rows]
        # the first chunk is the largest
        memory = empty_logits(len(states), weight) if memory is None else memory
        logits = memory[: len(states)]
        logits_into(logits, states.to(weight.dtype), weight, bias)
        yield rows, states, logits


def linear_selective_loss(
    hidden: Tensor,  # (tokens, width)
    weight: Tensor,  # (vocabulary, width)
    targets: Tensor,  # (tokens,)
    actions: Actions,  # objective: (tokens,)
    bias: Tensor | None = None,  # (vocabulary,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
    kept: Tensor | None = None,  # (tokens with a loss,)
) -> tuple[Tensor, Tensor]:
    """The summed loss of tokens with logits `softcap * tanh(logit_scale * (hidden @ weight.T + bias) / softcap)`.

    Args:
        hidden: `[tokens, width]`, any float dtype, already aligned with `targets`.
        weight: `[vocabulary, width]`, with the same dtype unless under autocast.
        targets: int64 `[tokens]`, token ids; any valid id if all weights of the token are 0.
        actions: the weight of each objective for each token (`objectives.Actions`).
        bias: `[vocabulary]`, or None.
        logit_scale: factor of the logits, above 0 (Granite, Cohere).
        softcap: above 0 (Gemma 2), or None for none.
        kept: int64, the indices of the tokens with a loss in ascending order, if the caller knows them. Otherwise they
            are computed, which synchronizes with the device.

    Returns:
        `(loss, log_odds)`: a scalar in float32 (float64 for float64 weights), and the log-odds `[tokens]` in the same
        dtype. The log-odds are detached, and NaN for tokens whose weights are all 0. The loss depends on `hidden`,
        `weight` and `bias` even if no token has a loss, so that a distributed backward pass runs its collectives.

    Raises:
        ValueError: the logit scale or the softcap is not above 0.
    """
    if logit_scale <= 0 or (softcap is not None and softcap <= 0):
        raise ValueError(f"logit_scale, softcap: expected numbers above 0, got {logit_scale} and {softcap}")
    if kept is None:
        kept = has_loss(actions).nonzero()[:, 0]
    return _LinearSelectiveLoss.apply(hidden, weight, bias, targets, actions, kept, logit_scale, softcap)


@torch.no_grad()
def linear_log_odds(
    hidden: Tensor,  # (tokens, width)
    weight: Tensor,  # (vocabulary, width)
    targets: Tensor,  # (tokens,)
    bias: Tensor | None = None,  # (vocabulary,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> Tensor:
    """The log-odds of `linear_selective_loss` for all tokens, without loss or gradient: float32 `[tokens]`."""
    dtype = compute_dtype(weight)
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    everything = torch.arange(len(targets), device=targets.device)
    log_odds = [
        log_odds_and_dlogits(logits, targets[rows], logit_scale, softcap)[0]
        for rows, _states, logits in _projected(
            hidden, weight, bias, _chunks(everything, len(hidden), len(weight), dtype)
        )
    ]
    return torch.cat(log_odds) if log_odds else hidden.new_zeros(0, dtype=torch.float32)
