"""The trainer mixin: the divisor of the loss, the logged metrics, and the check that the loss is in the loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, IterableDataset
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from ..errors import SlungError, get_logger
from ..labels.codec import FIRST_CODE, IGNORE
from ..loss.causal_lm import SelectiveCausalLMLoss, metrics
from ..loss.reader import shifted
from .loop import LoopError
from .loop.batches import DIGEST, WatchedCollator, check_rows
from .loop.culprits import base_of, collator_name, other_loss, replaced
from .loop.gradients import Backwards, LoopProof
from .loop.losses import LossWatch
from .loop.silence import Silence, masked

LOG = get_logger(__name__)


class SlungTrainerMixin:
    """A base class that goes before Axolotl's trainer class.

    Attributes:
        slung_loss: the loss in the model, or None with a fused loss that reads only -100.
        slung_watch: watches the labels that reach the loss, and scales the losses that the model adds.
        slung_silence: runs masked micro-batches, and checks that they leave no gradient.
    """

    slung_loss: SelectiveCausalLMLoss | None = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.slung_loss = _loss_of(self.model)
        if self.slung_loss is not None:
            if self.args.n_gpu > 1:
                raise SlungError(
                    f"slung: one process uses {self.args.n_gpu} GPUs, but the loss counts tokens per process; "
                    "start one process per GPU, as `axolotl train` does"
                )
            # the count below now reaches the loss; otherwise Axolotl averages the micro-batch means
            self.model_accepts_loss_kwargs = True
        self.slung_watch = LossWatch(self.slung_loss)
        self.slung_silence = Silence(self, self.slung_watch)
        self._slung_backwards: Backwards | None = None
        self._slung_batches = 0
        self._slung_proven = self.slung_loss is None
        self._slung_checked_at: int | None = None
        self._slung_starts_step = False
        self._slung_coded_rows = 0.0
        self._slung_first_epoch: float | None = None
        self._slung_codes = 0  # of this rank's batches so far, on the device
        self.model.register_forward_hook(self.slung_watch.settle)
        if self.slung_loss is None:
            self.model.register_forward_pre_hook(_TellLabels(self.slung_watch), with_kwargs=True)

    @property
    def checks_silence(self) -> bool:
        """Whether the current micro-batch is a masked one, run to check that it leaves no gradient."""
        return self.slung_silence.running

    # the normalizer

    def get_batch_samples(self, *args, **kwargs) -> Any:
        """The batches of one optimizer step, and the number of tokens on all ranks by which their loss is divided."""
        batches, count = super().get_batch_samples(*args, **kwargs)
        self._slung_starts_step = True
        if self._slung_backwards is None:
            self._slung_backwards = Backwards(self.model)
        if self.slung_loss is None or not batches or "labels" not in batches[0]:
            return batches, count
        loss = self.slung_loss
        loss.reader.weight_factor = loss.weight_schedule(self.state.global_step)
        loss.count_ahead(batches)
        count = sum(
            loss.reader.count(shifted(b["labels"], b.get("shift_labels")), loss.normalize_by) for b in batches
        ).to(self.args.device)
        if self.args.world_size > 1:
            count = self.accelerator.gather(count).sum()
        return batches, count

    # streams

    def _init_training_state(
        self, max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
    ):
        """Where to resume: the pass over the data, and its number of finished batches.

        Transformers treats a stream as endless, and would look for a batch of the second pass in the first one.
        """
        passes, batches = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        streamed = isinstance(self.train_dataset, IterableDataset)
        if not streamed or resume_from_checkpoint is None or self.args.ignore_data_skip:
            return passes, batches
        saved = TrainerState.load_from_json(str(Path(resume_from_checkpoint, TRAINER_STATE_NAME)))
        # `epoch` is the number of finished passes plus a fraction in (0, 1]: this pass's batches, divided by all
        # batches of `max_steps`
        passes = math.ceil(saved.epoch) - 1
        batches = round((saved.epoch - passes) * saved.max_steps * self.args.gradient_accumulation_steps)
        return passes, batches

    # proof

    def get_train_dataloader(self) -> DataLoader:
        """As usual, but each batch is compared with its rows."""
        if isinstance(self.train_dataset, Dataset) and "labels" in self.train_dataset.column_names:
            self._slung_coded_rows = check_rows(self.train_dataset, "the training data")
        return self._slung_watched(super().get_train_dataloader(), digest=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """As usual, but each batch is compared with its rows."""
        return self._slung_watched(super().get_eval_dataloader(eval_dataset))

    def _slung_watched(self, loader, digest=False):
        inner = getattr(loader, "base_dataloader", loader)  # Accelerate's loader wraps torch's
        if not isinstance(inner.collate_fn, WatchedCollator):
            name, pad = collator_name(inner.collate_fn), getattr(self.processing_class, "pad_token_id", None)
            inner.collate_fn = WatchedCollator(inner.collate_fn, name, pad, self.slung_loss is not None, digest)
        return loader

    def train(self, *args, **kwargs) -> Any:
        """As usual. Raises `LoopError` if labels did not reach the loss by the end."""
        try:
            result = super().train(*args, **kwargs)
        finally:
            if self._slung_backwards is not None:
                self._slung_backwards.end()
                self._slung_backwards = None
        self._slung_stop_for_strays(wait=True)
        self._slung_stop_without_codes()
        return result

    def _slung_stop_without_codes(self):
        if not self._slung_coded_rows or self._slung_first_epoch is None or int(self._slung_codes):
            return
        passes = self.state.epoch - self._slung_first_epoch
        expected = self._slung_coded_rows * len(self.train_dataset) * passes / self.args.world_size
        # that many random rows without codes are not chance; in the data's own order, the first rows may have none
        if expected > 20 and (passes >= 1 or not self.args.curriculum_sampling):
            raise LoopError(
                "slung: rows of the training data have codes, but no batch had any: something selects other rows; "
                "check the plugins in the config"
            )

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None, *args, **kwargs
    ) -> torch.Tensor:
        """As usual, but checked; see `loop`."""
        arguments = (num_items_in_batch, *args)
        loss, watch = self.slung_loss, self.slung_watch
        if loss is not None:
            loss.reader.weight_factor = loss.weight_schedule(self.state.global_step)
            loss.divisor = num_items_in_batch
        if self.checks_silence:
            return super().training_step(model, inputs, *arguments, **kwargs)
        digest = inputs.pop(DIGEST, None)
        if digest is None:
            raise LoopError(
                f"slung: the run's collator did not make this batch, so its labels cannot be checked: {replaced(self)}"
            )
        if self._slung_first_epoch is None:
            self._slung_first_epoch = self.state.epoch or 0.0
        self._slung_codes = self._slung_codes + digest[:, 1].sum()
        self._slung_before_step(model, inputs, *arguments, **kwargs)
        watch.begin(digest, self.current_gradient_accumulation_steps * self.args.world_size)
        proof = None
        if not self._slung_proven and self._slung_batches < _WATCHED_BATCHES:
            proof = LoopProof(loss)
            codes = bool(digest[:, 1].any())
        calls = 0 if loss is None else loss.calls
        self._slung_backwards.inside = True
        try:
            result = super().training_step(model, inputs, *arguments, **kwargs)
        finally:
            self._slung_backwards.inside = False
        self._slung_batches += 1
        if loss is not None and loss.calls == calls:
            raise LoopError(f"slung: the model never called slung's loss: {other_loss(self.model)}")
        if watch.unsettled:
            raise LoopError(f"slung: the loss bypassed the output of the model's forward: {replaced(self)}")
        self._slung_stop_for_strays(wait=proof is not None)
        if proof is not None:
            if proof.error:
                raise LoopError(f"slung: {proof.error}: {other_loss(self.model)}")
            self._slung_proven = codes and proof.seen
        return result

    def _slung_before_step(self, model, inputs, *args, **kwargs):
        starts, self._slung_starts_step = self._slung_starts_step, False
        step, first = self.state.global_step, self._slung_checked_at is None
        if first and not starts:
            raise LoopError(f"slung: slung did not count the tokens of this step's batches: {replaced(self)}")
        if not starts or step == self._slung_checked_at:
            return
        if self.is_fsdp_enabled and any(p.grad is not None for p in self.model.parameters()):
            raise LoopError(
                f"slung: parameters have gradients before the first micro-batch of a step: {replaced(self)}"
            )
        if not first and step not in _CHECKED_STEPS:
            return
        why = self.slung_silence.cannot()
        if why is None:
            self._slung_backwards.inside = True
            try:
                self.slung_silence.check(model, inputs, *args, **kwargs)
            finally:
                self._slung_backwards.inside = False
        self._slung_checked_at = step
        if first:
            if why:
                LOG.warning("slung: cannot check that nothing else trains masked tokens: %s", why)
            else:
                LOG.info("slung: micro-batches of masked tokens leave no gradient")
            if self.slung_silence.without_auxiliary:
                LOG.info("slung: that check leaves out the auxiliary loss of the mixture of experts")
            if self.is_fsdp_enabled:
                LOG.info(
                    "slung: under FSDP, a callback's backward pass is detected when the next step starts, or not at all"
                )

    def _slung_stop_for_strays(self, wait):
        if self.slung_watch.differ(wait):
            raise LoopError(f"slung: the labels at the loss differ from those that the collator made: {replaced(self)}")

    # metrics of other packages

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *args, **kwargs) -> Any:
        """As usual, but Axolotl 0.19 does not count masked tokens as trainable."""
        counts = self.args.include_tkps and model.training and not hasattr(super(), "_accumulate_token_counts")
        uncounted = self._slung_masked(inputs) if counts else None
        result = super().compute_loss(model, inputs, *args, **kwargs)
        if uncounted is not None:
            self.state.tokens["trainable"] = self.state.tokens["trainable"] - uncounted
        return result

    def _slung_masked(self, inputs):
        """The number of masked tokens in all ranks' batches, on the host, where Axolotl keeps its own count."""
        number = (_trainable(inputs["labels"], self.slung_loss) != inputs["labels"]).sum()
        if self.args.world_size > 1:
            torch.distributed.all_reduce(number)
        return number.cpu()

    def _accumulate_token_counts(self, inputs):
        """As usual, but Axolotl 0.21 does not count masked tokens as trainable."""
        super()._accumulate_token_counts({**inputs, "labels": _trainable(inputs["labels"], self.slung_loss)})

    def prediction_step(self, *args, **kwargs) -> Any:
        """As usual, but other packages' metrics get only token ids and -100 as labels."""
        loss, logits, labels = super().prediction_step(*args, **kwargs)
        if isinstance(labels, torch.Tensor):
            labels = torch.where(labels <= FIRST_CODE, IGNORE, labels)
        return loss, logits, labels

    # metrics

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        """Add the loss's metrics, summed over all ranks, whenever Axolotl logs a loss."""
        if self.slung_loss is not None and "loss" in logs:
            logs.update(self._slung_metrics("train"))
        self._slung_stop_for_strays(wait="loss" in logs)
        return super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args, **kwargs) -> Any:
        """As usual, but `eval_loss` is the mean over all trained tokens, not a mean of batch means."""
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
"""Gradients are watched for at most this many batches, even if none had a code: watching waits for the device."""

_CHECKED_STEPS = {10**power for power in range(1, 10)}
"""Masked micro-batches must leave no gradient before these optimizer steps, and before the first."""


class _TellLabels:
    """A forward pre-hook that passes the labels to the watch, for models with a fused loss."""

    def __init__(self, watch):
        self._watch = watch

    def __call__(self, _module, _args, kwargs):
        if torch.is_grad_enabled() and kwargs.get("labels") is not None:
            self._watch.labels(shifted(kwargs["labels"], kwargs.get("shift_labels")))


def _trainable(labels, loss: SelectiveCausalLMLoss | None):
    """Labels with -100 for masked tokens."""
    if loss is None:
        return labels
    return torch.where(masked(labels, loss.reader), IGNORE, labels)


def _loss_of(model) -> SelectiveCausalLMLoss | None:
    """The selective loss that the plugin put into the model, below any adapter."""
    loss = getattr(base_of(model), "_loss_function", None)
    return loss if isinstance(loss, SelectiveCausalLMLoss) else None
