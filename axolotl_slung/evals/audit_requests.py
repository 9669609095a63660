"""New request types for lm_eval's models: the scores of texts of an audit token by token, and what completions hold.

What a request asks is risky text, and what a model says may be. Requests therefore hold objects whose repr shows an id,
and the methods return numbers only. lm_eval's samples, logs and caches get nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import Any, NamedTuple

from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook

from ..errors import SlungError, get_logger
from .token_scores import Score, scores_of

LOG = get_logger(__name__)

SCORES = "slung_audit_scores"
COMPLETIONS = "slung_audit_completions"


@dataclass(frozen=True, repr=False)
class Asked:
    """What a request asks, in place of its texts.

    Attributes:
        task: the task's name, for errors.
        name: what samples say of the request. It has no risky text.
        check: called once with the evaluated model, before it is asked anything.
    """

    task: str
    name: str
    check: Callable[[Any], None]

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, repr=False)
class Texts(Asked):
    """Texts to score after a context, each by itself."""

    context: str = field(kw_only=True)
    texts: Sequence[str] = field(kw_only=True)


@dataclass(frozen=True, repr=False)
class Completions(Asked):
    """A prompt to complete.

    Attributes:
        prompt: the prompt, or what a chat template made of it.
        asks: whether the prompt is a person's turn. It is then put into the chat template of a model that has one. Chat
            services get every prompt as a person's turn.
        settings: of the generation.
        count: how many completions to ask for.
        measure: what becomes of a completion: numbers.
    """

    prompt: Any = field(kw_only=True)
    settings: Mapping = field(kw_only=True)
    measure: Callable[[str], Mapping[str, float]] = field(kw_only=True)
    count: int = field(default=1, kw_only=True)
    asks: bool = field(default=False, kw_only=True)


class Measured(NamedTuple):
    """The numbers of each completion."""

    completions: list[dict[str, float]]


def attach() -> None:
    """Add the methods to lm_eval's models. A second call changes nothing."""
    from lm_eval.api.model import LM

    setattr(LM, SCORES, _scores)
    setattr(LM, COMPLETIONS, _completions)


def _scores(self, requests) -> list[list[Score]]:
    """The score of each text of each request, whose arguments are `(Texts,)`."""
    asked: list[Texts] = [request.args[0] for request in requests]
    with private(self, asked[0]):
        return scores_of(self, [(its.context, its.texts) for its in asked], asked[0].task)


def _completions(self, requests) -> list[Measured]:
    """What the completions of each request come to; a request's arguments are `(Completions,)`."""
    asked: list[Completions] = [request.args[0] for request in requests]
    with private(self, asked[0]):
        # one instance per completion: lm_eval's models see neither repeats nor that they belong together
        each = [
            Instance("generate_until", {}, (_prompt(self, its), dict(its.settings)), 0, metadata=(its.task, place, 1))
            for place, its in enumerate(asked)
            for _ in range(its.count)
        ]
        texts = iter(self.generate_until(each))
        return [Measured([dict(its.measure(next(texts))) for _ in range(its.count)]) for its in asked]


def _prompt(self, asked: Completions):
    if not isinstance(asked.prompt, str):
        return asked.prompt  # messages
    takes_messages = any(kind.__name__ == "LocalChatCompletion" for kind in type(self).__mro__)
    has_template = bool(getattr(getattr(self, "tokenizer", None), "chat_template", None))
    if takes_messages or (asked.asks and has_template):
        return self.apply_chat_template([{"role": "user", "content": asked.prompt}])
    return asked.prompt


@contextmanager
def private(self, first: Asked) -> Iterator[None]:
    """Keep the texts of requests out of lm_eval's cache, its log and what it raises.

    Raises:
        SlungError: in place of any other error, whose message might quote a text.
    """
    first.check(self)
    hook, self.cache_hook = getattr(self, "cache_hook", None), CacheHook(None)
    loggers = [] if _is_hf(self) else [logging.getLogger(kind.__module__) for kind in type(self).__mro__]
    for logger in loggers:
        logger.addFilter(_masked)
    try:
        yield
    except (SlungError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's: it has numbers only
            raise
        last = extract_tb(error.__traceback__)[-1]
        raise SlungError(
            f"{first.task}: lm_eval's {type(self).__name__} failed with {type(error).__name__} in "
            f"{Path(last.filename).name}, line {last.lineno}; its message is not shown, because it may quote the audit. "
            "Try the model with slung_perplexity and SLUNG_PERPLEXITY_TEXT=embedded, which shows it"
        ) from None
    finally:
        self.cache_hook = hook
        for logger in loggers:
            logger.removeFilter(_masked)


def _is_hf(self) -> bool:
    # its messages have numbers only
    from lm_eval.models.huggingface import HFLM

    return isinstance(self, HFLM)


def _masked(record: logging.LogRecord) -> bool:
    record.msg, record.args = "a message is not shown, because it may quote the audit", ()
    record.exc_info = record.exc_text = record.stack_info = None
    return True
