"""The fused loss inside a model's own forward: the head hands over the loss in place of logits.

The head module is called as ever, so that ZeRO-3, FSDP and adapters gather its weight and reduce its gradient by their own
hooks. In training its `forward` computes the loss straight from the hidden states, and what comes out of the module is a
zero that carries the loss's gradient. The first batch lets a few real logits out, to compare what the model does with them
(a scale, a softcap) and what gradient they give with the same of the fused loss.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import SlungError
from .linear import compute_dtype, linear_log_odds, linear_selective_loss
from .objectives import cross_entropy, has_loss, unlikelihood
from .reader import IGNORED, LabelReader, Read, shifted
from .selective import selective_loss

LOG = logging.getLogger(__name__)

COMPARED = 64
"""Tokens of the first batch on which fused and plain loss are compared."""
WATCHED = 256
"""Tokens without a loss, a batch, of which at most the log-odds are computed, for the metrics."""


class _Differs(Exception):
    """The fused loss does not do what the model does; the message says in what."""


@dataclass
class FusedBatch:
    """What the head computed of one batch.

    Attributes:
        read: the labels.
        hidden: the head's input, `[batch, length, width]`.
        loss: the summed objective, differentiable.
        log_odds: `[tokens]`, NaN where they were not computed.
        share: for how many tokens each computed one stands, float32 `[tokens]`.
        compared: the tokens whose logits were let out, int64, and the fused loss's log-odds of them, to be compared; None
            in all but the first batch.
    """

    read: Read
    hidden: Tensor
    loss: Tensor
    log_odds: Tensor
    share: Tensor
    compared: tuple[Tensor, Tensor] | None = None


class FusedHead:
    """Puts the fused loss into a causal language model.

    Args:
        model: of Transformers, below any adapter.
        reader: how its labels decode.

    Attributes:
        off: why the loss works on logits after all, or None.
        scale, softcap: what the model does to its logits, by its config.
    """

    def __init__(self, model, reader: LabelReader):
        self.reader = reader
        self.off: str | None = None
        self.head, why = _plain_linear(model.get_output_embeddings())
        self.scale, self.softcap = _after_the_head(model.config.get_text_config())
        self._compared = False
        # of the batch under way: its labels, shifted, and which tokens have a loss, and which are only watched
        self._labels = self._kept = self._silent = None
        self._batch: FusedBatch | None = None
        self._hook = None
        if why:
            self._fall_back(why)
            return
        model.forward = self._model_forward(model.forward)
        self.head.forward = self._head_forward(self.head.forward)

    def take(self, logits) -> FusedBatch | None:
        """What the head computed for the batch at hand; None where it did not.

        Args:
            logits: those that the model hands to its loss; only of the tokens to be compared, in the first batch.

        Raises:
            _Differs: which the model's forward, a few calls up, turns into a plain loss.
        """
        batch, self._batch = self._batch, None
        if batch is None and self._labels is not None:
            self._fall_back("the model calls another head than its output embeddings")
        if batch is not None and batch.compared is not None:
            self._compare_log_odds(logits, batch)
        return batch

    # the model

    def _model_forward(self, forward):
        @functools.wraps(forward)
        @functools.partial(torch.compiler.disable, recursive=False)
        def with_fused_head(*args, labels=None, **kwargs):
            if self.off or labels is None or not torch.is_grad_enabled() or not self.head.training:
                return forward(*args, labels=labels, **kwargs)
            self._begin(labels, kwargs.get("shift_labels"))
            try:
                output = forward(*args, labels=labels, **kwargs)
                why = "the model's forward passes the loss by" if self._batch else None
            except _Differs as differs:
                why = str(differs)
            except Exception:
                # such as a forward with a loss of its own, over what came out of the head
                if self._batch is None:
                    raise
                why = "the model's forward passes the loss by"
            finally:
                self._labels = self._kept = self._silent = self._batch = None
            if why:
                if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
                    # the other ranks may not have noticed, and would wait for this one
                    raise SlungError(f"slung: {why}; set `slung.fused: false`")
                self._fall_back(why)
                return forward(*args, labels=labels, **kwargs)
            if getattr(output, "logits", None) is not None:
                output.logits = None  # nobody shall take what came out of the head for logits
            return output

        return with_fused_head

    @torch.compiler.disable
    def _begin(self, labels, shift_labels):
        if self._hook is None:
            # only now, so that it comes after the hooks of ZeRO-3 and FSDP, whose gradients have to pass through
            self._hook = self.head.register_forward_hook(self._carry)
        self._labels = shifted(labels, shift_labels)
        read = self.reader.read(self._labels.reshape(-1))
        kept = has_loss(read.actions)
        # the host waits for the device to hear which tokens these are: here, where it is not yet busy with the model
        self._kept = kept.nonzero()[:, 0]
        self._silent = (~kept & (read.group != IGNORED)).nonzero()[:, 0]

    def _fall_back(self, why):
        self.off = why
        LOG.warning("slung: %s, so the loss works on logits, which takes more memory", why)

    # the head

    def _head_forward(self, forward):
        @functools.wraps(forward)
        @torch.compiler.disable
        def head(hidden):
            labels = self._labels
            if labels is None:
                return forward(hidden)
            if hidden.shape[:-1] != labels.shape:
                raise _Differs(f"the head works on {list(hidden.shape[:-1])} positions, and the labels have {list(labels.shape)}")
            self._batch = self._fused(hidden, self.reader.read(labels.reshape(-1).to(hidden.device)))
            out = hidden.new_zeros(1, 1, 1, dtype=torch.float32)
            if not self._compared:
                out = self._begin_comparison(forward, hidden.detach().reshape(-1, hidden.shape[-1]))
            # of the loss's gradient, and of its value nothing
            return out + (self._batch.loss - self._batch.loss.detach())

        return head

    def _fused(self, hidden, read: Read) -> FusedBatch:
        flat, kept = hidden.reshape(-1, hidden.shape[-1]), self._kept.to(hidden.device)
        loss, log_odds = linear_selective_loss(flat, targets=read.targets, actions=read.actions, kept=kept, **self._projection())
        share = torch.ones_like(log_odds)
        if len(self._silent):
            some = _spread(self._silent.to(hidden.device), WATCHED)
            log_odds[some] = linear_log_odds(flat[some], targets=read.targets[some], **self._projection()).to(log_odds.dtype)
            share[some] = len(self._silent) / len(some)
        return FusedBatch(read, hidden, loss, log_odds, share)

    def _projection(self):
        return {"weight": self.head.weight, "bias": self.head.bias, "logit_scale": self.scale, "softcap": self.softcap}

    @torch.compiler.disable
    def _carry(self, _module, _args, output):
        """Take the loss's gradient from what left the module, when all other hooks have had it."""
        if self._batch is not None:
            carrier = output.flatten()[0]
            self._batch.loss = self._batch.loss.detach() + (carrier - carrier.detach())

    # the first batch

    def _begin_comparison(self, forward, hidden):
        """Logits of a few tokens by the head's own forward, and the gradient of its input by both ways.

        Args:
            hidden: `[tokens, width]`, detached.

        Returns:
            float32 `[1, compared, vocabulary]`.

        Raises:
            _Differs: the two gradients differ.
        """
        rows = _spread(torch.arange(len(hidden), device=hidden.device), COMPARED)
        targets, ones = self._batch.read.targets[rows], torch.ones(len(rows), device=hidden.device)
        actions = {cross_entropy: ones, unlikelihood: ones}
        plain, fused = (hidden[rows].requires_grad_() for _ in range(2))
        logits = forward(plain)
        shaped = logits.float() * self.scale
        shaped = shaped if self.softcap is None else torch.tanh(shaped / self.softcap) * self.softcap
        (expected,) = torch.autograd.grad(selective_loss(shaped, targets, actions)[0].sum(), plain)
        projection = {key: x.detach() if isinstance(x, Tensor) else x for key, x in self._projection().items()}
        loss, log_odds = linear_selective_loss(fused, targets=targets, actions=actions, **projection)
        (found,) = torch.autograd.grad(loss, fused)
        if (expected - found).float().norm() > _tolerance(logits.dtype) * expected.float().norm():
            raise _Differs("the fused loss gives another gradient than the model's logits")
        self._batch.compared = rows, log_odds
        return logits.detach().float()[None]

    def _compare_log_odds(self, logits, batch: FusedBatch):
        self._compared = True
        rows, ours = batch.compared
        ones = torch.ones(len(rows), device=logits.device)
        own = selective_loss(logits.detach().reshape(len(rows), -1), batch.read.targets[rows], {cross_entropy: ones})[1]
        tolerance = _tolerance(compute_dtype(self.head.weight))
        if ((own - ours).abs() > tolerance * (1 + own.abs())).any():
            raise _Differs("the model does something to its logits that the fused loss does not know")


def _spread(rows, most: int):
    """At most `most` of `rows`, evenly spread over them."""
    return rows[:: max(1, -(-len(rows) // most))]


def _tolerance(dtype) -> float:
    """Relative; numbers of eight bits add up to logits that are right to about one in a hundred."""
    return 0.1 if dtype in (torch.bfloat16, torch.float16) else 1e-2


def _plain_linear(head) -> tuple[nn.Linear | None, str | None]:
    """The linear layer of a head, or why there is none."""
    if hasattr(head, "modules_to_save") and hasattr(head, "active_adapters"):
        # PEFT trains a copy of the head, and calls that
        copies = [head.modules_to_save[name] for name in head.active_adapters if name in head.modules_to_save]
        head = copies[0] if len(copies) == 1 else head
    if type(head) is nn.Linear:
        return head, None
    return None, f"the model's head is {type(head).__module__}.{type(head).__name__} and no plain linear layer"


def _after_the_head(config) -> tuple[float, float | None]:
    """The scale and the softcap that a model puts on its logits, by its config; the first batch shows if that is all."""
    scale = 1.0
    if getattr(config, "logits_scaling", None):
        scale = 1 / config.logits_scaling  # Granite
    elif getattr(config, "logit_scale", None):
        scale = config.logit_scale  # Cohere
    return float(scale), getattr(config, "final_logit_softcapping", None)
