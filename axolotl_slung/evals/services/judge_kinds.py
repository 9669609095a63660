"""Opens the judge that a specification names."""

from __future__ import annotations

from ...errors import SlungError
from .answers import AnswerCache
from .judge import Judge
from .judge_local import LocalJudge
from .judge_served import ServedJudge


def open_judge(
    spec: str,
    *,
    key: str = "SLUNG_JUDGE",
    url: str | None = None,
    concurrency: int = 8,
    per_second: float | None = None,
    cache: AnswerCache | None = None,
) -> Judge:
    """Open a judge.

    Args:
        spec: `openai:MODEL` or `hf:MODEL`. The first is a model at OpenAI, with the key in OPENAI_API_KEY, or at a
            compatible service at `url`, with an optional key in SLUNG_API_KEY. The second is a folder or a model of the
            Hugging Face hub, which runs locally.
        key: the option that `spec` comes from; errors begin with it.
        url: the service's address, if not OpenAI's.
        concurrency: the maximum number of parallel requests to a service.
        per_second: the maximum number of requests that start per second; None for no limit.
        cache: stores the verdict words of replies; None for the default cache.

    Raises:
        SlungError: the kind or the model is unknown, the key is missing, or the name of an OpenAI model has no date.
    """
    said = f"{key}={spec!r}"
    kind, _, model = spec.partition(":")
    if kind not in ("openai", "hf") or not model:
        raise SlungError(
            f"{said}: unknown judge; expected openai:MODEL (any compatible service, with {key}_URL) or hf:MODEL"
        )
    cache = AnswerCache() if cache is None else cache
    if kind == "openai":
        return ServedJudge(said, model, url, concurrency, per_second, cache)
    if url is not None:
        raise SlungError(f"{said}: a local model has no URL; unset {key}_URL, or use openai:MODEL")
    return LocalJudge(said, model, cache)
