"""The trainer's part: what the loss is divided by, what is logged, and the proof that the loss is in the loop."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch.utils.data import IterableDataset
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from .codec import FIRST_CODE, IGNORE, decode
from .loss.causal_lm import SelectiveCausalLMLoss, metrics
from .loss.objectives import has_loss
from .loss.reader import shifted


class LoopError(RuntimeError):
    """Training would go past the selective loss. The message says why, as far as can be told, and the mend."""


class SlungTrainerMixin:
    """Put before Axolotl's trainer class.

    Attributes:
        slung_loss: the loss that stands in the model, or None beside a fused loss that knows only -100.
    """

    slung_loss: SelectiveCausalLMLoss | None = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._slung_batches = 0
        self._slung_proven = False
        self._slung_strays = 0  # on the device: labels that do not decode to their token ids
        self.slung_loss = _loss_of(self.model)
        if self.slung_loss is not None:
            if self.args.n_gpu > 1:
                raise ValueError(
                    f"slung: one process drives {self.args.n_gpu} GPUs, and the loss counts tokens a process; start one process "
                    "a GPU, as `axolotl train` does by itself"
                )
            # Axolotl takes a mean of micro-batch means otherwise; the count below then reaches the loss
            self.model_accepts_loss_kwargs = True

    # the normaliser

    def get_batch_samples(self, *args, **kwargs):
        """The batches of one optimiser step, and how many tokens on all ranks their loss is divided by."""
        batches, count = super().get_batch_samples(*args, **kwargs)
        if self.slung_loss is None or not batches or "labels" not in batches[0]:
            return batches, count
        count = sum(
            self.slung_loss.reader.count(shifted(b["labels"], b.get("shift_labels")), self.slung_loss.normalize_by)
            for b in batches
        ).to(self.args.device)
        if self.args.world_size > 1:
            count = self.accelerator.gather(count).sum()
        return batches, count

    # streams

    def _init_training_state(
        self, max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
    ):
        """Where to go on: the pass over the data, and how many batches of it are done.

        Transformers takes a stream for endless, and would look for a batch of the second pass in the first one.
        """
        passes, batches = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        streamed = isinstance(self.train_dataset, IterableDataset)
        if not streamed or resume_from_checkpoint is None or self.args.ignore_data_skip:
            return passes, batches
        saved = TrainerState.load_from_json(str(Path(resume_from_checkpoint, TRAINER_STATE_NAME)))
        # `epoch` is the pass, plus its batches so far as a part, above 0 and up to 1, of all that `max_steps` takes
        passes = math.ceil(saved.epoch) - 1
        batches = round((saved.epoch - passes) * saved.max_steps * self.args.gradient_accumulation_steps)
        return passes, batches

    # proof

    def training_step(self, model, inputs, *args, **kwargs):
        """As usual, and watched until a batch with codes has been seen through (see `LoopProof`)."""
        if self.slung_loss is not None:
            self.slung_loss.reader.weight_factor = self.slung_loss.weight_schedule(self.state.global_step)
        if self._slung_batches >= _WATCHED_BATCHES or self._slung_proven:
            self._slung_strays += _strays(inputs)
            return super().training_step(model, inputs, *args, **kwargs)
        proof = LoopProof(self.slung_loss, inputs)
        result = super().training_step(model, inputs, *args, **kwargs)
        proof.conclude(self.accelerator.unwrap_model(model))
        self._slung_batches += 1
        self._slung_proven = proof.saw_codes
        return result

    # metrics

    def log(self, logs, *args, **kwargs):
        """Add the figures of the loss, summed over all ranks, whenever Axolotl logs a loss."""
        if self.slung_loss is not None and "loss" in logs:
            logs.update(self._slung_metrics("train"))
            if int(self._slung_strays):
                raise LoopError(_STRAYS)
        return super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args, **kwargs):
        """`eval_loss` is the mean over all trained tokens, rather than a mean of batch means."""
        if self.slung_loss is None:
            return super().evaluation_loop(*args, **kwargs)
        self.slung_loss.take("eval")
        output = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        figures = self._slung_metrics("eval")
        if f"{prefix}_loss" in output.metrics and "slung/nll_train" in figures:
            output.metrics[f"{prefix}_loss"] = figures["slung/nll_train"]
        output.metrics.update({f"{prefix}_{name}": value for name, value in figures.items()})
        return output

    def _slung_metrics(self, split):
        totals = self.slung_loss.take(split).to(self.args.device)
        if self.args.world_size > 1:
            totals = self.accelerator.reduce(totals, reduction="sum")
        return metrics(totals.cpu())


_WATCHED_BATCHES = 32
"""Watching asks the device for answers, so it ends after so many batches, though none of them had a code."""

_STRAYS = (
    "slung: labels do not decode to their token ids: something between the data set and the trainer rewrites them; look "
    "at the plugins and the collator of the config"
)


def _strays(inputs):
    """How many labels say another token than the input's, as a scalar tensor on its device."""
    labels, ids = inputs["labels"], inputs["input_ids"]
    named = torch.where(labels <= FIRST_CODE, decode(labels)[0], labels)
    return ((named != ids) & (labels != IGNORE)).sum()


class LoopProof:
    """Watches a training step, and stops the run if the selective loss had no part in it.

    Seen to hold before the first optimiser step: the model called the loss; the labels it was given are those of the
    batch, and decode to the batch's own token ids; masked and ignored targets got a gradient of exactly zero, and a
    target with a loss one that is not zero.
    """

    def __init__(self, loss: SelectiveCausalLMLoss | None, inputs):
        self.loss = loss
        labels = inputs["labels"]
        self.saw_codes = bool((labels <= FIRST_CODE).any())
        if loss is None:
            if self.saw_codes:
                raise LoopError(
                    "slung: the labels hold codes, and the config's fused loss reads only -100: the prepared data set "
                    "was made with other settings; run `axolotl preprocess` again"
                )
            return
        if _strays(inputs):
            raise LoopError(_STRAYS)
        self.calls_before = loss.calls
        self.expected = shifted(labels, inputs.get("shift_labels"))
        self.gradient_error: str | None = None
        loss.on_batch = self._watch

    def _watch(self, source, labels):
        if labels.shape != self.expected.shape or not torch.equal(labels, self.expected.to(labels.device)):
            self.gradient_error = "the model hands the loss other labels than the batch's"
            return
        kept = has_loss(self.loss.reader.read(labels.reshape(-1)).actions)

        def check(gradient):
            largest = gradient.reshape(-1, gradient.shape[-1]).abs().amax(-1)
            if (largest[~kept] != 0).any():
                self.gradient_error = "a masked target carries a gradient"
            elif kept.any() and not (largest[kept] != 0).any():
                self.gradient_error = "no target carries a gradient"

        if source.requires_grad:
            source.register_hook(check)

    def conclude(self, model):
        """Raise `LoopError` for what the first step showed."""
        if self.loss is None:
            return
        if self.loss.calls == self.calls_before:
            raise LoopError(f"slung: the model never called slung's loss: {_bypass(model)}")
        if self.gradient_error:
            raise LoopError(f"slung: {self.gradient_error}: {_bypass(model)}")


def _bypass(model) -> str:
    """Who computes the loss instead, and the mend."""
    while hasattr(model, "get_base_model"):
        model = model.get_base_model()
    forward = type(model).forward
    home = getattr(forward, "__module__", "")
    if "liger" in home:
        return "Liger's fused loss stands in its place; set liger_fused_linear_cross_entropy: false"
    if "cut_cross_entropy" in home:
        return "Cut Cross-Entropy stands in its place; set cut_cross_entropy: false"
    if "transformers_modules" in home:
        return "the model's remote code computes its own loss; use an architecture that Transformers has itself"
    return (
        f"{type(model).__name__}.forward ({home}) computes a loss of its own; use an architecture that calls "
        "`self.loss_function`, or take out the plugin that replaced its forward"
    )


def _loss_of(model) -> SelectiveCausalLMLoss | None:
    """The selective loss that the plugin put into the model, below any adapter."""
    while hasattr(model, "get_base_model"):
        model = model.get_base_model()
    loss = getattr(model, "_loss_function", None)
    return loss if isinstance(loss, SelectiveCausalLMLoss) else None
