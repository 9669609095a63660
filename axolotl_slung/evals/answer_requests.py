"""New request types for lm_eval's models: the numbers of tokens of answers, and the ranks of tokens.

Log-likelihoods of answers are lm_eval's own requests. These requests add what lm_eval does not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ..errors import SlungError, get_logger

LOG = get_logger(__name__)

TOKENS = "slung_tokens"
RANKS = "slung_ranks"


def attach() -> None:
    """Add the methods to lm_eval's models. A second call changes nothing."""
    from lm_eval.api.model import LM, TemplateLM
    from lm_eval.models.huggingface import HFLM

    setattr(LM, TOKENS, _no_tokens)
    setattr(TemplateLM, TOKENS, _tokens)
    setattr(LM, RANKS, _no_ranks)
    setattr(HFLM, RANKS, _ranks)
    if not hasattr(HFLM._loglikelihood_tokens, "__wrapped__"):
        HFLM._loglikelihood_tokens = _each_with_its_own_context(HFLM._loglikelihood_tokens)


def _each_with_its_own_context(of_tokens: Callable) -> Callable:
    """lm_eval's `HFLM._loglikelihood_tokens`, for one text that is cut at several places too.

    lm_eval computes requests with the same tokens before the last one only once, and scores all of them where the first
    begins. A part of an answer and the whole answer are such requests, with contexts of different lengths.
    """

    @wraps(of_tokens)
    def wrapped(self, requests, *arguments, **options):
        lengths: dict[tuple[int, ...], set[int]] = {}
        for _, context, text in requests:
            lengths.setdefault((*context, *text[:-1]), set()).add(len(context))
        cached = self.logits_cache
        self.logits_cache = cached and all(len(its) == 1 for its in lengths.values())
        try:
            return of_tokens(self, requests, *arguments, **options)
        finally:
            self.logits_cache = cached

    return wrapped


def no_log_likelihoods(why: str) -> SlungError:
    """The refusal of a model without log-likelihoods."""
    return SlungError(
        f"slung_tofu: needs log-likelihoods, but {why}; set SLUNG_TOFU_WRONG_ANSWERS=0 and "
        "SLUNG_TOFU_PROBABILITIES=False to do without, or use --model hf, vllm or local-completions, with "
        "tokenizer_backend=huggingface and tokenizer=... in --model_args"
    )


def _no_tokens(self, requests) -> list[list[None]]:
    _check(self)
    LOG.warning(
        "slung_tofu: answer_probability, name_probability and truth_ratio are left out: lm_eval's %s does not tell "
        "numbers of tokens; use --model hf, vllm or local-completions",
        type(self).__name__,
    )
    return [[None] * len(parts) for _, parts in (request.args for request in requests)]


def _tokens(self, requests) -> list[list[int]]:
    """The number of tokens of each part; a request's arguments are `(context, ((before, part), ...))`.

    Parts are cut into tokens as the model's own `loglikelihood` does it, after `context + before`.
    """
    _check(self)
    return [
        [len(self._encode_pair(context + before, part)[1]) for before, part in parts]
        for context, parts in (request.args for request in requests)
    ]


def _check(self) -> None:
    """Refuse a model that gives no log-likelihoods, before it generates answers."""
    try:
        self.loglikelihood([])
    except (NotImplementedError, AssertionError):
        raise no_log_likelihoods(f"lm_eval's {type(self).__name__} gives none") from None
    except Exception as error:  # of a class that expects at least one request
        LOG.debug("slung_tofu: no requests: %s", type(error).__name__)


def _no_ranks(self, requests) -> list[list[None]]:
    LOG.warning("slung_tofu: name_rank is left out: lm_eval's %s gives no logits; use --model hf", type(self).__name__)
    return [[None] * len(names) for _, names in (request.args for request in requests)]


def _ranks(self, requests) -> list[list[int | None]]:
    """The rank of each text's first token, 1 for the likeliest; a request's arguments are `(context, (text, ...))`.

    Contexts are sorted by length and padded on the right. Causal attention does not see that padding. A text has rank
    None if it has no token of its own.
    """
    import torch
    from tqdm import tqdm

    if self.backend != "causal":
        return _no_ranks(self, requests)
    rows: list[list[int]] = []
    firsts: list[list[list[int]]] = []
    for context, texts in (request.args for request in requests):
        pairs = [self._encode_pair(context, text) for text in texts]
        rows.append(pairs[0][0][-self.max_length :])
        firsts.append([continuation[:1] for _, continuation in pairs])
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    batch_size = self.batch_size
    if batch_size == "auto":
        batch_size = self._detect_batch_size([(None, rows[order[0]], [])])
    found: list = [None] * len(rows)
    with tqdm(total=len(rows), disable=self.rank != 0, desc=f"Running {RANKS} requests") as bar:
        for start in range(0, len(order), int(batch_size)):
            places = order[start : start + int(batch_size)]
            ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(rows[place]) for place in places], batch_first=True)
            logits = self._model_call(ids.to(self.device))  # (rows, tokens, vocabulary)
            for row, place in enumerate(places):
                last = logits[row, len(rows[place]) - 1]
                found[place] = [int((last > last[first[0]]).sum()) + 1 if first else None for first in firsts[place]]
            bar.update(len(places))
    return found
