"""Judges at OpenAI and at services with the same interface."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection

from ...errors import SlungError
from .answers import AnswerCache, digest
from .judge import REPLY_TOKENS, THINKING_TOKENS, Judge
from .remote import Unkept, ask_all
from .remote_scorers import is_openai, openai_service, served_model
from .service import Refused
from .verdicts import Read, read

_LIMITS = ("max_completion_tokens", "max_tokens")

_DATE = re.compile(r"-\d{4}(-\d{2}-\d{2})?(?!\d)")


class ServedJudge(Judge):
    """A chat model at OpenAI or a service with the same interface.

    A model that thinks gets more tokens, and one that refuses a temperature or a seed gets none. The results say so in
    `served`.

    Args:
        said: the option and its value.
        model: the model's name at the service.
        url, concurrency, per_second, cache: see `open_judge`.
    """

    def __init__(
        self, said, model: str, url: str | None, concurrency: int, per_second: float | None, cache: AnswerCache
    ):
        super().__init__(cache)
        official = url is None or is_openai(url)
        if official and not _DATE.search(model):
            raise SlungError(
                f"{said}: {model} has no date, so OpenAI may change the model and with it the verdicts; use a dated "
                "name, such as openai:gpt-4o-2024-11-20"
            )
        self._service = openai_service(said, url)
        self._model = model
        self._limits = {"concurrency": concurrency, "per_second": per_second}
        # newer OpenAI models accept only the first name, most other services only the second
        self._first = {"temperature": 0, "seed": 0, _LIMITS[not official]: REPLY_TOKENS}
        self._parameters = self._first
        self._talks, self._lock = False, threading.Lock()
        self.name, self.version, self.pinned = f"openai:{model}", self._service.url, official
        self._served: set[str] = set()

    @property
    def served(self) -> str:
        """The model or models that the service said it used, and settings that it did not accept."""
        refused = [name for name in ("temperature", "seed") if name not in self._parameters]
        return ", ".join([*sorted(self._served), *(f"{name} not accepted" for name in refused)])

    def _requests(self, asked: list[tuple[str, str]]) -> list[tuple[str, ...]]:
        # the key of the cache has the settings that are asked for first
        return [("verdict 3", self.name, self._service.url, repr(self._first), *one) for one in asked]

    def _keys(self, asked: list[tuple[str, str]]) -> list[bytes]:
        return [digest(request) for request in self._requests(asked)]

    def _read(self, asked: list[tuple[str, str]]) -> list[Read | None]:
        requests = self._requests(asked)
        answers = ask_all(requests, lambda one: self._ask(*one[-2:]), self._cache, what=self.name, **self._limits)
        self.failures.update(answers.failures)
        self._served.update(answer["served"] for answer in answers.values if answer and answer["served"])
        return [Read(answer["word"], answer.get("kind", "")) if answer else None for answer in answers.values]

    def _ask(self, question: str, prompt: str) -> dict | Unkept:
        settings = self._parameters
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}], **settings}
        try:
            reply = self._service.post("/chat/completions", body, lambda reply: _parsed(reply, question, prompt))
        except Refused as refused:
            if refused.again or not self._do_without(settings, refused.fields):
                raise
            return self._ask(question, prompt)
        limit = next(name for name in _LIMITS if name in settings)
        if settings[limit] < THINKING_TOKENS and self._may_think(reply.get("kind", "")):
            self._parameters = {**self._parameters, limit: THINKING_TOKENS}
            longer = self._ask(question, prompt)
            if reply["kind"] == "cut off" and isinstance(longer, Unkept):
                # it talks for long and does not think
                self._talks, self._parameters = True, {**self._parameters, limit: REPLY_TOKENS}
            return longer
        # another setting of the service may give a verdict the next time
        return reply if reply["word"] else Unkept(reply)

    def _may_think(self, kind: str) -> bool:
        """Whether more tokens may give a verdict. Some templates open a thought in the prompt, so its mark is not seen."""
        return kind in ("only thoughts", "empty, cut off") or (kind == "cut off" and not self._talks)

    def _do_without(self, settings: dict[str, int], names: Collection[str]) -> bool:
        """Leave out settings that the service refuses, and try the other name of the longest length.

        Returns:
            Whether the settings are others now, so that asking again may help.
        """
        with self._lock:
            if self._parameters is not settings:
                return True  # another thread was first
            kept = {name: value for name, value in settings.items() if name not in names}
            for name, other in (_LIMITS, _LIMITS[::-1]):
                if name in settings and name in names:
                    # the name that was tried first is refused already
                    kept |= {name: settings[name]} if other in self._first else {other: settings[name]}
            if kept == settings:
                return False
            self._parameters = kept
            return True


def _parsed(reply: dict, question: str, prompt: str) -> dict:
    # only the verdict: the reply may quote the texts, which must not get into the cache
    choice = reply["choices"][0]
    content = choice["message"].get("content")
    if content is not None and not isinstance(content, str):
        raise TypeError
    word, kind = read(content, question, choice.get("finish_reason") == "length", prompt)
    return {"word": word, "served": served_model(reply), **({"kind": kind} if kind else {})}
