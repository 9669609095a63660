"""Opens the scorer and judge that the options name, and handles texts that they do not score."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...errors import SlungError, get_logger
from ..measures import controls
from ..measures.several import short
from .answers import AnswerCache
from .base import Scorer
from .options import Options

LOG = get_logger(__name__)


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


def check_read(options: Options, task: str, unread: Sequence[bool | int]) -> None:
    """Raise if the model's numbers for too many comments are NaN or infinite.

    Raises:
        SlungError: there are more than `max_unscored` allows.
    """
    missing = sum(map(int, unread))
    if missing > options.max_unscored * len(unread):
        raise SlungError(
            f"{task}: the model gives NaN or infinity for {missing} of {len(unread)} comments; load it with "
            "dtype=bfloat16 or dtype=float32 in --model_args. SLUNG_MAX_UNSCORED raises the share allowed"
        )


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


def checked_judge(options: Options, judge, docs: Sequence[Mapping]) -> dict[int, list[controls.Judged]]:
    """Ask the judge about answers whose verdict is known, and raise if it is wrong about too many.

    Args:
        options: `judge_controls` is the most documents to ask about, `judge_minimum` the least share of right verdicts.
        judge: see `judge_kinds.open_judge`.
        docs: the documents; see `controls.choose`.

    Returns:
        The controls' results by the document's `id`; see `controls.row`.

    Raises:
        SlungError: the judge is wrong too often, or gave too few verdicts. The message has the counts and no text.
    """
    chosen = controls.choose(docs, options.judge_controls)
    texts = [[getattr(one, name) for one in chosen] for name in ("question", "answer", "candidate")]
    if not judge.pinned:
        judge.forget(*texts)  # what it said in an earlier run shows nothing about this one
    verdicts = judge.judge(*texts)
    check_scored(options, judge, sum(one.failed + one.unparsed for one in verdicts), 2 * len(chosen))
    judge.failures.clear()  # what is counted later is about the model's answers
    found = controls.judged(chosen, verdicts)
    tallies = {
        metric: {kind: controls.tally(found, metric, kind) for kind in controls.KINDS} for metric in controls.METRICS
    }
    for kind, (_, _, asked) in tallies["correct"].items():
        if not asked:
            what = controls.KINDS[kind]
            LOG.warning("SLUNG_JUDGE: %s is not checked with %s, because the data has none that fit", judge.name, what)
    wrong = {
        kind
        for each in tallies.values()
        for kind, (right, known, asked) in each.items()
        if asked and right / max(known, 1) < options.judge_minimum
    }
    if wrong:
        faults = ["rejects right answers"] * ("reference" in wrong) + ["accepts wrong answers"] * (
            wrong != {"reference"}
        )
        raise SlungError(
            f"SLUNG_JUDGE: {judge.name} {' and '.join(faults)}. Of answers whose verdict is known, it is right about "
            f"{_told(tallies)}; at least SLUNG_JUDGE_MINIMUM={options.judge_minimum} of each is required. Use a better judge"
        )
    return found


def _told(tallies: Mapping[str, Mapping[str, tuple[int, int, int]]]) -> str:
    lines = []
    for metric, each in tallies.items():
        counts = (f"{right} of {known} {controls.KINDS[kind]}" for kind, (right, known, asked) in each.items() if asked)
        lines.append(f"{', '.join(counts)} ({metric})")
    return "; ".join(lines)
