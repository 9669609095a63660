"""The lm_eval model `slung_guided`: a model whose change by training is amplified, with the help of the model before it.

    lm_eval --model slung_guided --model_args pretrained=out/masked,before=base-model,weight=1 --tasks slung_audit

It is reversed model guidance (Wu et al., arXiv 2505.24379): the logits are `after + weight * (after - before)`. The paper
writes `weight + 1` as its guidance scale. Its filter of unlikely tokens is left out, because it would give texts a
probability of zero.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from lm_eval.models.huggingface import HFLM

from ..errors import SlungError, end_without_traceback

_OF_AFTER = ("peft", "delta", "tokenizer", "add_bos_token", "prefix_token_id", "max_length", "revision", "subfolder")
"""Arguments that do not hold for the model before training."""

_OF_BEFORE = "slung_before"
"""The attribute of a cache that holds the other model's."""


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

    class Both(DynamicCache):
        """A cache that is known to belong to a pair: nobody may take it for one that can be copied and changed."""

    forward = after.forward

    @wraps(forward)
    def guided(*args, **kwargs):
        if kwargs.get("cache_params") is not None:
            raise SlungError(
                "slung_guided: pretrained: keeps a recurrent state in place of a cache, which is not supported"
            )
        if kwargs.get("past_key_values") is None and kwargs.get("use_cache"):
            kwargs["past_key_values"] = Both(config=after.config)
        cache = kwargs.get("past_key_values")
        asked = {**kwargs, "output_hidden_states": False, "return_dict": True}
        if cache is not None:
            if not hasattr(cache, _OF_BEFORE):
                setattr(cache, _OF_BEFORE, DynamicCache(config=before.config))
            asked["past_key_values"] = getattr(cache, _OF_BEFORE)
            if asked["past_key_values"].get_seq_length() != cache.get_seq_length():
                raise RuntimeError("slung_guided: the caches of the two models hold different texts")
        output = forward(*args, **kwargs)
        output.logits = guided_logits(output.logits, before(*args, **asked).logits, weight)
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
