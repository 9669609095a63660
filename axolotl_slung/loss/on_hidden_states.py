"""Computes the selective loss from hidden states: projection, loss and gradient, one chunk of tokens at a time.

The logits of all tokens are never in memory at once. Tokens without a loss are never projected. With the target's
log-odds `m` (`objectives.py`) and `q` the softmax over all tokens but the target,

    dL/dz = dL/dm * (onehot - q)

so the forward pass already has what the gradient needs, and computes it. This takes three matrix products. A loss that
recomputes the logits in its backward pass needs four. `dL/dm` is one number per token and is multiplied into the narrow
sides of the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .objectives import Actions, at, has_loss, losses_and_slopes
from .rows import log_odds_and_dlogits

CHUNK_BYTES = 256 * 2**20
"""Bytes of logits in memory at once."""
CHUNK_MIN = 256
"""The fewest tokens per chunk; with fewer the products would be slow."""
SLICE = 4096
"""Rows of the weight whose gradients are added up at once, so that they stay in the cache."""


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
        chunks = _chunks(kept, len(weight), dtype)

        loss = hidden.new_zeros((), dtype=wide)
        log_odds = hidden.new_full(targets.shape, torch.nan, dtype=wide)
        # float16 could overflow, because the sum is divided by the number of tokens only later
        d_hidden = (
            torch.zeros_like(hidden, dtype=wide if hidden.dtype == torch.float16 else None) if need_hidden else None
        )
        d_weight = _Sum(w, wide, len(chunks)) if need_weight else None
        d_bias = torch.zeros(len(weight), dtype=wide, device=weight.device) if need_bias else None
        for rows, logits in _projected(hidden, w, b, chunks):
            m, norm = log_odds_and_dlogits(logits, targets[rows], logit_scale, softcap)
            dlogits = logits  # overwritten in place; each row must still be multiplied by `narrow`
            losses, slopes = losses_and_slopes(m, at(actions, rows))
            log_odds[rows] = m
            loss += losses.sum()
            narrow = (-logit_scale * slopes / norm)[:, None]
            if need_hidden:
                d_hidden[rows] = ((dlogits @ w) * narrow).to(d_hidden.dtype)
            if need_weight:
                d_weight.add(dlogits, hidden[rows] * narrow)
            if d_bias is not None:
                side, size = _fitted(narrow, dtype)
                sum_of_rows = side[:, 0] @ dlogits
                d_bias += sum_of_rows if size is None else sum_of_rows.to(wide) * size

        # attributes, not saved tensors: hooks that offload saved tensors would only lose time on these
        ctx.grads = d_hidden, d_weight and d_weight.total, d_bias
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
        grads, ctx.grads = ctx.grads, None
        return (*(_scaled(grad, grad_loss, dtype) for grad, dtype in zip(grads, ctx.dtypes)), *[None] * 5)


class _Sum:
    """The weight's gradient, `[vocabulary, width]`, added up over chunks in float32.

    Attributes:
        total: the sum so far; undefined before the first `add`.
    """

    def __init__(self, weight, wide, chunks: int):
        # a single product already accumulates in float32; its result may overflow float16
        self.total = torch.empty_like(
            weight, dtype=weight.dtype if chunks == 1 and weight.dtype != torch.float16 else wide
        )
        if chunks == 0:
            self.total.zero_()
        self._started = False

    def add(
        self,
        dlogits: Tensor,  # (tokens, vocabulary)
        narrow: Tensor,  # (tokens, width), float32 or wider
    ) -> None:
        """Add `dlogits.T @ narrow`."""
        started, self._started = self._started, True
        narrow, size = _fitted(narrow, dlogits.dtype)
        if dlogits.dtype == self.total.dtype:
            torch.addmm(self.total, dlogits.T, narrow, beta=int(started), out=self.total)
            return
        step = SLICE if dlogits.device.type == "cpu" or size is not None else len(self.total)
        for start in range(0, len(self.total), step):
            part = slice(start, start + step)
            product = dlogits[:, part].T @ narrow
            if size is not None:
                product = product.to(self.total.dtype) * size
            if started:
                self.total[part] += product
            else:
                self.total[part] = product


def _fitted(narrow, dtype):
    """Cast the narrow side of a product to `dtype`. Returns it and the factor for the result, or None for 1.

    Float16 ends at 65504. There the narrow side is scaled so that no sum over tokens can overflow.

    Args:
        narrow: float32 or wider, `[tokens, width]`. The entries of the other side are at most 1.
    """
    if dtype != torch.float16:
        return narrow.to(dtype), None
    largest = narrow.abs().sum(0).max()
    # a power of two loses no digits
    factor = torch.exp2(torch.floor(torch.log2(32768 / largest.clamp(min=1e-30))).clamp(max=100))
    return (narrow * factor).to(dtype), 1 / factor


def _scaled(grad, factor, dtype):
    """`grad * factor`, in place if the dtypes agree."""
    if grad is None:
        return None
    if grad.dtype == dtype:
        return grad.mul_(factor)
    scaled = torch.empty_like(grad, dtype=dtype)
    for start in range(0, len(grad), SLICE):
        part = slice(start, start + SLICE)
        torch.mul(grad[part], factor, out=grad[part])
        scaled[part] = grad[part]
    return scaled


def compute_dtype(weight: torch.Tensor) -> torch.dtype:
    """The dtype in which `nn.Linear` would compute: autocast's, or the weight's own."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def _chunks(kept, vocabulary, dtype):
    """Split `kept` into parts of about equal size. The logits of each part fit into `CHUNK_BYTES`."""
    most = max(CHUNK_MIN, CHUNK_BYTES // (vocabulary * dtype.itemsize))
    return kept.tensor_split(-(-len(kept) // most)) if len(kept) else ()


def _projected(
    hidden: Tensor,  # (tokens, width)
    weight: Tensor,  # (vocabulary, width)
    bias: Tensor | None,  # (vocabulary,)
    chunks: Sequence[Tensor],
) -> Iterator[tuple[Tensor, Tensor]]:
    """The logits of each chunk, before scale and softcap: `(rows, [rows, vocabulary])`. All use the same memory."""
    if not chunks:
        return
    # the first chunk is the largest
    memory = torch.empty(len(chunks[0]), len(weight), dtype=weight.dtype, device=weight.device)
    for rows in chunks:
        logits, h = memory[: len(rows)], hidden[rows].to(weight.dtype)
        if bias is None:
            torch.mm(h, weight.T, out=logits)
        else:
            torch.addmm(bias, h, weight.T, out=logits)
        yield rows, logits


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
        for rows, logits in _projected(hidden, weight, bias, _chunks(everything, len(weight), dtype))
    ]
    return torch.cat(log_odds) if log_odds else hidden.new_zeros(0, dtype=torch.float32)
