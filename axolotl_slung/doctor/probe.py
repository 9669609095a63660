"""Watches every micro-batch of a run: the labels that reach the loss, and the gradients of the loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch

from ..labels.codec import IGNORE
from ..loss.objectives import has_loss
from ..loss.reader import IGNORED, TRAINED
from ..training.loop.gradients import with_slope
from ..training.loop.silence import masked


@dataclass
class Seen:
    """What the probe saw.

    Attributes:
        batches: micro-batches that reached the loss.
        planted: per row, the number of codes of each kind (see `Planted`) that reached the loss.
        labels: the number of labels in all batches, and how many of them are -100.
        silent: masked and ignored targets.
        leaks: `silent` targets with a gradient that is not exactly zero.
        kept: targets whose loss has a slope.
        moved: `kept` targets with a gradient.
        beside: `kept` targets right before or after a masked one.
        beside_moved: `beside` targets with a gradient.
        gradients: micro-batches whose gradient was seen.
        infinite: micro-batches of `gradients` with a number that is not finite; nothing else is counted in them.
        counted: per optimizer step, a second count of the tokens by which its loss should be divided on this rank, and
            its number of micro-batches.
        divided: the divisor of the loss of each micro-batch.
    """

    batches: int = 0
    planted: dict[int, Counter] = field(default_factory=dict)
    labels: tuple[int, int] = (0, 0)
    silent: int = 0
    leaks: int = 0
    kept: int = 0
    moved: int = 0
    beside: int = 0
    beside_moved: int = 0
    gradients: int = 0
    infinite: int = 0
    counted: list[tuple[int, int]] = field(default_factory=list)
    divided: list[float] = field(default_factory=list)


class Probe:
    """Watches a run.

    Args:
        trainer: a trainer with the attribute `slung_loss`, which may be None.
        planted: the planted labels, or None.
    """

    def __init__(self, trainer, planted):
        self.seen = Seen()
        self._planted, self._trainer = planted, trainer
        self._loss = loss = trainer.slung_loss
        self._watch_batches(trainer)
        if loss is None:
            return
        watch, on_loss = loss.watch, loss.on_loss

        def watched(source, labels, log_odds):
            watch(source, labels, log_odds)
            if torch.is_grad_enabled() and not trainer.checks_silence:
                self._batch(source, labels, log_odds)

        def divided(part, labels, divisor):
            if not trainer.checks_silence:
                self.seen.divided.append(float(divisor))
            return on_loss(part, labels, divisor)

        loss.watch, loss.on_loss = watched, divided

    def _batch(self, source, labels, log_odds):
        self.seen.batches += 1
        if self._planted is not None:
            for row, counts in self._planted.found(labels.cpu().numpy()).items():
                self.seen.planted.setdefault(row, Counter()).update(counts)
        read = self._loss.reader.read(labels.reshape(-1))
        kept = has_loss(read.actions)
        # neighbors in the same tensor row; after packing they may be of different documents, which does not matter here
        silent = (~kept & (read.group != IGNORED)).reshape(labels.shape)
        beside = torch.zeros_like(silent)
        beside[..., 1:] |= silent[..., :-1]
        beside[..., :-1] |= silent[..., 1:]
        sloped = with_slope(log_odds, read.actions)
        if source.requires_grad:
            source.register_hook(lambda gradient: self._gradient(gradient, kept, sloped, beside.reshape(-1) & sloped))

    def _gradient(self, gradient, kept, sloped, beside):
        largest = gradient.reshape(-1, gradient.shape[-1]).abs().amax(-1)
        seen, some = self.seen, largest != 0
        seen.gradients += 1
        if not largest.isfinite().all():
            seen.infinite += 1
            return
        seen.silent += int((~kept).sum())
        seen.leaks += int((some & ~kept).sum())
        seen.kept += int(sloped.sum())
        seen.moved += int((some & sloped).sum())
        seen.beside += int(beside.sum())
        seen.beside_moved += int((some & beside).sum())

    def _watch_batches(self, trainer) -> None:
        really = trainer.get_batch_samples

        def get_batch_samples(*args, **kwargs):
            batches, count = really(*args, **kwargs)
            for batch in batches:
                number, ignored = self.seen.labels
                self.seen.labels = number + batch["labels"].numel(), ignored + int((batch["labels"] == IGNORE).sum())
            if batches and self._loss is not None:
                self.seen.counted.append((sum(self._count(batch) for batch in batches), len(batches)))
            return batches, count

        trainer.get_batch_samples = get_batch_samples

    def _count(self, batch) -> int:
        """The tokens of one micro-batch by which the loss is divided, counted one label at a time."""
        loss, labels = self._loss, batch["labels"][..., 1:].reshape(-1)
        if "shift_labels" in batch:
            labels = batch["shift_labels"].reshape(-1)
        if loss.normalize_by == "train_tokens":
            return sum(loss.reader.read(label[None]).group.item() == TRAINED for label in labels)
        if loss.normalize_by == "all_tokens":
            return sum(label != IGNORE for label in labels.tolist())
        return sum(not masked(label, loss.reader).item() for label in labels[labels != IGNORE])
