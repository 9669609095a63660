"""What a causal language model's forward calls in place of its own loss: labels in, one number out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn.functional import logsigmoid, pad

from ..buckets import Action, Bucket
from ..codec import FIRST_CODE, IGNORE, decode
from .selective import selective_loss

NormalizeBy = Literal["loss_tokens", "train_tokens", "all_tokens"]

GROUPS = ("train", "mask", "unlikelihood", "soft")
"""Tokens are measured by action. Actions on text leave nothing in the labels but, at most, masked tokens."""

_IGNORED = len(GROUPS)


class LabelReader:
    """Reads labels back into targets and weights.

    Args:
        buckets: the buckets that the labels were written with, in the same order.
    """

    def __init__(self, buckets: Sequence[Bucket]):
        actions = [b.action for b in buckets]
        self._group = [GROUPS.index(a.value) if a.value in GROUPS else GROUPS.index("mask") for a in actions]
        self._is_soft = [a is Action.SOFT for a in actions]
        # a code of any other action is a masked token that is watched
        self._weight = [b.weight if b.action in (Action.UNLIKELIHOOD, Action.SOFT) else 0.0 for b in buckets]
        self._tables: dict = {}

    def _on(self, device):
        if device not in self._tables:
            self._tables[device] = (
                torch.tensor(self._group, device=device),
                torch.tensor(self._is_soft, device=device),
                torch.tensor(self._weight, device=device),
            )
        return self._tables[device]

    def read(self, labels):
        """Targets, weights and groups of labels that are already shifted.

        Args:
            labels: int64 `[tokens]`.

        Returns:
            `(targets, cross_entropy_weight, unlikelihood_weight, group)`, each `[tokens]`: int64 token ids (0 where
            ignored), two float32 weights, and the index into `GROUPS` (`len(GROUPS)` where ignored).
        """
        group_of, is_soft, weight_of = self._on(labels.device)
        coded = labels <= FIRST_CODE
        token_ids, bucket, score = decode(labels)
        bucket = torch.where(coded, bucket, 0).clamp_(max=len(group_of) - 1)
        soft = coded & is_soft[bucket]
        share = torch.where(soft, score, 1.0).float()
        targets = torch.where(coded, token_ids, labels.clamp(min=0))
        cross_entropy = (labels >= 0).float() + soft * (1 - share)
        unlikelihood = coded * weight_of[bucket] * share
        group = torch.where(coded, group_of[bucket], torch.where(labels >= 0, 0, _IGNORED))
        return targets, cross_entropy, unlikelihood, group

    def count(self, labels, normalize_by: NormalizeBy):
        """How many of the shifted labels the loss is divided by.

        Returns:
            int64 scalar tensor on the device of `labels`.
        """
        if normalize_by == "train_tokens":
            return (labels >= 0).sum()
        if normalize_by == "all_tokens":
            return (labels != IGNORE).sum()
        _, cross_entropy, unlikelihood, _ = self.read(labels)
        return ((cross_entropy > 0) | (unlikelihood > 0)).sum()


def shifted(labels, shift_labels=None):
    """Labels aligned with the logits that predict them: the only place where the shift happens.

    Args:
        labels: int64 `[batch, length]`, aligned with the inputs.
        shift_labels: the same already shifted, where a caller (sequence parallelism) brings it.

    Returns:
        int64 `[batch, length]`; the last position predicts nothing.
    """
    if shift_labels is not None:
        return shift_labels
    return pad(labels, (0, 1), value=IGNORE)[..., 1:]


class SelectiveCausalLMLoss:
    """A drop-in for `model.loss_function` that knows the codes.

    In training it returns the summed objective divided by the trainer's count of tokens; without gradients
    (evaluation) plain cross-entropy, averaged over trained tokens. On the way it adds up, on the device, what
    `totals` are for.

    Attributes:
        reader: how labels decode.
        totals: `{"train": tensor, "eval": tensor}`, float32 `[len(GROUPS), 4]`: tokens, nll, p, objective, summed
            since the trainer last took them; missing before the first batch.
        calls: how often the loss was called.
        on_batch: called once with `(logits, shifted_labels)`, then forgotten; see `trainer.LoopProof`.
    """

    def __init__(self, buckets: Sequence[Bucket], normalize_by: NormalizeBy = "loss_tokens"):
        self.reader = LabelReader(buckets)
        self.normalize_by = normalize_by
        self.totals: dict[str, torch.Tensor] = {}
        self.calls = 0
        self.on_batch = None

    def __call__(self, logits, labels, vocab_size=None, num_items_in_batch=None, shift_labels=None, **_):
        """The loss of one batch.

        Args:
            logits: `[batch, length, vocabulary]`.
            labels: int64 `[batch, length]`, not shifted.
            vocab_size: ignored; the logits tell.
            num_items_in_batch: what to divide by; counted in this batch where left out.
            shift_labels: int64 `[batch, length]`, where the labels come already shifted.

        Returns:
            A scalar tensor in float32. It is a finite zero, tied to `logits`, where no token has a loss.
        """
        self.calls += 1
        labels = shifted(labels, shift_labels).to(logits.device)
        if self.on_batch is not None:
            on_batch, self.on_batch = self.on_batch, None
            on_batch(logits, labels)
        logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
        targets, cross_entropy_weight, unlikelihood_weight, group = self.reader.read(labels)
        losses, log_odds = selective_loss(logits, targets, cross_entropy_weight, unlikelihood_weight)

        training = torch.is_grad_enabled()
        self._add("train" if training else "eval", group, log_odds, losses)
        if not training:
            trained = group == GROUPS.index("train")
            return (losses * trained).sum() / trained.sum().clamp(min=1)
        if num_items_in_batch is None:
            num_items_in_batch = self.reader.count(labels, self.normalize_by)
        return losses.sum() / torch.as_tensor(num_items_in_batch, device=losses.device).clamp(min=1)

    @torch.no_grad()
    def _add(self, split, group, log_odds, losses):
        rows = torch.stack(
            [torch.ones_like(log_odds), -logsigmoid(log_odds), torch.sigmoid(log_odds), losses], dim=1
        ).float()
        sums = rows.new_zeros(len(GROUPS) + 1, rows.shape[1]).index_add_(0, group, rows)[:_IGNORED]
        held = self.totals.get(split)
        self.totals[split] = sums if held is None else held + sums

    def take(self, split: str):
        """The totals of `split`, which start anew; zeros where nothing was seen."""
        return self.totals.pop(split, torch.zeros(len(GROUPS), 4))


def metrics(totals) -> dict[str, float]:
    """Totals as figures to log.

    Args:
        totals: `[len(GROUPS), 4]`, summed over ranks, on the host.

    Returns:
        For each action that has tokens its `share` of them, `nll` (nats a token) and mean `p`, and the mean
        `unlikelihood` and `soft` objective: `slung/nll_train`, `slung/p_mask`, and so on.
    """
    tokens = totals[:, 0].sum().item()
    figures = {}
    for name, (count, nll, p, objective) in zip(GROUPS, totals.tolist()):
        if count:
            figures[f"slung/share_{name}"] = count / tokens
            figures[f"slung/nll_{name}"] = nll / count
            figures[f"slung/p_{name}"] = p / count
            if name in ("unlikelihood", "soft"):
                figures[f"slung/loss_{name}"] = objective / count
    return figures
