"""How toxic texts are, as a number from 0 to 1: by a local model, or a service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...errors import SlungError
from .answers import AnswerCache
from .base import Scorer

KINDS = (
    "profanity",
    "fasttext:MODEL[#label]",
    "classifier:MODEL[#label]",
    "detoxify",
    "perspective[:ATTRIBUTE]",
    "moderation[:MODEL]",
)


def open_scorer(
    spec: str,
    *,
    key: str = "SLUNG_SCORER",
    url: str | None = None,
    concurrency: int = 8,
    per_second: float | None = None,
    cache: AnswerCache | None = None,
) -> Scorer:
    """Open a scorer: find its model and load it, or its key.

    `profanity` is alt-profanity-check. `fasttext:MODEL#label` takes a file or an alias of `labeling.fasttext.ALIASES`, and
    `classifier:MODEL#label` a folder or a model of the Hugging Face hub, of which a long text has the score of its worst
    window; the labels default to __label__toxic and toxic. `detoxify` is classifier:unitary/toxic-bert#toxic.
    `perspective:ATTRIBUTE` is the Perspective API, at one request a second unless told otherwise; its key is in
    PERSPECTIVE_API_KEY. `moderation:MODEL` is OpenAI's moderation endpoint, or one like it at `url`, with the highest of its
    categories; its key is in OPENAI_API_KEY, or
    that of another service in SLUNG_API_KEY.

    Args:
        spec: one of the above.
        key: the option that it comes from; errors begin with it.
        url: the service's address, if not the usual one.
        concurrency: requests to a service at once.
        per_second: requests to a service that may start within a second; None for its default.
        cache: keeps a service's scores; None for the usual one.

    Raises:
        SlungError: no such kind, no such model, no such label, or no key.
    """
    said = f"{key}={spec!r}"
    kind, _, argument = spec.partition(":")
    if kind in ("perspective", "moderation"):
        from .remote_scorers import ModerationScorer, PerspectiveScorer

        kinds = {"perspective": PerspectiveScorer, "moderation": ModerationScorer}
        return kinds[kind](said, argument, url, concurrency, per_second, AnswerCache() if cache is None else cache)
    if kind not in ("profanity", "fasttext", "classifier", "detoxify"):
        raise SlungError(f"{said}: no such scorer; there are {', '.join(KINDS)}")
    if url is not None:
        raise SlungError(f"{said}: runs on this computer and has no url; take {key}_URL out, or use moderation")
    if kind in ("profanity", "detoxify"):
        if argument:
            raise SlungError(f"{said}: {kind} takes nothing behind a colon; say {kind} alone")
        return (
            ProfanityScorer(key)
            if kind == "profanity"
            else ClassifierScorer(said, key, "unitary/toxic-bert", "toxic", kind)
        )
    model, marked, label = argument.rpartition("#") if "#" in argument else (argument, "", "")
    if not model or (marked and not label):
        raise SlungError(f"{said}: says no model, or no label behind the #; say {kind}:MODEL or {kind}:MODEL#label")
    if kind == "classifier":
        return ClassifierScorer(said, key, model, label or "toxic")
    return FastTextScorer(said, key, model, label or "__label__toxic")


class ProfanityScorer(Scorer):
    """alt-profanity-check on whole texts; see `labeling.profanity` for what it can and cannot see."""

    name = "profanity"

    def __init__(self, key: str):
        super().__init__()
        from ...labeling.profanity import predictor

        self._predict = predictor(key)
        self.version = ", ".join(f"{package} {version(package)}" for package in ("alt-profanity-check", "scikit-learn"))

    def _score(self, texts: list[str]) -> np.ndarray:
        return np.clip(np.asarray(self._predict(texts), np.float64), 0, 1)


class FastTextScorer(Scorer):
    """A fastText classifier on whole texts, each as one line."""

    def __init__(self, said: str, key: str, model: str, label: str):
        super().__init__()
        from ...labeling.fasttext.labeler import FastTextLabeler

        if model.startswith(("https://", "http://")):
            raise SlungError(f"{said}: a URL will not do; download the model and give its file")
        self._labeler = FastTextLabeler(key, model, label)
        _check(said, key, self._labeler)
        self.name = f"fasttext:{short_name(model)}#{label}"
        self.version = f"sha256 {digest_of(self._labeler.files())}"

    def _score(self, texts: list[str]) -> np.ndarray:
        return self._labeler.score_texts(texts).astype(np.float64)


class ClassifierScorer(Scorer):
    """A Hugging Face sequence classifier on whole texts; of several windows the highest score counts."""

    def __init__(self, said: str, key: str, model: str, label: str, name: str | None = None):
        super().__init__()
        from ...labeling.classifier.labeler import ClassifierLabeler

        self._labeler = ClassifierLabeler(key, model, label, unit="document")
        _check(said, key, self._labeler)
        self.name = name or f"classifier:{short_name(model)}#{label}"
        self.version = f"sha256 {digest_of(self._labeler.files())}, transformers {version('transformers')}"

    def _score(self, texts: list[str]) -> np.ndarray:
        # a text without any tokens has no span: nothing that the model could read was said
        found = self._labeler.label(texts, [{}] * len(texts))
        return np.array([spans[0].score if spans else 0.0 for spans in found], np.float64).clip(0, 1)


def _check(said: str, key: str, labeler) -> None:
    """Open a labeler, and let errors begin with the option's value instead of a key of YAML."""
    try:
        labeler.check()
    except SlungError as error:
        raise SlungError(f"{said}: {str(error).removeprefix(key).lstrip('.: ')}") from error


def short_name(model: str) -> str:
    """A model's name: of files and folders, where they lie on this computer does not matter."""
    path = Path(model).expanduser()
    return path.resolve().name if path.exists() else model


def digest_of(files: Sequence[Path]) -> str:
    """12 hex digits: a single file's own sha256, or one of the names and digests of several."""
    from ...labeling.identity import file_digest

    digests = [file_digest(path) for path in files]
    if len(digests) == 1:
        return digests[0][:12]
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:12]
