"""Generative guards behind an OpenAI-compatible service."""

from __future__ import annotations

import numpy as np

from .answers import AnswerCache
from .base import Scorer
from .guards import FORMAT, GUARDS, REPLY_TOKENS, Step, filled, plain, read
from .local_models import short_name
from .remote import Unkept, ask_all
from .remote_scorers import openai_service, served_model
from .service import Refused

LIKELY = 5
"""The number of tokens whose probabilities are asked for; services allow at least as many."""


class ServedGuard(Scorer):
    """A guard that a service runs with its own chat template, or, where its prompt is a plain text, as a completion.

    Args:
        said: the option and its value.
        kind: a key of `GUARDS`.
        model: the model's name at the service.
        url, concurrency, per_second, cache: see `scorers.open_scorer`.
    """

    def __init__(
        self,
        said: str,
        kind: str,
        model: str,
        url: str,
        concurrency: int,
        per_second: float | None,
        cache: AnswerCache,
    ):
        super().__init__()
        self._guard, self._model, self._cache = GUARDS[kind], model, cache
        self._service = openai_service(said, url)
        self._limits = {"concurrency": concurrency, "per_second": per_second}
        self._probabilities = True
        self._served: set[str] = set()
        self.name, self.version = f"guard:{kind}:{short_name(model)}", self._service.url

    @property
    def served(self) -> str:
        """The models that the service said it used, and whether some scores are words, without probabilities."""
        return ", ".join(sorted(self._served))

    def _score(self, texts: list[str]) -> np.ndarray:
        guard = self._guard
        requests = [
            (FORMAT, self.name, self._service.url, policy, plain(text)) for text in texts for policy in guard.policies
        ]
        answers = ask_all(requests, lambda one: self._ask(*one[-2:]), self._cache, what=self.name, **self._limits)
        self.failures.update(answers.failures)
        found = [answer or {"score": None} for answer in answers.values]
        self.failures.update(f"replies without a verdict ({one['kind']})" for one in found if one.get("kind"))
        self._served.update(one["served"] for one in found if one.get("served"))
        if any(one.get("by_word") for one in found):
            self._served.add("words without probabilities")
        scores = np.array([np.nan if one["score"] is None else one["score"] for one in found], np.float64)
        # numpy's maximum of a missing score is a missing score
        return scores.reshape(len(texts), len(guard.policies)).max(axis=1)

    def _ask(self, policy: str, text: str) -> dict | Unkept:
        asked = self._probabilities
        try:
            reply = self._post(policy, text, asked)
        except Refused as refused:
            # many services give no probabilities, and some refuse to be asked for them
            if not asked or not refused.reason.startswith(("http 400", "http 422")):
                raise
            reply = self._post(policy, text, False)
            self._probabilities = False
        # another setting of the service may give a verdict, or a probability, the next time
        return reply if reply["score"] is not None and not reply.get("by_word") else Unkept(reply)

    def _post(self, policy: str, text: str, probabilities: bool) -> dict:
        guard = self._guard
        body = {"model": self._model, "temperature": 0, "max_tokens": REPLY_TOKENS}
        if guard.prompt:
            body |= {"prompt": filled(guard, text, policy), **({"logprobs": LIKELY} if probabilities else {})}
            return self._service.post("/completions", body, self._completed)
        body |= {"messages": [{"role": "user", "content": text}]}
        if guard.options:
            body["chat_template_kwargs"] = guard.options
        if probabilities:
            body |= {"logprobs": True, "top_logprobs": LIKELY}
        return self._service.post("/chat/completions", body, self._chatted)

    def _completed(self, reply: dict) -> dict:
        choice = reply["choices"][0]
        given = choice.get("logprobs") or {}
        tokens, likely = given.get("tokens"), given.get("top_logprobs")
        if tokens and likely:
            steps = [Step(token, list((its or {}).items())) for token, its in zip(tokens, likely)]
        else:
            steps = [Step(_text(choice["text"]), ())]
        return self._read(reply, steps, choice)

    def _chatted(self, reply: dict) -> dict:
        choice = reply["choices"][0]
        given = (choice.get("logprobs") or {}).get("content")
        if given:
            steps = [
                Step(one["token"], [(its["token"], its["logprob"]) for its in one.get("top_logprobs") or ()])
                for one in given
            ]
        else:
            steps = [Step(_text(choice["message"].get("content")), ())]
        return self._read(reply, steps, choice)

    def _read(self, reply: dict, steps: list[Step], choice: dict) -> dict:
        # only the score: the reply may quote the text, which must not get into the cache
        reading = read(self._guard, steps, choice.get("finish_reason") == "length")
        said = {"score": reading.score, "served": served_model(reply)}
        if reading.score is None:
            said["kind"] = reading.kind
        if reading.by_word:
            said["by_word"] = True
        return said


def _text(value) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or ""
