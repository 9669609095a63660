"""Computes the fused loss inside a model's own forward: the head returns the loss in place of logits.

The head module is still called normally, so the hooks of ZeRO-3, FSDP and adapters gather its weight and reduce its
gradient. In training its `forward` computes the loss directly from the hidden states. The module then returns a zero
that carries the loss's gradient.

In the first batch the head returns a few real logits and a probe instead. They show what the model does to its logits
(a scale, a softcap). The gradient of the real logits is compared with that of the fused loss.
"""

# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false
# torch.compiler.disable is typed as a function, not as a method
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SlungError, get_logger
from .bend import Bend, of_config, probe, seen
from .counted import counted, indices_of, masks
from .intercept import intercept, plain_class
from .objectives import cross_entropy, unlikelihood
from .on_hidden_states import linear_log_odds, linear_selective_loss
from .on_logits import selective_loss
from .reader import LabelReader, Read, shifted

LOG = get_logger(__name__)

COMPARED = 64
"""The number of tokens of the first batch on which the fused and the plain loss are compared."""
WATCHED = 256
"""The most tokens without a loss per batch whose log-odds are computed, for the metrics."""


class _Differs(Exception):
    """The fused loss differs from the model's loss; the message says how."""


class _Again(Exception):
    """The model's scale and softcap are now known; the batch must be computed again with them."""


class _Carrier(torch.autograd.Function):
    """Returns a tensor whose gradient is passed on to a loss."""

    @staticmethod
    def forward(ctx, out, loss):
        ctx.dtype = loss.dtype
        return out.clone()

    @staticmethod
    def backward(ctx, grad):
        return None, grad.sum().to(ctx.dtype)


@dataclass
class FusedBatch:
    """The head's results for one batch.

    Attributes:
        read: the decoded labels.
        hidden: the head's input, `[batch, length, width]`.
        loss: the summed objective, differentiable.
        log_odds: `[tokens]`, NaN for tokens that were not computed.
        share: the number of tokens that each computed one stands for, float32 `[tokens]`; 0 for tokens that were not
            computed.
        compared: the real logits that the head returned, `[rows, vocabulary]`; None in all but the first batch.
    """

    read: Read
    hidden: Tensor
    loss: Tensor
    log_odds: Tensor
    share: Tensor
    compared: Tensor | None = None


@dataclass
class _Pass:
    """One forward pass of the model on labels.

    Attributes:
        labels: int64 `[batch, length]`, shifted.
        read: the labels, decoded.
        kept: int64, the indices of the tokens with a loss.
        silent: int64, the indices of the tokens that are only measured.
        batch: the head's results, until the loss takes them.
    """

    labels: Tensor
    read: Read
    kept: Tensor
    silent: Tensor
    batch: FusedBatch | None = None


class FusedHead:
    """Puts the fused loss into a causal language model.

    Args:
        model: a model of Transformers, below any adapter.
        reader: decodes its labels.

    Attributes:
        off: the reason why the loss works on logits instead, or None.
        bend: the scale and softcap that the model applies to its logits.
    """

    def __init__(self, model, reader: LabelReader):
        self.reader = reader
        self.off: str | None = None
        self.head, why = _plain_linear(model.get_output_embeddings())
        self.config = model.config.get_text_config()
        self.bend: Bend = of_config(self.config)
        self._compared = False
        self._pass: _Pass | None = None
        self._hook = None
        if why:
            self._fall_back(why)
            return
        intercept(self.head, self._around_head)

    def take(self, logits: torch.Tensor | None) -> FusedBatch | None:
        """The head's results for the current batch; None if it computed none.

        Args:
            logits: the logits that the model passes to its loss. In the first batch these are the few real ones.

        Raises:
            _Differs, _Again: handled by `around_model`, a few calls up.
        """
        if self._pass is None:
            return None
        batch, self._pass.batch = self._pass.batch, None
        if batch is None:
            self._fall_back("the model calls another head than its output embeddings")
        elif batch.compared is not None:
            self._compare(logits, batch.compared)
        return batch

    # the model

    @functools.partial(torch.compiler.disable, recursive=False)
    def around_model(self, forward: Callable, *args, labels: torch.Tensor, **kwargs) -> Any:
        """Run the model's forward on labels, with the loss in its head if possible."""
        if self.off or not torch.is_grad_enabled() or not self.head.training:
            return forward(*args, labels=labels, **kwargs)
        why = again = None
        self._pass = self._begin(labels, kwargs.get("shift_labels"))
        try:
            output = forward(*args, labels=labels, **kwargs)
            if self._pass.batch:
                why = "the model's forward bypasses the loss"
        except _Differs as differs:
            why = str(differs)
        except _Again:
            again = True
        except Exception as error:
            if self._pass.batch is None or self._compared or _is_of_the_machine(error):
                raise
            # for example a forward that relies on the logits' shape
            why = "the model's forward bypasses the loss"
        finally:
            self._pass = None
        if again:
            return self.around_model(forward, *args, labels=labels, **kwargs)
        if why:
            if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                # other ranks may not have noticed, and would wait for this one
                raise SlungError(f"slung: {why}; set `slung.fused: false`")
            self._fall_back(why)
            return forward(*args, labels=labels, **kwargs)
        if getattr(output, "logits", None) is not None:
            output.logits = None  # the head's output is not logits; do not pass it on
        return output

    @torch.compiler.disable
    def _begin(self, labels: Tensor, shift_labels: Tensor | None) -> _Pass:
        if self._hook is None:
            # registered late, so that it runs after the hooks of ZeRO-3 and FSDP, which must see the gradient
            self._hook = self.head.register_forward_hook(self._carry)
        aligned = shifted(labels, shift_labels)
        read = self.reader.read(aligned.reshape(-1))
        number = counted(labels if shift_labels is None else shift_labels, read, self.head.out_features)
        if number.outside:
            raise IndexError(f"slung: labels: a token id is out of bounds for the head's {self.head.out_features} rows")
        kept, silent = masks(read)
        return _Pass(aligned, read, indices_of(kept, number.kept), indices_of(silent, number.silent))

    def _fall_back(self, why):
        self.off = why
        LOG.warning("slung: %s, so the loss works on logits, which takes more memory", why)

    # the head

    @torch.compiler.disable
    def _around_head(self, head, forward, hidden):
        current = self._pass
        if current is None:
            return forward(hidden)
        labels = current.labels
        if hidden.shape[:-1] != labels.shape:
            raise _Differs(
                f"the head works on {list(hidden.shape[:-1])} positions, and the labels have {list(labels.shape)}"
            )
        batch = current.batch = self._fused(hidden, current)
        if self._compared:
            out = hidden.new_zeros(1, 1, 1, dtype=batch.loss.dtype)
        else:
            batch.compared = self._let_out(forward, hidden.detach().reshape(-1, hidden.shape[-1]), batch.read.targets)
            out = batch.compared[None]
        return _Carrier.apply(out, batch.loss)

    def _fused(self, hidden: Tensor, current: _Pass) -> FusedBatch:
        read = self.reader.with_hold(current.read.to(hidden.device))
        flat, kept = hidden.reshape(-1, hidden.shape[-1]), current.kept.to(hidden.device)
        loss, log_odds = linear_selective_loss(
            flat, targets=read.targets, actions=read.actions, kept=kept, **self._projection()
        )
        share = torch.zeros_like(log_odds)
        share[kept] = 1
        if len(current.silent):
            some = _spread(current.silent.to(hidden.device), WATCHED)
            log_odds[some] = linear_log_odds(flat[some], targets=read.targets[some], **self._projection()).to(
                log_odds.dtype
            )
            share[some] = len(current.silent) / len(some)
        return FusedBatch(read, hidden, loss, log_odds, share)

    def _projection(self):
        return {
            "weight": self.head.weight,
            "bias": self.head.bias,
            "logit_scale": self.bend.scale,
            "softcap": self.bend.softcap,
        }

    @torch.compiler.disable
    def _carry(self, _module, _args, output):
        """Tie the loss's gradient to the module's output, after all other hooks have changed it."""
        batch = None if self._pass is None else self._pass.batch
        if batch is not None:
            carrier = output.flatten()[0]
            batch.loss = batch.loss.detach() + (carrier - carrier.detach())

    # the first batch

    def _let_out(self, forward, hidden: Tensor, targets: Tensor) -> Tensor:
        """Logits of a few tokens from the head's own forward, and a probe.

        Args:
            forward: the head's own forward.
            hidden: `[tokens, width]`, detached.
            targets: int64 `[tokens]`.

        Returns:
            `[rows, vocabulary]`, float32 (float64 for float64 logits); the last row is the probe.

        Raises:
            _Differs: the fused loss gives a different gradient or different probabilities for these tokens.
        """
        rows = _spread(torch.arange(len(hidden), device=hidden.device), COMPARED)
        targets, ones = targets[rows], torch.ones(len(rows), device=hidden.device)
        actions = {cross_entropy: ones, unlikelihood: ones}
        plain, fused = (hidden[rows].requires_grad_() for _ in range(2))
        logits = forward(plain)
        wide = torch.promote_types(logits.dtype, torch.float32)
        losses, own = selective_loss(self.bend(logits.to(wide)), targets, actions)
        (expected,) = torch.autograd.grad(losses.sum(), plain)
        projection = {key: x.detach() if isinstance(x, Tensor) else x for key, x in self._projection().items()}
        loss, log_odds = linear_selective_loss(fused, targets=targets, actions=actions, **projection)
        (found,) = torch.autograd.grad(loss, fused)
        tolerance = _tolerance(logits.dtype)
        if (expected - found).float().norm() > tolerance * expected.float().norm():
            raise _Differs("the gradient of the fused loss differs from that of the model's logits")
        if ((own - log_odds).abs() > tolerance * (1 + own.abs())).any():
            raise _Differs("the probabilities of the fused loss differ from those of the model's logits")
        # a model in half precision may round when it changes them
        return torch.cat([logits.detach(), probe(logits.shape[-1], logits.dtype, logits.device)[None]]).to(wide)

    def _compare(self, logits, let_out):
        """Find out what the model did to the real logits, and remember it."""
        if logits.shape[-1] != let_out.shape[-1] or logits.numel() != let_out.numel():
            raise _Differs("the model passes its loss other positions or tokens than its head returns")
        bend = seen(let_out, logits.detach().reshape(let_out.shape), self.bend, self.config)
        if bend is None:
            raise _Differs("the model changes its logits in a way that the fused loss does not support")
        if bend != self.bend:
            LOG.info("slung: the model multiplies its logits by %g, softcap %s", *bend)
            self.bend = bend
            raise _Again
        self._compared = True


def _spread(rows, most: int):
    """At most `most` of `rows`, evenly spread."""
    return rows[:: max(1, -(-len(rows) // most))]


def _is_of_the_machine(error) -> bool:
    """Whether memory or a device failed; working on logits would not help then."""
    kinds = (MemoryError, torch.OutOfMemoryError, getattr(torch, "AcceleratorError", MemoryError))
    said = str(error)
    signs = ("out of memory", "can't allocate memory", "CUDA error", "CUDNN_", "CUBLAS_")
    return isinstance(error, kinds) or any(sign in said for sign in signs)


def _tolerance(dtype) -> float:
    """The relative tolerance. Products of numbers with eight bits give logits that are right to about 1 %."""
    return 0.1 if dtype in (torch.bfloat16, torch.float16) else 1e-2


def _plain_linear(head) -> tuple[nn.Linear | None, str | None]:
    """The linear layer of a head, or the reason why it has none."""
    if hasattr(head, "modules_to_save") and hasattr(head, "active_adapters"):
        # PEFT trains and calls a copy of the head
        copies = [head.modules_to_save[name] for name in head.active_adapters if name in head.modules_to_save]
        head = copies[0] if len(copies) == 1 else head
    if plain_class(head) is nn.Linear:
        return head, None
    return None, f"the model's head is {type(head).__module__}.{type(head).__name__}, not a plain nn.Linear"
