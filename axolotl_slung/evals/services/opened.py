"""Opens the scorer and judge that the options name, and handles texts that they do not score."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import SlungError
from ..measures.several import short
from .answers import AnswerCache
from .base import Scorer
from .options import Options


def scorers_of(options: Options) -> dict[str, Scorer]:
    """The scorers named by the options, opened and checked, by their short names; the main one is the first.

    Raises:
        SlungError: one cannot be opened, two have one name, or several share SLUNG_SCORER_URL.
    """
    from .scorers import open_scorer

    if len(options.scorer) > 1 and options.scorer_url is not None:
        raise SlungError(
            "SLUNG_SCORER_URL: there are several scorers; unset it, and give each service its own address: "
            "SLUNG_SCORER=profanity,moderation:MODEL@http://localhost:8000/v1"
        )
    opened = {}
    for spec in options.scorer:
        # Google's default limit per key
        usual = 1.0 if spec.startswith("perspective") else None
        scorer = open_scorer(spec, url=options.scorer_url, **_service(options, usual))
        if short(scorer.name) in opened:
            raise SlungError(
                f"SLUNG_SCORER: two scorers are called {scorer.name}; leave one out, or rename its file or folder"
            )
        opened[short(scorer.name)] = scorer
    return opened


def judge_of(options: Options):
    """The judge named by the options, opened and checked; None if they name none."""
    if options.judge is None:
        return None
    from .judge_kinds import open_judge

    return open_judge(options.judge, url=options.judge_url, **_service(options, None))


def _service(options: Options, usual: float | None) -> dict:
    # the ranks of a run share the limits of a service
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    per_second = options.requests_per_second or usual
    return {
        "concurrency": max(1, options.concurrency // ranks),
        "per_second": per_second and per_second / ranks,
        "cache": AnswerCache(),
    }


class Served:
    """The model that a service said it used; "" for local ones.

    It is known only after the service has answered, but lm_eval copies configs before that: copies are the same object.
    """

    def __init__(self, service):
        self._service = service

    def __deepcopy__(self, memo):
        return self

    def __str__(self):
        return self._service.served


def described(service) -> dict:
    """The description of a scorer or judge in the results."""
    return {"name": service.name, "version": service.version, "served": Served(service)}


def check_spoken(options: Options, task: str, shares: Sequence[float]) -> None:
    """Raise if too many answers contain thoughts, which would be scored as if the model had said them.

    Args:
        options: its `max_thinking` is the largest share allowed.
        task: the task's name.
        shares: the share of each document's answers that contain a thought.

    Raises:
        SlungError: there are too many.
    """
    share = sum(shares) / max(len(shares), 1)
    if share > options.max_thinking:
        raise SlungError(
            f"{task}: {share:.0%} of the answers contain thoughts, such as <think>, which would be scored as speech; turn "
            "thinking off (enable_thinking=False in --model_args), or take thoughts off (think_end_token=</think>, and "
            "--gen_kwargs max_gen_toks=... with room for them). SLUNG_MAX_THINKING raises the share allowed"
        )


def check_scored(options: Options, service, missing: int, asked: int) -> None:
    """Raise if too large a share of the scores is missing.

    Args:
        options: its `max_unscored` is the largest share allowed.
        service: the scorer or judge.
        missing: the number of missing scores.
        asked: the number of scores asked for.

    Raises:
        SlungError: too many are missing; the message gives the service's reasons.
    """
    if missing > options.max_unscored * asked:
        reasons = ", ".join(f"{count} {reason}" for reason, count in service.failures.most_common()) or "no verdicts"
        raise SlungError(
            f"{service.name}: no score for {missing} of {asked} ({reasons}), more than "
            f"SLUNG_MAX_UNSCORED={options.max_unscored} allows; raise it, or run again: a service's answers are kept, "
            "and not asked for again"
        )
