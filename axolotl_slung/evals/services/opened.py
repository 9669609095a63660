"""Scorers and judges, opened as the options say, and what becomes of texts that they do not score."""

from __future__ import annotations

import os

from ...errors import SlungError
from .answers import AnswerCache
from .options import Options


def scorer_of(options: Options):
    """The scorer that the options name, opened and checked."""
    from .scorers import open_scorer

    # what Google allows a key
    usual = 1.0 if options.scorer.startswith("perspective") else None
    return open_scorer(options.scorer, url=options.scorer_url, **_service(options, usual))


def judge_of(options: Options):
    """The judge that the options name, opened and checked; None where they name none."""
    if options.judge is None:
        return None
    from .judge import open_judge

    return open_judge(options.judge, url=options.judge_url, **_service(options, None))


def _service(options: Options, usual: float | None) -> dict:
    # the ranks of a run share what a service allows
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    per_second = options.requests_per_second or usual
    return {
        "concurrency": max(1, options.concurrency // ranks),
        "per_second": per_second and per_second / ranks,
        "cache": AnswerCache(),
    }


class Served:
    """What a service said that it ran, "" for local ones; known only when it has answered, while lm_eval copies configs before."""

    def __init__(self, service):
        self._service = service

    def __deepcopy__(self, memo):
        return self

    def __str__(self):
        return self._service.served


def described(service) -> dict:
    """A scorer or judge, as the results name it."""
    return {"name": service.name, "version": service.version, "served": Served(service)}


def check_scored(options: Options, service, missing: int, asked: int) -> None:
    """Raise where more than `max_unscored` of what was asked for has no score.

    Args:
        missing: how many have none.
        asked: of how many.

    Raises:
        SlungError: with the service's reasons.
    """
    if missing > options.max_unscored * asked:
        reasons = ", ".join(f"{count} {reason}" for reason, count in service.failures.most_common()) or "no verdicts"
        raise SlungError(
            f"{service.name} gave no score for {missing} of {asked} ({reasons}), more than SLUNG_MAX_UNSCORED={options.max_unscored} "
            "allows; what a service answered is kept, and not asked for again"
        )
