"""What a causal language model's forward calls in place of its own loss: labels in, one number out."""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false
# torch.compiler.disable is typed as a function, not as a method
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from ..errors import SlungError
from ..labels.buckets import Bucket
from .head import FusedHead
from .intercept import intercept
from .objectives import token_losses
from .on_logits import selective_loss
from .own_loss import UNKNOWN, OwnLoss, own_loss
from .reader import GROUPS, IGNORED, LabelReader, NormalizeBy, shifted
from .rows import backend_name


class SelectiveCausalLMLoss:
    """A drop-in for `model.loss_function` that knows the codes.

    In training it returns the summed objective divided by the trainer's count of tokens; without gradients
    (evaluation) plain cross-entropy, averaged over trained tokens. On the way it adds up, on the device, what
    `totals` are for.

    Args:
        buckets: those that the labels were written with.
        normalize_by: what the sum is divided by, where the trainer does not say.
        weight_start: optimizer steps before the buckets' weights take effect.
        weight_warmup: optimizer steps over which they then grow to their full size.

    Attributes:
        reader: how labels decode.
        head: the fused loss in the model's head, or None; see `attach`.
        totals: `{"train": tensor, "eval": tensor}`, float32 `[len(GROUPS), 4]`: tokens, nll, p, objective, summed
            since the trainer last took them; missing before the first batch.
        calls: how often the loss was called.
        divisor: what the trainer says a training batch's sum is divided by, a scalar tensor; None: what the model hands on.
        on_batch: called once with `(hidden states or logits, shifted labels, log-odds)`, then forgotten; see `loop.gradients`.
        on_loss: called with the loss of each training batch, its shifted labels and its divisor; gives the model its loss.
    """

    def __init__(
        self,
        buckets: Sequence[Bucket],
        normalize_by: NormalizeBy = "loss_tokens",
        weight_start: int = 0,
        weight_warmup: int = 0,
    ):
        self.reader = LabelReader(buckets)
        self.normalize_by: NormalizeBy = normalize_by
        self.head: FusedHead | None = None
        self.totals: dict[str, torch.Tensor] = {}
        self.calls = 0
        self.divisor: torch.Tensor | None = None
        self.on_batch = None
        self.on_loss = None
        self._own = UNKNOWN
        self._weight_start, self._weight_warmup = weight_start, weight_warmup

    def weight_schedule(self, step: int) -> float:
        """The factor of the buckets' weights in an optimizer step, counted from 0: 0, then linearly up to 1."""
        since = step - self._weight_start + 1
        return min(1.0, max(0.0, since / max(1, self._weight_warmup)))

    def attach(self, model: Any, fused: bool = True) -> None:
        """Become the loss of `model`, a causal language model of Transformers below any adapter.

        Args:
            model: whose `loss_function` is replaced, and whose `forward` is intercepted. A deep copy of it has a loss of
                its own.
            fused: compute the loss in the model's head, without logits, where the head allows it.
        """
        model.loss_function = self
        if fused:
            self.head = FusedHead(model, self.reader)
        intercept(model, self._around)

    @functools.partial(torch.compiler.disable, recursive=False)
    def _around(self, model, forward, *args, labels=None, **kwargs):
        """The model's forward, so that labels come to this loss, in the head where it can be."""
        if labels is None:
            return forward(*args, **kwargs)
        if self._own == UNKNOWN:
            self._own = own_loss(model, forward, labels, args, kwargs)
        if isinstance(self._own, OwnLoss):
            forward = functools.partial(self._own.forward, model, forward)
            labels = self._own.labels(labels, kwargs.get("attention_mask"))
        if self.head is None:
            return forward(*args, labels=labels, **kwargs)
        return self.head.around_model(forward, *args, labels=labels, **kwargs)

    def __getstate__(self):
        # a copy sees batches of its own
        return {**self.__dict__, "totals": {}, "calls": 0, "on_batch": None, "on_loss": None, "divisor": None}

    @property
    def place(self) -> str:
        """Where the loss is computed, in words."""
        if self.head is None:
            return "from the model's logits (slung.fused: false)"
        if self.head.off:
            return f"from the model's logits: {self.head.off}"
        weight = self.head.head.weight
        return f"in the model's head, without logits (fused; rows by {backend_name(weight.device, weight.dtype)})"

    def watch(self, source: Any, labels: Any, log_odds: Any) -> None:
        """Tell `on_batch`, once, of a batch: hidden states `[batch, length, width]` or logits, shifted labels, log-odds `[tokens]`."""
        if self.on_batch is not None:
            on_batch, self.on_batch = self.on_batch, None
            on_batch(source, labels, log_odds)

    def __call__(self, logits, labels, vocab_size=None, num_items_in_batch=None, shift_labels=None, **_):
        """The loss of one batch.

        Args:
            logits: `[batch, length, vocabulary]`; anything, where the head has computed the loss.
            labels: int64 `[batch, length]`, not shifted.
            vocab_size: ignored; the logits tell.
            num_items_in_batch: what to divide by where `divisor` is None; counted in this batch where left out too.
            shift_labels: int64 `[batch, length]`, where the labels come already shifted.

        Returns:
            A scalar tensor in float32. It is a finite zero, tied to `logits`, where no token has a loss.

        Raises:
            SlungError: there are not as many labels as positions.
        """
        self.calls += 1
        labels = shifted(labels, shift_labels).to(logits.device)
        training = torch.is_grad_enabled()
        fused = None if self.head is None else self.head.take(logits)
        if fused is not None:
            self.watch(fused.hidden, labels, fused.log_odds)
            read, total = fused.read, fused.loss
            self._add("train", read, fused.log_odds, fused.share)
        else:
            if logits.shape[:-1].numel() != labels.numel():
                raise SlungError(
                    f"slung: the model hands its loss {logits.shape[:-1].numel()} positions of logits and {labels.numel()} "
                    "labels, and shifts or cuts them in a way of its own; use another architecture"
                )
            read = self.reader.read(labels.reshape(-1))
            losses, log_odds = selective_loss(logits.reshape(-1, logits.shape[-1]), read.targets, read.actions)
            self.watch(logits, labels, log_odds.detach())
            self._add("train" if training else "eval", read, log_odds)
            if not training:
                trained = read.group == GROUPS.index("train")
                return torch.where(trained, losses, 0.0).sum() / trained.sum().clamp(min=1)
            total = losses.sum()
        # some models keep to themselves what the trainer hands them
        divisor = num_items_in_batch if self.divisor is None else self.divisor
        if divisor is None:
            divisor = self.reader.count(labels, self.normalize_by)
        divisor = torch.as_tensor(divisor, device=total.device).clamp(min=1)
        return self._tell(total / divisor, labels, divisor)

    @torch.compiler.disable
    def _tell(self, loss, labels, divisor):
        return loss if self.on_loss is None else self.on_loss(loss, labels, divisor)

    @torch.no_grad()
    def _add(self, split, read, log_odds, share=None):
        """Add a batch to the totals.

        Args:
            split: "train" or "eval".
            read: the batch's `Read`.
            log_odds: `[tokens]`; NaN that was computed shows in the figures.
            share: for how many tokens each computed one stands, `[tokens]`, 0 where none was computed; 1 where left out.
        """
        count = torch.ones_like(log_odds) if share is None else share
        m = torch.where(count > 0, log_odds, 0.0)
        rows = torch.stack([torch.ones_like(m), -logsigmoid(m), torch.sigmoid(m), token_losses(m, read.actions)], dim=1)
        rows = (rows * count[:, None]).float()
        sums = rows.new_zeros(len(GROUPS) + 1, rows.shape[1]).index_add_(0, read.group, rows)[:IGNORED]
        held = self.totals.get(split)
        self.totals[split] = sums if held is None else held + sums

    def take(self, split: str) -> Any:
        """The totals of `split`, which start anew; zeros where nothing was seen."""
        return self.totals.pop(split, torch.zeros(len(GROUPS), 4))


def metrics(totals: Any) -> dict[str, float]:
    """Totals as figures to log.

    Args:
        totals: `[len(GROUPS), 4]`, summed over ranks, on the host.

    Returns:
        For each action that has tokens its `share` of them, `nll` (nats a token) and mean `p`, and for those with an
        objective of their own its mean: `slung/nll_train`, `slung/p_mask`, `slung/loss_unlikelihood`, and so on.
    """
    tokens = totals[:, 0].sum().item()
    figures = {}
    for name, (count, nll, p, objective) in zip(GROUPS, totals.tolist()):
        if count:
            figures[f"slung/share_{name}"] = count / tokens
            figures[f"slung/nll_{name}"] = nll / count
            figures[f"slung/p_{name}"] = p / count
            if name not in ("train", "mask"):
                figures[f"slung/loss_{name}"] = objective / count
    return figures
