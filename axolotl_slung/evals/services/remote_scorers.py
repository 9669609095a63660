"""Scorers that are services: Perspective API, and OpenAI's moderation endpoint or a compatible one."""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import date

import numpy as np

from ...errors import SlungError, get_logger
from .answers import AnswerCache
from .base import Scorer
from .remote import ask_all
from .service import Refused, Service, host_of

LOG = get_logger(__name__)

PERSPECTIVE = "https://commentanalyzer.googleapis.com"

PERSPECTIVE_ENDS = date(2026, 12, 31)
"""The last day of the service, as Google announced."""

OPENAI = "https://api.openai.com/v1"

_ATTRIBUTE = re.compile(r"[A-Z][A-Z0-9_]*")

_ENDED = ("http 404", "http 410", "connection")
"""Failures that are expected of a service that has ended."""


class RemoteScorer(Scorer):
    """A service that scores one text per request.

    Args:
        name: the kind, and its attribute or model.
        service: the service.
        concurrency: the maximum number of parallel requests.
        per_second: the maximum number of requests that start per second; None for no limit.
        cache: stores the scores.
    """

    def __init__(self, name: str, service: Service, concurrency: int, per_second: float | None, cache: AnswerCache):
        super().__init__()
        self.name, self.version = name, service.url
        self._service, self._cache = service, cache
        self._limits = {"concurrency": concurrency, "per_second": per_second}
        self._served: set[str] = set()

    @property
    def served(self) -> str:
        """The model or models that the service said it used."""
        return ", ".join(sorted(self._served))

    def _score(self, texts: list[str]) -> np.ndarray:
        requests = [("score 1", self.name, self._service.url, text) for text in texts]
        answers = ask_all(requests, lambda request: self._ask(request[-1]), self._cache, what=self.name, **self._limits)
        self.failures.update(answers.failures)
        self._served.update(answer["served"] for answer in answers.values if answer and answer["served"])
        return np.array([answer["score"] if answer else np.nan for answer in answers.values], np.float64)

    @abstractmethod
    def _ask(self, text: str) -> dict:
        """`score`, a number in [0, 1], and `served` for one text. Raises the errors of `Service.post`."""


class PerspectiveScorer(RemoteScorer):
    """Perspective API: the probability that a reader finds a text toxic, or that another attribute applies.

    Args:
        said: the option and its value.
        attribute: "" for TOXICITY.
        url, concurrency, per_second, cache: see `scorers.open_scorer`.
    """

    def __init__(
        self, said: str, attribute: str, url: str | None, concurrency: int, per_second: float | None, cache: AnswerCache
    ):
        self._attribute = attribute or "TOXICITY"
        if not _ATTRIBUTE.fullmatch(self._attribute):
            raise SlungError(
                f"{said}: {attribute!r} is not an attribute; expected a name such as TOXICITY or IDENTITY_ATTACK"
            )
        service = Service(said, url or PERSPECTIVE, "PERSPECTIVE_API_KEY", ("X-Goog-Api-Key", ""), required=True)
        # a key allows one request per second unless Google granted more
        per_second = 1.0 if per_second is None else per_second
        super().__init__(f"perspective:{self._attribute}", service, concurrency, per_second, cache)
        self._ends = url is None
        if self._ends:
            LOG.warning(
                "slung: %s: Perspective API ends on %s, and its scores cannot be reproduced after that; use `detoxify` "
                "or `moderation` for results that others should reproduce",
                said,
                PERSPECTIVE_ENDS,
            )

    def _ask(self, text: str) -> dict:
        body = {
            "comment": {"text": text},
            "languages": ["en"],
            "requestedAttributes": {self._attribute: {}},
            "doNotStore": True,
        }
        reason = None
        try:
            return self._service.post("/v1alpha1/comments:analyze", body, self._read)
        except Refused as refused:
            if not self._is_over() or refused.reason not in _ENDED:
                raise
            reason = f"{self._service.said}: {self._service.host} is not available ({refused.reason})"
        except SlungError as error:
            if not self._is_over():
                raise
            reason = str(error)
        raise SlungError(
            f"{reason}; Perspective API was to end on {PERSPECTIVE_ENDS}: use detoxify, moderation, or the URL of a "
            "replacement service"
        )

    def _is_over(self) -> bool:
        return self._ends and date.today() > PERSPECTIVE_ENDS

    def _read(self, reply: dict) -> dict:
        return {"score": _probability(reply["attributeScores"][self._attribute]["summaryScore"]["value"]), "served": ""}


class ModerationScorer(RemoteScorer):
    """OpenAI's moderation endpoint, or a compatible one: the highest score of all its categories.

    Args:
        said: the option and its value.
        model: "" for omni-moderation-2024-09-26.
        url, concurrency, per_second, cache: see `scorers.open_scorer`.
    """

    def __init__(
        self, said: str, model: str, url: str | None, concurrency: int, per_second: float | None, cache: AnswerCache
    ):
        self._model = model or "omni-moderation-2024-09-26"
        service = openai_service(said, url)
        super().__init__(f"moderation:{self._model}", service, concurrency, per_second, cache)

    def _ask(self, text: str) -> dict:
        return self._service.post("/moderations", {"model": self._model, "input": text}, self._read)

    def _read(self, reply: dict) -> dict:
        scores = [_probability(score) for score in reply["results"][0]["category_scores"].values()]
        return {"score": max(scores), "served": served_model(reply)}


def openai_service(said: str, url: str | None) -> Service:
    """OpenAI, or a compatible service at `url`.

    The OpenAI key is only ever sent to OpenAI. Other services use SLUNG_API_KEY, which is optional.
    """
    official = url is None or is_openai(url)
    variable = "OPENAI_API_KEY" if official else "SLUNG_API_KEY"
    return Service(said, url or OPENAI, variable, ("Authorization", "Bearer "), required=official)


def is_openai(url: str) -> bool:
    """Whether the address is OpenAI's."""
    return host_of(url) == "api.openai.com"


def served_model(reply: dict) -> str:
    """The model named in a reply, cut to 100 characters; "" if the reply names none."""
    model = reply.get("model")
    return model[:100] if isinstance(model, str) else ""


def _probability(value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("not a probability")
    return float(value)
