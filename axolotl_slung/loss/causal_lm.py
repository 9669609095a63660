"""Replaces the loss function of a causal language model: takes labels, returns one number."""

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
from .counted import count_ahead
from .head import FusedHead
from .hold import Reference
from .intercept import intercept
from .objectives import token_losses
from .on_logits import selective_loss
from .own_loss import UNKNOWN, OwnLoss, own_loss
from .reader import GROUPS, IGNORED, LabelReader, NormalizeBy, shifted
from .rows import backend_name


class SelectiveCausalLMLoss:
    """A replacement for `model.loss_function` that reads coded labels.

    In training it returns the summed objective, divided by the trainer's count of tokens. Without gradients
    (evaluation) it returns plain cross-entropy, averaged over trained tokens. It also adds up `totals` on the device.

    Args:
        buckets: the buckets with which the labels were written.
        normalize_by: what the sum is divided by if the trainer gives no divisor.
        weight_start: optimizer steps before the buckets' weights take effect.
        weight_warmup: optimizer steps over which they then grow to their full size.
        train_objective: the objective of trained tokens, a name of `objectives.NAMED`.

    Attributes:
        reader: decodes the labels.
        head: the fused loss in the model's head, or None; see `attach`.
        totals: `{"train": tensor, "eval": tensor}`, float32 `[len(GROUPS), 4]`: tokens, nll, p and objective, summed
            since the trainer last took them. An entry is missing before its first batch.
        calls: the number of calls of the loss.
        divisor: the trainer's divisor for the sum of a training batch, a scalar tensor. None: use the one that the
            model passes on.
        on_batch: called once with `(hidden states or logits, shifted labels, log-odds)` and then removed; see
            `loop.gradients`.
        on_loss: called with the loss of each training batch, its shifted labels and its divisor. It returns the loss
            that the model gets.
    """

    def __init__(
        self,
        buckets: Sequence[Bucket],
        normalize_by: NormalizeBy = "loss_tokens",
        weight_start: int = 0,
        weight_warmup: int = 0,
        train_objective: str = "cross_entropy",
    ):
        self.reader = LabelReader(buckets, train_objective)
        self.normalize_by: NormalizeBy = normalize_by
        self.head: FusedHead | None = None
        self.totals: dict[str, torch.Tensor] = {}
        self.calls = 0
        self.divisor: torch.Tensor | None = None
        self.on_batch = None
        self.on_loss = None
        self._own = UNKNOWN
        self._reference: Reference | None = None
        self._weight_start, self._weight_warmup = weight_start, weight_warmup

    def weight_schedule(self, step: int) -> float:
        """The factor of the buckets' weights in optimizer step `step`, counted from 0: 0, then linearly up to 1."""
        since = step - self._weight_start + 1
        return min(1.0, max(0.0, since / max(1, self._weight_warmup)))

    def attach(self, model: Any, fused: bool = True, adapted: Any = None) -> None:
        """Become the loss of `model`, a causal language model of Transformers below any adapter.

        Args:
            model: its `loss_function` is replaced and its `forward` is intercepted. A deep copy has its own loss.
            fused: compute the loss in the model's head, without logits, if the head supports it.
            adapted: the same model with its adapter, for the action `hold`.

        Raises:
            SlungError: a bucket has the action `hold`, which this model does not allow; see `Reference`.
        """
        if self.reader.holds:
            self._reference = Reference(adapted)
        model.loss_function = self
        if fused:
            self.head = FusedHead(model, self.reader)
        intercept(model, self._around)

    def count_ahead(self, batches: Sequence[dict[str, Any]]) -> None:
        """Count the tokens of an optimizer step's micro-batches at once, so that none waits for the device; see `counted`.

        Args:
            batches: with int64 `labels` each; those with `shift_labels` are counted later.
        """
        labels = [batch["labels"] for batch in batches if "shift_labels" not in batch]
        if labels and self.head is not None and not self.head.off:
            count_ahead(self.reader, labels, self.head.head.out_features)

    @functools.partial(torch.compiler.disable, recursive=False)
    def _around(self, model, forward, *args, labels=None, **kwargs):
        """Run the model's forward so that the labels reach this loss, in the head if possible."""
        if labels is None:
            return forward(*args, **kwargs)
        if self._own == UNKNOWN:
            self._own = own_loss(model, forward, labels, args, kwargs)
        plain = forward
        if isinstance(self._own, OwnLoss):
            forward = functools.partial(self._own.forward, model, forward)
            labels = self._own.labels(labels, kwargs.get("attention_mask"))
        if self._reference is not None:
            read = self.reader.read(shifted(labels, kwargs.get("shift_labels")).reshape(-1))
            self.reader.before = self._reference.log_odds(model, plain, read, args, kwargs)
        if self.head is None:
            return forward(*args, labels=labels, **kwargs)
        return self.head.around_model(forward, *args, labels=labels, **kwargs)

    def __getstate__(self):
        # a copy counts its own batches
        return {**self.__dict__, "totals": {}, "calls": 0, "on_batch": None, "on_loss": None, "divisor": None}

    @property
    def place(self) -> str:
        """A description of where the loss is computed."""
        if self.head is None:
            return "from the model's logits (slung.fused: false)"
        if self.head.off:
            return f"from the model's logits: {self.head.off}"
        weight = self.head.head.weight
        return f"in the model's head, without logits (fused; rows by {backend_name(weight.device, weight.dtype)})"

    def watch(self, source: Any, labels: Any, log_odds: Any) -> None:
        """Call `on_batch` once for a batch.

        Args:
            source: hidden states `[batch, length, width]`, or logits.
            labels: int64, shifted.
            log_odds: `[tokens]`.
        """
        if self.on_batch is not None:
            on_batch, self.on_batch = self.on_batch, None
            on_batch(source, labels, log_odds)

    def __call__(self, logits, labels, vocab_size=None, num_items_in_batch=None, shift_labels=None, **_):
        """The loss of one batch.

        Args:
            logits: `[batch, length, vocabulary]`; anything if the head has computed the loss.
            labels: int64 `[batch, length]`, not shifted.
            vocab_size: ignored; `logits` has the size.
            num_items_in_batch: the divisor if `divisor` is None. If this is None too, the batch's tokens are counted.
            shift_labels: int64 `[batch, length]`: the labels, already shifted, if the caller has them.

        Returns:
            A scalar tensor in float32. If no token has a loss, it is a finite zero that depends on `logits`.

        Raises:
            SlungError: the numbers of labels and positions differ.
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
                    f"slung: the model passes its loss {logits.shape[:-1].numel()} positions of logits and "
                    f"{labels.numel()} labels, expected equal numbers; use another architecture"
                )
            read = self.reader.with_hold(self.reader.read(labels.reshape(-1)))
            losses, log_odds = selective_loss(logits.reshape(-1, logits.shape[-1]), read.targets, read.actions)
            self.watch(logits, labels, log_odds.detach())
            self._add("train" if training else "eval", read, log_odds)
            if not training:
                trained = read.group == GROUPS.index("train")
                return torch.where(trained, -logsigmoid(log_odds), 0.0).sum() / trained.sum().clamp(min=1)
            total = losses.sum()
        # some models do not pass on the trainer's num_items_in_batch
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
            log_odds: `[tokens]`. A computed NaN appears in the metrics.
            share: the number of tokens that each computed one stands for, `[tokens]`; 0 for tokens that were not
                computed. None: 1 for all.
        """
        count = torch.ones_like(log_odds) if share is None else share
        m = torch.where(count > 0, log_odds, 0.0)
        rows = torch.stack([torch.ones_like(m), -logsigmoid(m), torch.sigmoid(m), token_losses(m, read.actions)], dim=1)
        rows = (rows * count[:, None]).float()
        sums = rows.new_zeros(len(GROUPS) + 1, rows.shape[1]).index_add_(0, read.group, rows)[:IGNORED]
        held = self.totals.get(split)
        self.totals[split] = sums if held is None else held + sums

    def take(self, split: str) -> Any:
        """Return the totals of `split` and reset them; zeros if there was no batch."""
        return self.totals.pop(split, torch.zeros(len(GROUPS), 4))


def metrics(totals: Any) -> dict[str, float]:
    """Turn totals into metrics to log.

    Args:
        totals: `[len(GROUPS), 4]`, summed over ranks, on the host.

    Returns:
        For each action that has tokens: its `share` of all tokens, `nll` (nats per token) and mean `p`. Actions with
        their own objective also have its mean. Keys are `slung/nll_train`, `slung/p_mask`, `slung/loss_unlikelihood`
        and so on.
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
