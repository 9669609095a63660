"""Judges at OpenAI and at services with the same interface."""

from __future__ import annotations

import re

from ...errors import SlungError
from .answers import AnswerCache, digest
from .judge import REPLY_TOKENS, THINKING_TOKENS, Judge
from .remote import Unkept, ask_all
from .remote_scorers import is_openai, openai_service, served_model
from .service import Refused
from .verdicts import Read, read

_DATE = re.compile(r"-\d{4}(-\d{2}-\d{2})?(?!\d)")


class ServedJudge(Judge):
    """A chat model at OpenAI or a service with the same interface.

    A model that thinks gets more tokens, and one that refuses a temperature gets none. The results say so in `served`.

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
        self._limit = "max_completion_tokens" if official else "max_tokens"
        self._parameters = {"temperature": 0, "seed": 0, self._limit: REPLY_TOKENS}
        self.name, self.version = f"openai:{model}", self._service.url
        self._served: set[str] = set()

    @property
    def served(self) -> str:
        """The model or models that the service said it used, and settings that it did not accept."""
        refused = [] if "temperature" in self._parameters else ["temperature not accepted"]
        return ", ".join([*sorted(self._served), *refused])

    def _requests(self, asked: list[tuple[str, str]]) -> list[tuple[str, ...]]:
        # the key of the cache has the settings that are asked for first
        settings = repr({"temperature": 0, "seed": 0, self._limit: REPLY_TOKENS})
        return [("verdict 3", self.name, self._service.url, settings, *one) for one in asked]

    def _keys(self, asked: list[tuple[str, str]]) -> list[bytes]:
        return [digest(request) for request in self._requests(asked)]

    def _read(self, asked: list[tuple[str, str]]) -> list[Read | None]:
        requests = self._requests(asked)
        answers = ask_all(requests, lambda one: self._ask(*one[-2:]), self._cache, what=self.name, **self._limits)
        self.failures.update(answers.failures)
        self._served.update(answer["served"] for answer in answers.values if answer and answer["served"])
        return [Read(answer["word"], answer.get("kind", "")) if answer else None for answer in answers.values]

    def _ask(self, question: str, prompt: str) -> dict | Unkept:
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}], **self._parameters}
        try:
            reply = self._service.post("/chat/completions", body, lambda reply: _parsed(reply, question))
        except Refused as refused:
            if "temperature" not in body or "temperature" not in refused.reason:
                raise
            self._parameters = {name: value for name, value in self._parameters.items() if name != "temperature"}
            return self._ask(question, prompt)
        thinks = reply.get("kind") in ("only thoughts", "empty, cut off")
        if thinks and body[self._limit] < THINKING_TOKENS:
            self._parameters = {**self._parameters, self._limit: THINKING_TOKENS}
            return self._ask(question, prompt)
        # another setting of the service may give a verdict the next time
        return reply if reply["word"] else Unkept(reply)


def _parsed(reply: dict, question: str) -> dict:
    # only the verdict: the reply may quote the texts, which must not get into the cache
    choice = reply["choices"][0]
    content = choice["message"].get("content")
    if content is not None and not isinstance(content, str):
        raise TypeError
    word, kind = read(content, question, cut_off=choice.get("finish_reason") == "length")
    return {"word": word, "served": served_model(reply), **({"kind": kind} if kind else {})}
