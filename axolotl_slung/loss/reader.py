"""Turns labels back into the inputs of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, IGNORE, decode
from .objectives import NAMED, Actions, cross_entropy, has_loss, held, of_bucket

NormalizeBy = Literal["loss_tokens", "train_tokens", "all_tokens"]

GROUPS = ("train", "mask", *(action.value for action in Action if action.traits.coded))
"""The groups of tokens in the metrics, by action. Actions on text leave at most masked tokens in the labels."""

IGNORED = len(GROUPS)
MASKED = GROUPS.index("mask")


class Read(NamedTuple):
    """Decoded, shifted labels; each tensor is `[tokens]`.

    Attributes:
        targets: int64 token ids; 0 for ignored tokens.
        actions: float32 weights, by objective.
        group: index into `GROUPS`; `IGNORED` for ignored tokens.
    """

    targets: Tensor
    actions: Actions
    group: Tensor


class LabelReader:
    """Reads labels back into targets and actions.

    Args:
        buckets: the buckets with which the labels were written, in the same order.
        train_objective: the objective of labels that are token ids, a name of `objectives.NAMED`.

    Attributes:
        weight_factor: the factor of the buckets' weights, 1 at first. A schedule may change it during training.
        holds: whether a bucket has the action `hold`.
        before: the log-odds of the current batch's tokens before training, see `objectives.held`; None if none is held.
    """

    def __init__(self, buckets: Sequence[Bucket], train_objective: str = "cross_entropy"):
        self.weight_factor = 1.0
        self._train = NAMED[train_objective]
        self._group = [GROUPS.index(bucket.action_of_code.value) for bucket in buckets]
        self._is_soft = [bucket.action is Action.SOFT for bucket in buckets]
        self._objectives = [of_bucket(bucket) for bucket in buckets]
        self._weight = [0.0 if kind is None else bucket.weight for kind, bucket in zip(self._objectives, buckets)]
        self._tables: dict = {}
        self.holds = any(bucket.action is Action.HOLD for bucket in buckets)
        self.before: Tensor | None = None

    def _on(self, device):
        if device not in self._tables:
            kinds = dict.fromkeys(kind for kind in self._objectives if kind is not None)
            weights = {
                kind: torch.tensor(
                    [w if k is kind else 0.0 for k, w in zip(self._objectives, self._weight)], device=device
                )
                for kind in kinds
            }
            self._tables[device] = (
                torch.tensor(self._group, device=device),
                torch.tensor(self._is_soft, device=device),
                weights,
            )
        return self._tables[device]

    def read_batch(self, labels: Tensor) -> Read:
        """`read` for the labels of the current batch, with the loss of `hold`."""
        read = self.read(labels)
        return read if self.before is None else read._replace(actions=held(read.actions, self.before))

    def read(self, labels: Tensor, factor: float | None = None) -> Read:
        """Decode labels that are already shifted. `objectives.hold` stands for the loss of `hold`.

        Args:
            labels: int64 `[tokens]`.
            factor: the factor of the buckets' weights; None for `weight_factor`.
        """
        factor = self.weight_factor if factor is None else factor
        group_of, is_soft, weights = self._on(labels.device)
        coded = labels <= FIRST_CODE
        token_ids, bucket, score = decode(labels)
        bucket = torch.where(coded, bucket, 0).clamp_(max=len(group_of) - 1)
        soft = coded & is_soft[bucket]
        share = torch.where(soft, score, 1.0).float()
        targets = torch.where(coded, token_ids, labels.clamp(min=0))
        actions = {cross_entropy: soft * (1 - share)}
        actions[self._train] = actions.get(self._train, 0) + (labels >= 0).float()
        for objective, weight_of in weights.items():
            actions[objective] = actions.get(objective, 0) + coded * weight_of[bucket] * share * factor
        group = torch.where(coded, group_of[bucket], torch.where(labels >= 0, 0, IGNORED))
        return Read(targets, actions, group)

    def count(self, labels: Tensor, normalize_by: NormalizeBy) -> Tensor:
        """The number of labels by which the loss is divided. A schedule of the weights does not change it.

        Args:
            labels: int64, shifted, any shape.
            normalize_by: which labels are counted.

        Returns:
            int64 scalar tensor on the device of `labels`.
        """
        if normalize_by == "train_tokens":
            return (labels >= 0).sum()
        if normalize_by == "all_tokens":
            return (labels != IGNORE).sum()
        return has_loss(self.read(labels, factor=1.0).actions).sum()


def shifted(labels: torch.Tensor | None, shift_labels: torch.Tensor | None = None) -> torch.Tensor:
    """Shift labels to align them with the logits that predict them. Labels are shifted nowhere else.

    Args:
        labels: int64 `[batch, length]`, aligned with the inputs.
        shift_labels: the same labels, already shifted, if a caller (sequence parallelism) passes them.

    Returns:
        int64 `[batch, length]`; the last position predicts nothing.
    """
    if shift_labels is not None:
        return shift_labels
    assert labels is not None  # one of the two is given
    return pad(labels, (0, 1), value=IGNORE)[..., 1:]
