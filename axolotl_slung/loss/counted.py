"""How many tokens of a micro-batch have a loss, known to the host before the micro-batch runs.

A host that waits for a GPU at the start of each micro-batch leaves it without work for a while. So the trainer counts all
micro-batches of an optimizer step at once, with one copy to the host, and the counts travel on the tensors of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .objectives import has_loss
from .reader import IGNORED, LabelReader, Read, shifted

_ATTRIBUTE = "slung_counted"


class Counted(NamedTuple):
    """Numbers of tokens in one micro-batch.

    Attributes:
        kept: tokens with a loss.
        silent: tokens that are only measured.
        outside: tokens whose id is not a row of the head.
    """

    kept: int
    silent: int
    outside: int


def masks(read: Read) -> tuple[Tensor, Tensor]:
    """Which tokens have a loss, and which are only measured: bool `[tokens]` each."""
    kept = has_loss(read.actions)
    return kept, ~kept & (read.group != IGNORED)


def _counts(read, vocabulary):
    outside = (read.targets >= vocabulary) & (read.group != IGNORED)
    return torch.stack([mask.sum() for mask in (*masks(read), outside)])


def count_ahead(reader: LabelReader, labels: Sequence[Tensor], vocabulary: int) -> None:
    """Count the micro-batches of an optimizer step.

    Args:
        reader: with the factor of the weights for this step.
        labels: one tensor per micro-batch, int64 `[batch, length]`, not shifted. It must not be changed afterwards.
        vocabulary: the rows of the head.
    """
    found = torch.stack([_counts(reader.read(shifted(one).reshape(-1)), vocabulary) for one in labels])
    for one, numbers in zip(labels, found.tolist()):
        setattr(one, _ATTRIBUTE, Counted(*numbers))


def counted(labels: Tensor, read: Read, vocabulary: int) -> Counted:
    """The counts of a micro-batch. Waits for the device if `count_ahead` did not see this tensor.

    Args:
        labels: as passed to the model.
        read: the same labels, decoded.
        vocabulary: the rows of the head.
    """
    known = getattr(labels, _ATTRIBUTE, None)
    return Counted(*_counts(read, vocabulary).tolist()) if known is None else known


def indices_of(mask: Tensor, number: int) -> Tensor:
    """The indices at which `mask` is true, int64 `[number]`, without waiting for a GPU."""
    if mask.device.type not in ("cpu", "cuda"):
        return mask.nonzero()[:, 0]  # not every backend has the other
    return torch.nonzero_static(mask, size=number)[:, 0]
