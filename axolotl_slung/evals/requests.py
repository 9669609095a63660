"""New request types for lm_eval's models: hidden states, and the log-likelihood and number of tokens of whole texts.

lm_eval runs a request by calling the model's method with the request's name. `attach` adds these methods. Models that
cannot support a request get a method that raises. For `hf`, all weights are supported (adapters, quantized weights).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import wraps
from inspect import signature
from itertools import islice

import numpy as np
from lm_eval.api.model import CacheHook

from ..errors import SlungError
from .hidden_states import pooled

HIDDEN_STATES = "slung_hidden_states"
LOG_LIKELIHOOD = "slung_log_likelihood"


class HiddenStates:
    """A text's pooled states: for each layer that was asked for, one vector, float32 `(width,)`.

    `layers` are in ascending order; 0 is the embeddings. The repr is short, because lm_eval writes it
    into the samples.
    """

    def __init__(self, layers: Sequence[int], vectors: Sequence[np.ndarray]):
        self.layers, self.vectors = tuple(layers), list(vectors)

    def __repr__(self):
        width = len(self.vectors[0])
        return (
            f"<hidden state of {width}>" if len(self.layers) == 1 else f"<{len(self.layers)} hidden states of {width}>"
        )


def attach() -> None:
    """Add the methods to lm_eval's models. A second call changes nothing."""
    from lm_eval.api.model import LM, TemplateLM
    from lm_eval.models.huggingface import HFLM

    setattr(LM, HIDDEN_STATES, _no_hidden_states)
    setattr(HFLM, HIDDEN_STATES, _hidden_states)
    setattr(LM, LOG_LIKELIHOOD, _no_tokens)
    setattr(TemplateLM, LOG_LIKELIHOOD, _log_likelihoods)


_BOOKKEEPING = ("transformers_version", "use_cache", "cache_implementation", "return_dict_in_generate", "max_length",
                "max_new_tokens", "num_return_sequences")  # fmt: skip


_MARK = "records_generation_config"


def record_generation() -> None:
    """Let lm_eval's results say what the model's own generation config is. A second call changes nothing.

    lm_eval hands `hf` the task's settings, and Transformers takes all others from the model's `generation_config.json`,
    such as a repetition penalty. lm_eval does not record them. Its results then have
    `config.model_generation_config`. Of other models nothing is known.
    """
    hf = sys.modules.get("lm_eval.models.huggingface")  # imported before a model of its classes exists
    if hf is None or hasattr(hf.HFLM.get_model_info, _MARK):
        return
    described = hf.HFLM.get_model_info

    @wraps(described)
    def with_generation(self) -> dict:
        return {**described(self), "model_generation_config": _generation_config(self.model)}

    setattr(with_generation, _MARK, True)
    hf.HFLM.get_model_info = with_generation


def _generation_config(model) -> dict:
    """What of the model's generation config differs from Transformers' defaults and may change a text."""
    config = getattr(model, "generation_config", None)
    given = config.to_diff_dict() if config is not None else {}
    return {
        name: value
        for name, value in given.items()
        if name not in _BOOKKEEPING and not name.startswith(("_", "output_")) and not name.endswith("_token_id")
    }


def _no_hidden_states(self, requests):
    raise NotImplementedError(
        f"slung_civilcomments: needs hidden states, but lm_eval's {type(self).__name__} returns none; use --model hf"
    )


def _no_tokens(self, requests):
    raise NotImplementedError(
        f"slung_perplexity: needs token counts, but lm_eval's {type(self).__name__} returns none; use --model hf"
    )


def _log_likelihoods(self, requests) -> list[tuple[float, int]]:
    """The log-likelihood in nats and the number of predicted tokens of each text; a request's arguments are `(text,)`.

    The model's own `loglikelihood_rolling` cuts a text longer than its context into windows, because each class of
    lm_eval has its own longest input. The first token of a text is predicted from the prefix token. Tokens that the
    tokenizer adds by itself are not part of the text.
    """
    encode, cache_hook = self.tok_encode, self.cache_hook

    def tokens_of(text: str, *_args, **_kwargs) -> list[int]:
        tokens, added = encode(text, add_special_tokens=False), encode("", add_special_tokens=False)
        # some classes add their special tokens anyway
        return tokens[len(added) :] if added and tokens[: len(added)] == added else tokens

    counts = []
    for (text,) in (request.args for request in requests):
        tokens = tokens_of(text)
        if not all(isinstance(token, int) for token in tokens):
            raise NotImplementedError(
                f"slung_perplexity: needs tokens, but lm_eval's {type(self).__name__} has no tokenizer; set "
                "tokenizer_backend=huggingface and tokenizer=... in --model_args"
            )
        counts.append(len(tokens))
    # the class's own encoding, and so its own entries in lm_eval's cache, may contain added tokens
    self.tok_encode, self.cache_hook = tokens_of, CacheHook(None)
    try:
        sums = self.loglikelihood_rolling(requests)
    except NotImplementedError:
        raise NotImplementedError(
            f"slung_perplexity: needs log-likelihoods of whole texts, but lm_eval's {type(self).__name__} gives none; "
            "use --model hf, vllm or local-completions"
        ) from None
    finally:
        del self.tok_encode
        self.cache_hook = cache_hook
    return list(zip(sums, counts, strict=True))


def _hidden_states(self, requests) -> list[HiddenStates]:
    """The hidden states of each text; a request's arguments are `(text, layers, pooling)`.

    `layers` is a list of layers, where 0 is the embeddings and -1 the last, or "all". All layers come from one forward
    pass, and only the pooled vectors are kept.

    Texts are sorted by length and padded on the right. Causal attention does not see that padding, so no attention mask
    is needed. Only the beginning of a text longer than the model's context is read.
    """
    if self.backend != "causal":
        raise NotImplementedError(
            "slung_civilcomments: expected a causal model, got an encoder-decoder model; measure a causal model"
        )
    asked = [request.args for request in requests]
    special = {} if self.add_bos_token is None else {"add_special_tokens": self.add_bos_token}
    texts = [text for text, *_ in asked]
    tokens = self.tokenizer(texts, truncation=True, max_length=self.max_length, verbose=False, **special)["input_ids"]
    tokens = [ids or [self.prefix_token_id] for ids in tokens]
    return states_of(self, tokens, [its[1:] for its in asked])


def states_of(
    self, tokens: list[list[int]], wanted: list[tuple], option: str = "SLUNG_PROBE_LAYER"
) -> list[HiddenStates]:
    """The hidden states of each row of tokens, none longer than the model's context.

    Args:
        self: lm_eval's model, an `HFLM`.
        tokens: the rows.
        wanted: for each row, the layers and the pooling (see `hidden_states.pooled`).
        option: what names the layers, for errors.
    """
    from tqdm import tqdm

    order = sorted(range(len(tokens)), key=lambda place: -len(tokens[place]))
    batch_size = self.batch_size
    if batch_size == "auto":
        batch_size = self._detect_batch_size([(None, tokens[order[0]], [])])
    found: list = [None] * len(tokens)
    with tqdm(total=len(tokens), disable=self.rank != 0, desc=f"Running {HIDDEN_STATES} requests") as bar:
        for start in range(0, len(order), int(batch_size)):
            places = order[start : start + int(batch_size)]
            pooled = _pooled(self, [tokens[place] for place in places], [wanted[place] for place in places], option)
            for place, states in zip(places, pooled, strict=True):
                found[place] = states
            bar.update(len(places))
    return found


def _pooled(self, tokens: list[list[int]], wanted: list[tuple], option: str) -> list[HiddenStates]:
    """Each row's states, of the layers and with the pooling that it asks for."""
    import torch

    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in tokens], batch_first=True).to(self.device)
    plain = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
    few_logits = {"logits_to_keep": 1} if "logits_to_keep" in signature(plain.forward).parameters else {}
    half = self.mixed_precision_dtype
    with torch.inference_mode(), torch.autocast(self.device.type, half, enabled=half is not None):
        states = self.model(input_ids=ids, output_hidden_states=True, use_cache=False, **few_logits).hidden_states
    rows, vectors = [], []
    for row, (length, (layers, pooling)) in enumerate(zip(map(len, tokens), wanted)):
        layers = range(len(states)) if layers == "all" else layers
        if wrong := [layer for layer in layers if not -len(states) <= layer < len(states)]:
            raise SlungError(
                f"{option}: {wrong[0]}: this model does not have this layer; use 0 (the embeddings) to "
                f"{len(states) - 1}, or -1 (the last)"
            )
        rows.append(sorted({layer % len(states) for layer in layers}))
        ours = [states[layer][row, :length] for layer in rows[-1]]
        vectors += [pooled(state, pooling) for state in ours]
    # one copy per batch, since each waits for the device; the widths of layers may differ
    ends = np.cumsum([len(vector) for vector in vectors])[:-1]
    each = iter(np.split(torch.cat(vectors).cpu().numpy(), ends))
    return [HiddenStates(layers, list(islice(each, len(layers)))) for layers in rows]
