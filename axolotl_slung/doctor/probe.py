"""Watches every micro-batch of a run: the labels that reach the loss, and the gradients that come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch

from ..loss.causal_lm import SelectiveCausalLMLoss
from ..loss.objectives import has_loss
from ..loss.reader import IGNORED


@dataclass
class Seen:
    """What the probe saw.

    Attributes:
        batches: micro-batches that reached the loss.
        planted: by row, the codes of each bucket that reached the loss.
        silent: masked and ignored targets.
        leaks: those of them with a gradient that is not exactly zero.
        kept: targets with a loss.
        moved: those of them with a gradient.
        beside: targets with a loss right before or after one without.
        beside_moved: those of them with a gradient.
        gradients: micro-batches whose gradient was seen.
        counted: tokens that the step's loss should be divided by, counted anew, for each optimizer step.
        divided: what it was divided by, for each optimizer step.
    """

    batches: int = 0
    planted: dict[int, Counter] = field(default_factory=dict)
    silent: int = 0
    leaks: int = 0
    kept: int = 0
    moved: int = 0
    beside: int = 0
    beside_moved: int = 0
    gradients: int = 0
    counted: list[int] = field(default_factory=list)
    divided: list[float] = field(default_factory=list)


class Probe:
    """Put around a run's loss.

    Args:
        loss: the one in the model.
        planted: what was planted, or None.
    """

    def __init__(self, loss: SelectiveCausalLMLoss, planted):
        self.seen = Seen()
        self._planted = planted
        self._loss = loss
        really = loss.watch

        def watch(source, labels):
            really(source, labels)
            if torch.is_grad_enabled():
                self._batch(source, labels)

        loss.watch = watch

    def _batch(self, source, labels):
        self.seen.batches += 1
        if self._planted is not None:
            for row, counts in self._planted.found(labels.cpu().numpy()).items():
                self.seen.planted.setdefault(row, Counter()).update(counts)
        read = self._loss.reader.read(labels.reshape(-1))
        kept = has_loss(read.actions)
        # neighbours in the same row; packing does not matter, a neighbour is only somewhere to look
        silent = (~kept & (read.group != IGNORED)).reshape(labels.shape)
        beside = torch.zeros_like(silent)
        beside[..., 1:] |= silent[..., :-1]
        beside[..., :-1] |= silent[..., 1:]
        beside = beside.reshape(-1) & kept
        if source.requires_grad:
            source.register_hook(lambda gradient: self._gradient(gradient, kept, beside))

    def _gradient(self, gradient, kept, beside):
        some = gradient.reshape(-1, gradient.shape[-1]).abs().amax(-1) != 0
        seen = self.seen
        seen.gradients += 1
        seen.silent += int((~kept).sum())
        seen.leaks += int((some & ~kept).sum())
        seen.kept += int(kept.sum())
        seen.moved += int((some & kept).sum())
        seen.beside += int(beside.sum())
        seen.beside_moved += int((some & beside).sum())

    def watch_normaliser(self, trainer) -> None:
        """Compare what the trainer divides each optimizer step by with a count of its own."""
        really = trainer.get_batch_samples

        def get_batch_samples(*args, **kwargs):
            batches, count = really(*args, **kwargs)
            if batches and count is not None:
                self.seen.divided.append(float(count))
                self.seen.counted.append(sum(self._count(batch) for batch in batches))
            return batches, count

        trainer.get_batch_samples = get_batch_samples

    def _count(self, batch) -> int:
        """Tokens of one micro-batch that the loss is divided by, one label at a time."""
        loss, labels = self._loss, batch["labels"][..., 1:].reshape(-1)
        if "shift_labels" in batch:
            labels = batch["shift_labels"].reshape(-1)
        if loss.normalize_by == "train_tokens":
            return sum(label >= 0 for label in labels.tolist())
        if loss.normalize_by == "all_tokens":
            return sum(label != -100 for label in labels.tolist())
        return sum(has_loss(loss.reader.read(label[None]).actions).item() for label in labels[labels != -100])
