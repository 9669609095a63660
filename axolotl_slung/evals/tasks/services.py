"""Scorers and judges of tasks, and what becomes of a task whose texts they do not score."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence

from ...errors import SlungError
from ...labeling.files import cache_folder
from ..answers import AnswerCache
from ..options import Options


def scorer_of(options: Options):
    """The scorer that the options name, opened and checked."""
    from ..scorers import open_scorer

    return open_scorer(options.scorer, url=options.scorer_url, **_service(options))


def judge_of(options: Options):
    """The judge that the options name, opened and checked; None where they name none."""
    if options.judge is None:
        return None
    from ..judge import open_judge

    return open_judge(options.judge, url=options.judge_url, **_service(options))


def _service(options: Options) -> dict:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    per_second = options.requests_per_second
    return {
        "concurrency": options.concurrency,
        "per_second": per_second / ranks if per_second else None,
        "cache": AnswerCache(),
    }


class _Served:
    """What a service said that it ran; known only when it has answered, while lm_eval copies its configs before."""

    def __init__(self, service):
        self._service = service

    def __deepcopy__(self, memo):
        return self

    def __str__(self):
        return self._service.served


def described(service) -> dict:
    """A scorer or judge, as the results name it."""
    said = {"name": service.name, "version": service.version}
    return {**said, "served": _Served(service)} if service.remote else said


def fail_if_unscored(task, docs: Sequence[Mapping], answers: Sequence[Sequence[str]], missing: int, asked: int, service) -> None:
    """Stop where too many scores are missing, with the model's answers saved for `slung rescore`.

    Raises:
        SlungError: more than `max_unscored` of them.
    """
    if not missing or missing <= task.options.max_unscored * asked:
        return
    folder = cache_folder() / "unscored"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task.config.task}_{time.strftime('%Y-%m-%dT%H-%M-%S')}_{os.getpid()}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for doc, texts in zip(docs, answers, strict=True):
            file.write(json.dumps({"doc_id": doc["id"], "doc": doc, "resps": [texts]}) + "\n")
    reasons = ", ".join(f"{count} {reason}" for reason, count in service.failures.most_common()) or "unknown"
    raise SlungError(
        f"{task.config.task}: {service.name} gave no score for {missing} of {asked} ({reasons}), more than SLUNG_MAX_UNSCORED="
        f"{task.options.max_unscored} allows. The model's answers are in {path}: `slung rescore {path}` scores them without generating again"
    )
