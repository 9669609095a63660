"""Log-likelihoods of texts after a context, token by token where lm_eval's model gives logits.

For `hf`, texts after one context share its forward pass. Other models are asked with their own `loglikelihood`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import NamedTuple

from ..errors import SlungError, get_logger

LOG = get_logger(__name__)


class Score(NamedTuple):
    """How likely a text is after its context.

    The tokens are those that the model's own `loglikelihood` scores: with white space at the end of the context, which
    lm_eval moves to the text.

    Attributes:
        logprob: of all tokens, in nats; NaN if the text has no token of its own.
        tokens: their number; None if the model does not tell.
        greedy: whether each token is the likeliest.
        each: the log-probability of each token; None if the model does not tell.
        likeliest: for each token, whether it is the likeliest; None if the model does not tell.
    """

    logprob: float
    tokens: int | None
    greedy: bool
    each: list[float] | None = None
    likeliest: list[bool] | None = None


NOTHING = Score(float("nan"), 0, False)


def scores_of(model, asked: Sequence[tuple[str, Sequence[str]]], task: str) -> list[list[Score]]:
    """The score of each text.

    Args:
        model: one of lm_eval's.
        asked: contexts, each with the texts that are scored after it.
        task: the task's name, for messages.

    Raises:
        SlungError: the model gives no log-likelihoods.
    """
    from lm_eval.models.huggingface import HFLM

    # tasks that run together ask about the same contexts, and sometimes about the same texts
    wanted: dict[str, dict[str, None]] = {}
    for context, texts in asked:
        wanted.setdefault(context, {}).update(dict.fromkeys(texts))
    once = [(context, tuple(texts)) for context, texts in wanted.items()]
    if isinstance(model, HFLM) and model.backend == "causal":
        scores = _of_logits(model, once)
    else:
        scores = _of_others(model, once, task)
    lost = sum(score is NOTHING for its in scores for score in its)
    if lost:
        LOG.warning(
            "%s: %d texts have no token of their own, or are longer than the model's context; left out", task, lost
        )
    known = {context: dict(zip(texts, its)) for (context, texts), its in zip(once, scores, strict=True)}
    return [[known[context][text] for text in texts] for context, texts in asked]


def _of_others(model, asked, task: str) -> list[list[Score]]:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM

    counts = [
        [_count(model, context, text) if isinstance(model, TemplateLM) else None for text in texts]
        for context, texts in _with_tokens(model, asked, task)
    ]
    pairs = [
        (context, text)
        for (context, texts), its in zip(asked, counts, strict=True)
        for text, count in zip(texts, its, strict=True)
        if count != 0
    ]
    requests = [Instance("loglikelihood", {}, pair, 0, metadata=(task, place, 1)) for place, pair in enumerate(pairs)]
    try:
        answers = iter(model.loglikelihood(requests))
    except (NotImplementedError, AssertionError):
        raise no_log_likelihoods(model, task) from None
    return [[NOTHING if count == 0 else _score(next(answers), count) for count in its] for its in counts]


def _count(model, context: str, text: str) -> int:
    """The number of tokens that can be scored: none or all."""
    tokens = _pair(model, context, text)[1]
    return len(tokens) if _fits(model, tokens) else 0


def _fits(model, tokens: Sequence[int]) -> bool:
    # some of lm_eval's classes keep a token of the context for the answer
    return len(tokens) < getattr(model, "max_length", len(tokens) + 2) - 1


def _with_tokens(model, asked, task: str):
    """`asked`, if the model can count tokens or need not."""
    from lm_eval.api.model import TemplateLM

    if isinstance(model, TemplateLM):
        try:
            cut = model.tok_encode("a b")
        except Exception:  # of a class without a tokenizer
            cut = None
        if not isinstance(cut, list) or not all(isinstance(token, int) for token in cut):
            raise no_log_likelihoods(model, task)
        LOG.warning(
            "%s: lm_eval's %s does not tell the log-probabilities of single tokens; common prefixes, extraction strength "
            "and Min-K%% are left out; use --model hf",
            task,
            type(model).__name__,
        )
    return asked


def _score(answer, count: int | None) -> Score:
    logprob, greedy = answer
    return Score(float(logprob), count, bool(greedy))


def no_log_likelihoods(model, task: str) -> SlungError:
    """The refusal of a model without log-likelihoods."""
    sampled = "set SLUNG_AUDIT_SAMPLES to a number of samples, or " if task == "slung_extraction" else ""
    return SlungError(
        f"{task}: needs log-likelihoods, but lm_eval's {type(model).__name__} gives none; {sampled}use --model hf, vllm "
        "or local-completions, with tokenizer_backend=huggingface and tokenizer=... in --model_args. Without "
        "log-likelihoods, --tasks slung_extraction,slung_answers can be asked"
    )


def _pair(model, context: str, text: str) -> tuple[list[int], list[int]]:
    """The tokens of context and text as lm_eval's own `loglikelihood` cuts them."""
    if context:
        return model._encode_pair(context, text)
    tokens = model.tok_encode(text, add_special_tokens=False)
    start = model.prefix_token_id
    return (tokens[:1], tokens[1:]) if tokens[:1] == [start] else ([start], tokens)


# ---- hf


def _of_logits(model, asked) -> list[list[Score]]:
    """As `_of_others`, from logits. Several texts after one context share its forward pass if the model allows it."""
    from tqdm import tqdm

    pairs = [[_pair(model, context, text) for text in texts] for context, texts in asked]
    pairs = [[(context, text if _fits(model, text) else []) for context, text in its] for its in pairs]
    rows = [(place, number) for place, its in enumerate(pairs) for number, (_, tokens) in enumerate(its) if tokens]
    if cut := sum(sum(map(len, pairs[place][number])) > model.max_length + 1 for place, number in rows):
        LOG.warning(
            "the model's context is %d tokens: the beginning of %d longer texts is cut off", model.max_length, cut
        )
    found: list[list[Score]] = [[NOTHING] * len(its) for its in pairs]
    with tqdm(total=len(rows), disable=model.rank != 0, desc="Running audit requests") as bar:
        for place, its in enumerate(pairs):
            shared = [(number, tokens) for number, (_, tokens) in enumerate(its) if tokens]
            if len(shared) < 2 or (scores := _after_one_context(model, its[0][0], shared)) is None:
                continue
            for number, score in scores.items():
                found[place][number] = score
            rows = [row for row in rows if row[0] != place]
            bar.update(len(shared))
        # the longest first: what does not fit into memory fails at once
        rows.sort(key=lambda row: -sum(map(len, pairs[row[0]][row[1]])))
        size = _batch_size(model, [pairs[place][number] for place, number in rows])
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            for (place, number), score in zip(some, _batch(model, [pairs[p][n] for p, n in some]), strict=True):
                found[place][number] = score
            bar.update(len(some))
    return found


def _batch_size(model, pairs) -> int:
    if model.batch_size != "auto":
        return int(model.batch_size)
    return model._detect_batch_size([(None, *pairs[0])]) if pairs else 1


def _batch(model, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Score]:
    """The scores of rows, padded on the right, which causal attention does not see."""
    import torch

    rows = [torch.tensor((context + text)[-(model.max_length + 1) :]) for context, text in pairs]
    wanted = [row[-min(len(text), len(row) - 1) :] for row, (_, text) in zip(rows, pairs, strict=True)]
    ids = torch.nn.utils.rnn.pad_sequence([row[:-1] for row in rows], batch_first=True)
    first = min(len(row) - 1 - len(its) for row, its in zip(rows, wanted, strict=True))
    ids = ids.to(model.device)
    with _forward(model):
        if _calls_its_own_way(model):
            logits = model._model_call(ids)
        else:
            logits = _logits(model, ids.shape[1] - first, input_ids=ids).logits
        ends = [logits.shape[1] - (ids.shape[1] - (len(row) - 1)) for row in rows]
        return [_of_tokens(of[end - len(its) : end], its) for of, end, its in zip(logits, ends, wanted, strict=True)]


def _calls_its_own_way(model) -> bool:
    """Whether the class changes what its model says, for example with another model's logits."""
    from lm_eval.models.huggingface import HFLM

    return type(model)._model_call is not HFLM._model_call


@contextmanager
def _forward(model) -> Iterator[None]:
    """The contexts in which lm_eval's `hf` calls its model."""
    import torch

    half = model.mixed_precision_dtype
    with torch.inference_mode(), torch.autocast(model.device.type, half, enabled=half is not None):
        yield


def _logits(model, last: int, **given):
    """What the model's forward returns, with the logits of the last positions, or of more of them."""
    plain = model.model.get_base_model() if hasattr(model.model, "get_base_model") else model.model
    few = {"logits_to_keep": last} if "logits_to_keep" in signature(plain.forward).parameters else {}
    return model.model(**given, **few)


def _of_tokens(logits, wanted) -> Score:
    """The score of tokens `(tokens,)` from the logits `(tokens, vocabulary)` that predict them."""
    log_p = logits.float().log_softmax(-1)
    wanted = wanted.to(log_p.device)
    each = log_p.gather(1, wanted[:, None])[:, 0].tolist()
    likeliest = (log_p.argmax(-1) == wanted).tolist()
    return Score(sum(each), len(each), all(likeliest), each, likeliest)


def _after_one_context(model, context: list[int], texts: Sequence[tuple[int, list[int]]]) -> dict[int, Score] | None:
    """The scores of texts after one context, which is read once; None if this model cannot do that."""
    import torch
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    longest = max(len(tokens) for _, tokens in texts)
    # virtual tokens of prompt tuning would be put in front of each call
    virtual = getattr(getattr(model.model, "active_peft_config", None), "is_prompt_learning", False)
    if len(context) + longest > model.max_length or virtual or _calls_its_own_way(model):
        return None
    found, size = {}, len(texts) if model.batch_size == "auto" else int(model.batch_size)
    with _forward(model):
        read = _logits(model, 1, input_ids=torch.tensor([context], device=model.device), use_cache=True)
        cache = read.past_key_values
        if type(cache) is not DynamicCache or any(type(layer) is not DynamicLayer for layer in cache.layers):
            return None  # a cache that may forget, or that cannot be copied row by row
        for start in range(0, len(texts), size):
            some = texts[start : start + size]
            heads = [torch.tensor(tokens[:-1] or [0]) for _, tokens in some]
            ids = torch.nn.utils.rnn.pad_sequence(heads, batch_first=True).to(model.device)
            copied = copy.deepcopy(cache)
            copied.batch_repeat_interleave(len(some))
            logits = model.model(input_ids=ids, past_key_values=copied, use_cache=True).logits
            for (number, tokens), its in zip(some, logits, strict=True):
                together = torch.cat([read.logits[0, -1:], its[: len(tokens) - 1]])
                found[number] = _of_tokens(together, torch.tensor(tokens))
    return found
