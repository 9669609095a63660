"""The lm_eval model `slung_guided`: a model whose change by training is amplified, with the help of the model before it.

    lm_eval --model slung_guided --model_args pretrained=out/masked,before=base-model,weight=1 --tasks slung_audit

It is reversed model guidance (Wu et al., arXiv 2505.24379): the logits are `after + weight * (after - before)`. The paper
writes `weight + 1` as its guidance scale. Its filter of unlikely tokens is left out, because it would give texts a
probability of zero.
"""

from __future__ import annotations

from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from lm_eval.models.huggingface import HFLM

from ..errors import SlungError, end_without_traceback

_OF_AFTER = ("peft", "delta", "tokenizer", "add_bos_token", "prefix_token_id", "max_length", "revision", "subfolder")
"""Arguments that do not hold for the model before training."""


class Guided(HFLM):
    """As `hf`, with two more arguments. Everything that reads logits reads the guided ones.

    Args:
        pretrained: the model after training, a folder or hub id.
        before: the model before training, a folder or hub id.
        weight: how much of the difference is added; 0 gives the model after training.
        options: those of `hf`. `dtype`, the device and quantization hold for both models.

    Raises:
        SlungError: an argument is missing or wrong, or the two models do not have the same tokens.
    """

    def __init__(self, pretrained: str, before: str | None = None, weight: float | None = 1.0, **options: Any):
        end_without_traceback()
        if before is None:
            raise SlungError(
                "slung_guided: before: is missing; add `before=` and the model before training to --model_args"
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise SlungError(f"slung_guided: weight: {weight}: is not a number from 0 on; set one, such as weight=1")
        super().__init__(pretrained=pretrained, **options)
        others = {name: value for name, value in options.items() if name not in _OF_AFTER}
        self._before = HFLM(pretrained=before, **others)
        plain = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        _check_same_tokens(self, self._before, before)
        guide(plain, self._before.model, float(weight))


def _check_same_tokens(after: HFLM, before: HFLM, name: str) -> None:
    if after.tokenizer.get_vocab() != before.tokenizer.get_vocab():
        raise SlungError(
            f"slung_guided: before: {name}: has another tokenizer than the model after training, so their tokens cannot "
            "be compared; give the model that was trained"
        )


def guide(after, before, weight: float) -> None:
    """Let `after` give guided logits, float32, wherever it is called: in a forward pass and in `generate`.

    Args:
        after: a causal model of Transformers, changed in place.
        before: another one with the same vocabulary. It is called with the same inputs, and keeps caches of its own.
        weight: how much of the difference is added.
    """
    from transformers import DynamicCache

    forward = after.forward
    caches: WeakKeyDictionary = WeakKeyDictionary()

    @wraps(forward)
    def guided(*args, **kwargs):
        output = forward(*args, **kwargs)
        given, asked = kwargs.get("past_key_values"), {**kwargs, "output_hidden_states": False, "return_dict": True}
        if given is not None:
            if given not in caches:
                caches[given] = DynamicCache(config=before.config)
            asked["past_key_values"] = caches[given]
        other = before(*args, **asked)
        returned = getattr(output, "past_key_values", None)
        if given is None and returned is not None:
            caches[returned] = other.past_key_values
        output.logits = guided_logits(output.logits, other.logits, weight)
        return output

    after.forward = guided


def guided_logits(after, before, weight: float):
    """`after + weight * (after - before)`, a float32 tensor `(..., vocabulary)`.

    Both are logits of the same positions. Logits and log-probabilities give the same probabilities here. Tokens that only
    `after` has, such as those that pad its vocabulary, get no guidance.
    """
    after, before = after.float(), before.float()
    both = min(after.shape[-1], before.shape[-1])
    if after.shape[-1] != both or before.shape[-1] != both:
        # on parts of a vocabulary, only log-probabilities are comparable
        after, before = after.log_softmax(-1), before.log_softmax(-1)
    moved = after.clone()
    moved[..., :both] += weight * (after[..., :both] - before[..., :both])
    return moved
