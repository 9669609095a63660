"""Turns labels back into the inputs of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, IGNORE, decode
from .objectives import NAMED, Actions, Objective, cross_entropy, has_loss, held, of_bucket, unlikelihood

NormalizeBy = Literal["loss_tokens", "train_tokens", "all_tokens"]

GROUPS = ("train", "mask", *(action.value for action in Action if action.traits.coded))
"""The groups of tokens in the metrics, by action. Actions on text leave at most masked tokens in the labels."""

IGNORED = len(GROUPS)
TRAINED, MASKED, UNLIKELY = (GROUPS.index(name) for name in ("train", "mask", "unlikelihood"))


class Read(NamedTuple):
    """Decoded, shifted labels; each tensor is `[tokens]`.

    Attributes:
        targets: int64 token ids; 0 for ignored tokens.
        actions: float32 weights, by objective.
        group: index into `GROUPS`; `IGNORED` for ignored tokens. A token with the weight 0 is in `mask`, and a token of
            a `train` bucket with a weight below 0 in `unlikelihood`.
    """

    targets: Tensor
    actions: Actions
    group: Tensor

    def to(self, device: torch.device) -> Read:
        """The same on another device."""
        actions = {objective: weight.to(device) for objective, weight in self.actions.items()}
        return Read(self.targets.to(device), actions, self.group.to(device))


class _Tables(NamedTuple):
    """What each bucket's codes mean, `[buckets]` each, on one device.

    Attributes:
        group: index into `GROUPS`.
        trains: whether its tokens have cross-entropy as usual, so that a given weight is its factor.
        soft: whether it mixes cross-entropy in, by the score.
        signed: whether its value is a factor whose sign chooses between cross-entropy and unlikelihood.
        signed_weight: the weight of the buckets with `signed`; 0 for others.
        up, down: the weights of the other buckets whose objective is cross-entropy or unlikelihood; 0 for the rest.
        weights: for each other objective the weights of its buckets; 0 for the rest.
    """

    group: Tensor
    trains: Tensor
    soft: Tensor
    signed: Tensor
    signed_weight: Tensor
    up: Tensor
    down: Tensor
    weights: dict[Objective, Tensor]


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
        self._buckets = tuple(buckets)
        self._objectives = [of_bucket(bucket) for bucket in buckets]
        self._tables: dict = {}
        self.holds = any(bucket.action is Action.HOLD for bucket in buckets)
        self.before: Tensor | None = None

    def _on(self, device) -> _Tables:
        if device not in self._tables:
            buckets = self._buckets
            signed = [bucket.action is Action.WEIGHTED for bucket in buckets]
            own = [None if one else objective for objective, one in zip(self._objectives, signed)]
            kinds = [kind for kind in dict.fromkeys(own) if kind not in (None, cross_entropy, unlikelihood)]
            self._tables[device] = _Tables(
                group=torch.tensor([GROUPS.index(b.action_of_code.value) for b in buckets], device=device),
                trains=torch.tensor([b.action.traits.trains for b in buckets], device=device),
                soft=torch.tensor([b.action is Action.SOFT for b in buckets], device=device),
                signed=torch.tensor(signed, device=device),
                signed_weight=_weights(buckets, signed).to(device),
                up=_weights(buckets, [one is cross_entropy for one in own]).to(device),
                down=_weights(buckets, [one is unlikelihood for one in own]).to(device),
                weights={kind: _weights(buckets, [one == kind for one in own]).to(device) for kind in kinds},
            )
        return self._tables[device]

    def with_hold(self, read: Read) -> Read:
        """The current batch with the loss of `hold`."""
        return read if self.before is None else read._replace(actions=held(read.actions, self.before))

    def read(self, labels: Tensor, factor: float | None = None) -> Read:
        """Decode labels that are already shifted. `objectives.hold` stands for the loss of `hold`.

        Args:
            labels: int64 `[tokens]`.
            factor: the factor of the buckets' weights; None for `weight_factor`.
        """
        factor = self.weight_factor if factor is None else factor
        table = self._on(labels.device)
        coded = labels <= FIRST_CODE
        token_ids, bucket, value, given = decode(labels)
        bucket = torch.where(coded, bucket, 0).clamp_(max=len(self._buckets) - 1)
        targets = torch.where(coded, token_ids, labels.clamp(min=0))
        given, soft = given & coded, coded & table.soft[bucket]
        # the objective of `train` with this weight if it is positive, otherwise unlikelihood of its size
        weighs = given & table.trains[bucket]
        trained = torch.where(weighs, value, 0.0)
        by_score = coded & table.signed[bucket]
        signed = torch.where(by_score, table.signed_weight[bucket] * value * factor, 0.0)
        share = torch.where(soft | given, value, 1.0)
        scale = coded * share * factor
        actions: dict[Objective, Tensor] = {
            cross_entropy: soft * (1 - share) + signed.clamp(min=0) + table.up[bucket] * scale,
            unlikelihood: table.down[bucket] * scale - (trained + signed).clamp(max=0),
        }
        plain = (labels >= 0).float() + trained.clamp(min=0)
        actions[self._train] = actions[self._train] + plain if self._train in actions else plain
        for objective, weight_of in table.weights.items():
            weight = weight_of[bucket] * scale
            actions[objective] = actions[objective] + weight if objective in actions else weight
        group = table.group[bucket]
        group = torch.where(weighs, torch.where(value > 0, TRAINED, UNLIKELY), group)
        group = torch.where((given | by_score) & (value == 0), MASKED, group)
        return Read(targets, actions, torch.where(coded, group, torch.where(labels >= 0, TRAINED, IGNORED)))

    def count(self, labels: Tensor, normalize_by: NormalizeBy) -> Tensor:
        """The number of labels by which the loss is divided. A schedule of the weights does not change it.

        Args:
            labels: int64, shifted, any shape.
            normalize_by: which labels are counted.

        Returns:
            int64 scalar tensor on the device of `labels`.
        """
        if normalize_by == "train_tokens":
            return (self.read(labels, factor=1.0).group == TRAINED).sum()
        if normalize_by == "all_tokens":
            return (labels != IGNORE).sum()
        return has_loss(self.read(labels, factor=1.0).actions).sum()


def _weights(buckets: Sequence[Bucket], chosen: Sequence[bool]) -> Tensor:
    """The weights of the chosen buckets, and 0 for the others: float32 `[buckets]`."""
    return torch.tensor([bucket.weight if one else 0.0 for bucket, one in zip(buckets, chosen)])


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
