"""Scorers: how toxic a text is, as a number from 0 to 1, by a local model or a service."""

from __future__ import annotations

import re

import numpy as np

from ...errors import SlungError
from .answers import AnswerCache
from .base import Scorer
from .local_models import ClassifierScorer, check_labeler, digest_of, short_name

KINDS = (
    "fitted[:FILE]",
    "profanity",
    "fasttext:MODEL[#label][#lowercase][#spaced_punctuation=CHARACTERS]",
    "classifier:MODEL[#label]",
    "toxic-bert[:FOLDER]",
    "unbiased-toxic-roberta[:FOLDER]",
    "roberta-toxicity[:FOLDER]",
    "deberta-perspective[:FOLDER]",
    "detoxify[:NAME]",
    "guard:NAME:MODEL",
    "perspective[:ATTRIBUTE]",
    "moderation[:MODEL]",
)


def split_specs(specs: str) -> tuple[str, ...]:
    """Split `a,b` into specifications of scorers. A comma separates only before the name of a kind of scorer.

    Names of files and models may have commas. Their option can also be given as a list in `--metadata`.
    """
    kinds = "|".join(dict.fromkeys(re.escape(re.match(r"[\w-]+", kind)[0]) for kind in KINDS))
    return tuple(re.split(rf"\s*,\s*(?=(?:{kinds})(?:[:@+,\s]|$))", specs.strip()))


def split_url(spec: str) -> tuple[str, str | None]:
    """Split `KIND@URL`, the specification of a scorer and the address of its service."""
    kind, at, url = re.fullmatch(r"(.*?)(?:(@)(https?://.*))?", spec, re.DOTALL).groups()
    return kind, url if at else None


def open_scorer(
    spec: str,
    *,
    key: str = "SLUNG_SCORER",
    url: str | None = None,
    concurrency: int = 8,
    per_second: float | None = None,
    cache: AnswerCache | None = None,
) -> Scorer:
    """Open a scorer: load its model, or find its key.

    - `fitted` is the regression on n-grams that comes with the package; `fitted:FILE` is one of `slung scorer fit`.
    - `profanity` is the model of alt-profanity-check.
    - `fasttext:MODEL#label` takes a file, or an alias of `labeling.fasttext.ALIASES`. The default label is
      __label__toxic. `#lowercase` and `#spaced_punctuation=.,!?` behind it are the options of `FastTextLabeler`.
    - `classifier:MODEL#label` takes a folder, or a model of the Hugging Face hub. A long text gets the score of its
      worst window. The default label is toxic.
    - `toxic-bert`, `unbiased-toxic-roberta`, `roberta-toxicity` and `deberta-perspective` are classifiers of the hub
      with their own label and activation; see `hub_scorers.ALIASES`.
    - `detoxify` is classifier:unitary/toxic-bert#toxic; `detoxify:NAME` is a model of the library Detoxify.
    - `guard:NAME:MODEL` is a generative guard (see `guards.GUARDS`): a local model, or one that a service at `url` runs.
    - `perspective:ATTRIBUTE` is the Perspective API, with the key in PERSPECTIVE_API_KEY. The default is one request
      per second.
    - `moderation:MODEL` is OpenAI's moderation endpoint, with the key in OPENAI_API_KEY, or a compatible one at `url`,
      with the key in SLUNG_API_KEY. The score is that of the highest category.
    - `SPEC+MAP.json` is any of these, its scores mapped by a file of `slung scorer calibrate`.

    Args:
        spec: one of the above. A service's may end in `@URL`, the same as `url`.
        key: the option that `spec` comes from; errors begin with it.
        url: the service's address, if not the usual one.
        concurrency: the maximum number of parallel requests to a service.
        per_second: the maximum number of requests that start per second; None for the service's default.
        cache: stores a service's scores; None for the default cache.

    Raises:
        SlungError: the kind, the model or the label is unknown, the key is missing, or the map is another scorer's.
    """
    if "+" in spec and spec.endswith(".json"):
        from .calibrated import CalibratedScorer, parts

        inner, path = parts(spec)
        # first, since it checks that the address in it has no password
        scorer = open_scorer(inner, key=key, url=url, concurrency=concurrency, per_second=per_second, cache=cache)
        return CalibratedScorer(f"{key}={spec!r}", scorer, path)
    spec, own_url = split_url(spec)
    url = own_url or url
    said = f"{key}={spec!r}"
    kind, _, argument = spec.partition(":")
    if kind in ("perspective", "moderation"):
        from .remote_scorers import ModerationScorer, PerspectiveScorer

        kinds = {"perspective": PerspectiveScorer, "moderation": ModerationScorer}
        return kinds[kind](said, argument, url, concurrency, per_second, AnswerCache() if cache is None else cache)
    if kind == "guard":
        return _open_guard(said, argument, url, concurrency, per_second, AnswerCache() if cache is None else cache)
    from .hub_scorers import ALIASES, AliasScorer, DetoxifyScorer

    if kind not in ("fitted", "profanity", "fasttext", "classifier", "detoxify", *ALIASES):
        raise SlungError(f"{said}: unknown scorer; expected one of {', '.join(KINDS)}")
    if url is not None:
        raise SlungError(f"{said}: a local model has no URL; unset {key}_URL, leave out @URL, or use moderation")
    if kind in ALIASES:
        return AliasScorer(said, key, kind, argument)
    if kind == "detoxify":
        if argument:
            return DetoxifyScorer(said, argument)
        return ClassifierScorer(said, key, "unitary/toxic-bert", "toxic", kind)
    if kind == "fitted":
        from ..fitted.scorer import FittedScorer

        return FittedScorer(said, argument)
    if kind == "profanity":
        if argument:
            raise SlungError(f"{said}: {kind} takes no argument; use {key}={kind}")
        return ProfanityScorer()
    argument, options = _fasttext_options(argument) if kind == "fasttext" else (argument, {})
    model, marked, label = argument.rpartition("#") if "#" in argument else (argument, "", "")
    if not model or (marked and not label):
        raise SlungError(f"{said}: no model, or no label after #; expected {kind}:MODEL or {kind}:MODEL#label")
    if kind == "classifier":
        return ClassifierScorer(said, key, model, label or "toxic")
    return FastTextScorer(said, key, model, label or "__label__toxic", **options)


def _fasttext_options(argument: str) -> tuple[str, dict]:
    """Split off how a fastText model's texts are prepared: `#lowercase`, then `#spaced_punctuation=` and characters."""
    argument, _, characters = argument.partition("#spaced_punctuation=")
    bare = argument.removesuffix("#lowercase")
    options = {"lowercase": True} if bare != argument else {}
    return bare, options | ({"spaced_punctuation": characters} if characters else {})


def _open_guard(
    said: str, argument: str, url: str | None, concurrency: int, per_second: float | None, cache: AnswerCache
) -> Scorer:
    from .guards import GUARDS

    kind, _, model = argument.partition(":")
    if kind not in GUARDS or not model:
        raise SlungError(
            f"{said}: unknown guard, or no model; expected guard:NAME:MODEL with a NAME of {', '.join(GUARDS)}"
        )
    if url is None:
        from .guard_local import LocalGuard

        return LocalGuard(said, kind, model, cache)
    from .guard_served import ServedGuard

    return ServedGuard(said, kind, model, url, concurrency, per_second, cache)


class ProfanityScorer(Scorer):
    """The model of alt-profanity-check on whole texts; see `labeling.profanity` for what it can and cannot see."""

    name = "profanity"

    def __init__(self):
        super().__init__()
        from ...labeling.profanity.model import ORIGIN, probabilities

        self._probabilities = probabilities
        # the same as in results of the package itself, which has the same scores: they may stand in one table
        self.version = ORIGIN

    def _score(self, texts: list[str]) -> np.ndarray:
        return self._probabilities(texts)


class FastTextScorer(Scorer):
    """A fastText classifier on whole texts, each as one line."""

    def __init__(
        self,
        said: str,
        key: str,
        model: str,
        label: str,
        lowercase: bool = False,
        spaced_punctuation: str | None = None,
    ):
        super().__init__()
        from ...labeling.fasttext.labeler import FastTextLabeler

        if model.startswith(("https://", "http://")):
            raise SlungError(f"{said}: expected a file, got a URL; download the model and give its file")
        self._labeler = FastTextLabeler(key, model, label, lowercase=lowercase, spaced_punctuation=spaced_punctuation)
        check_labeler(said, key, self._labeler)
        self.name = f"fasttext:{short_name(model)}#{label}{'#lowercase' * lowercase}"
        if spaced_punctuation:
            self.name += f"#spaced_punctuation={spaced_punctuation}"
        self.version = f"sha256 {digest_of(self._labeler.files())}"

    def _score(self, texts: list[str]) -> np.ndarray:
        return self._labeler.score_texts(texts).astype(np.float64)
