"""Checks that nothing trains masked tokens: a micro-batch with only masked labels must leave no gradient."""

from __future__ import annotations

import contextlib
import copy
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import DistributedType

from ...labels.codec import FIRST_CODE, IGNORE, MAX_BUCKETS, decode, encode
from ...loss.reader import MASKED
from . import LoopError
from .culprits import other_loss, replaced
from .gradients import LoopProof, gradient_of


class Silence:
    """Runs masked micro-batches through a trainer, on the same path as real ones.

    Args:
        trainer: a `SlungTrainerMixin`.
        watch: its `LossWatch`.

    Attributes:
        running: whether a masked micro-batch is running.
        without_auxiliary: whether the check left out the auxiliary loss of a mixture of experts, which trains routers.
    """

    def __init__(self, trainer: Any, watch: Any):
        self.running = self.without_auxiliary = False
        self._trainer, self._watch = trainer, watch

    def cannot(self) -> str | None:
        """Why this run's gradients cannot be checked, or None."""
        optimizer = str(getattr(self._trainer.args.optim, "value", self._trainer.args.optim))
        if "layerwise" in optimizer or "lomo" in optimizer:
            return f"the optimizer {optimizer} steps during the backward pass"
        return None

    def buckets(self) -> list[int | None]:
        """The buckets whose codes the micro-batches hold. None comes first: labels of only -100, for any loss."""
        bucket = None if self._trainer.slung_loss is None else _masked_bucket(self._trainer.slung_loss.reader)
        return [None] if bucket is None else [None, bucket]

    def check(self, model: torch.nn.Module, inputs: dict, *args, **kwargs) -> None:
        """Raise `LoopError` if a masked micro-batch leaves a gradient.

        Args:
            model: as the trainer wraps it.
            inputs: a batch.
            *args: further arguments of `training_step`.
            **kwargs: its keyword arguments.
        """
        loss = self._trainer.slung_loss
        for bucket in self.buckets():
            calls = 0 if loss is None else loss.calls
            found = self._gradients(model, self._silent(inputs, bucket), *args, **kwargs)
            if loss is not None and found.calls == calls:
                raise LoopError(f"slung: the model never called slung's loss: {other_loss(self._trainer.model)}")
            if found.error:
                raise LoopError(f"slung: {found.error}: {other_loss(self._trainer.model)}")
            if found.names:
                more = f" and {len(found.names) - 1} other parameters" if len(found.names) > 1 else ""
                raise LoopError(
                    f"slung: a micro-batch whose labels are all {IGNORE if bucket is None else 'masked'} leaves a "
                    f"gradient on {found.names[0]}{more}, so something besides slung's loss trains it: "
                    f"{replaced(self._trainer)}"
                )

    def _silent(self, inputs, bucket):
        """The batch with every label -100 or, if a bucket is given, with its codes for all labels except -100."""
        silent = dict(inputs)
        for key in ("labels", "shift_labels"):
            if key not in silent:
                continue
            labels = silent[key]
            made = torch.full_like(labels, IGNORE)
            if bucket is not None:
                named = torch.where(labels <= FIRST_CODE, decode(labels)[0], labels)
                # tokens that Axolotl ignores stay ignored
                made = torch.where(labels == IGNORE, IGNORE, code_of(named.clamp(min=0), bucket))
            silent[key] = made
        return silent

    def _gradients(self, model, inputs, *args, **kwargs):
        trainer, loss = self._trainer, self._trainer.slung_loss
        named = [(name, p) for name, p in trainer.accelerator.unwrap_model(model).named_parameters() if p.requires_grad]
        sharded = trainer.is_fsdp_enabled
        largest: dict[str, torch.Tensor] = {}

        def note(name, gradient):
            largest[name] = (
                torch.maximum(largest[name], gradient_of(gradient)) if name in largest else gradient_of(gradient)
            )

        with self._nothing_stays(model, named):
            proof = None if loss is None else LoopProof(loss)
            # FSDP's sharded parameters only get the reduced gradient
            hooks = [] if sharded else [p.register_hook(lambda g, name=name: note(name, g)) for name, p in named]
            try:
                with self._without_reducing(model):
                    trainer.training_step(model, inputs, *args, **kwargs)
                if sharded:
                    for name, parameter in named:
                        if parameter.grad is not None:
                            note(name, parameter.grad)
            finally:
                for hook in hooks:
                    hook.remove()
            calls = 0 if loss is None else loss.calls
        sizes = torch.stack([size.cpu() for size in largest.values()]).tolist() if largest else []
        return _Found([name for name, size in zip(largest, sizes) if size != 0], calls, proof and proof.error)

    @contextlib.contextmanager
    def _without_reducing(self, model):
        """Ranks do not wait for each other, and DeepSpeed does not step. FSDP still reduces, on all ranks."""
        trainer = self._trainer
        state = trainer.accelerator.gradient_state
        syncs = state.sync_gradients
        ddp = isinstance(model, torch.nn.parallel.DistributedDataParallel)
        try:
            if trainer.accelerator.distributed_type == DistributedType.DEEPSPEED:
                state._set_sync_gradients(False)
            with model.no_sync() if ddp else contextlib.nullcontext():
                yield
        finally:
            state._set_sync_gradients(syncs)

    @contextlib.contextmanager
    def _nothing_stays(self, model, named):
        trainer, loss, watch = self._trainer, self._trainer.slung_loss, self._watch
        modules = list(model.modules())
        modes = [module.training for module in modules]
        buffers = [(m, n, b, b.clone()) for m in modules for n, b in m._buffers.items() if b is not None]
        configs = {id(module.config): module.config for module in modules if hasattr(module, "config")}.values()
        routed = [config for config in configs if getattr(config, "output_router_logits", None) is True]
        self.without_auxiliary |= bool(routed)
        deepspeed = trainer.accelerator.distributed_type == DistributedType.DEEPSPEED  # it keeps its own gradients
        without = [parameter for _, parameter in named if parameter.grad is None and not deepspeed]
        metrics = copy.deepcopy(trainer._stored_metrics)
        counts_tokens = trainer.args.include_tkps
        kept = None if loss is None else (loss.calls, dict(loss.totals), loss.divisor, loss.on_batch)
        digest, parts = watch.digest, watch.parts
        numbers = random.getstate(), np.random.get_state()
        device = trainer.args.device
        self.running, trainer.args.include_tkps = True, False
        for config in routed:
            config.output_router_logits = False
        watch.begin(None)
        if loss is not None:
            loss.on_batch = None
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                yield
        finally:
            self.running = False
            for config in routed:
                config.output_router_logits = True
            watch.begin(digest, parts)
            trainer.args.include_tkps, trainer._stored_metrics = counts_tokens, metrics
            random.setstate(numbers[0])
            np.random.set_state(numbers[1])
            if kept is not None:
                loss.calls, loss.totals, loss.divisor, loss.on_batch = kept
            for parameter in without:
                parameter.grad = None
            with torch.no_grad():
                for module, name, buffer, value in buffers:
                    buffer.copy_(value)
                    module._buffers[name] = buffer
            for module, mode in zip(modules, modes):
                module.training = mode


@dataclass
class _Found:
    names: list[str]
    calls: int
    error: str | None


def code_of(ids: Any, bucket: int) -> Any:
    """Codes of a bucket with score 0 for token ids: int64 of any shape, on any device."""
    first, second = map(int, encode([0, 1], [bucket] * 2, [0.0] * 2))
    return first + ids * (second - first)


def _masked_bucket(reader) -> int | None:
    """A bucket whose codes are masked tokens, or None."""
    codes = torch.as_tensor(encode([0] * MAX_BUCKETS, range(MAX_BUCKETS), [0.0] * MAX_BUCKETS))
    return next((bucket for bucket, is_masked in enumerate(masked(codes, reader).tolist()) if is_masked), None)


def masked(labels: torch.Tensor, reader: Any) -> torch.Tensor:
    """Which labels are codes of tokens without a loss, bool of the labels' shape. Weight schedules do not matter."""
    group = reader.read(labels.reshape(-1)).group.reshape(labels.shape)
    return (labels <= FIRST_CODE) & (group == MASKED)
