"""Fits a scorer to frozen scores: to n-grams, or to the hidden states of a model."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ... import __version__, regression
from ...errors import SlungError
from ...labeling.base import utf8_safe
from ..frozen import read_frozen, read_more
from ..measures.scorer_agreement import agreement
from . import ngrams, states
from .file import FORMAT, FittedFile, digests_of

BUCKETS = 1 << 17
NGRAM_PENALTIES = (0.3, 0.1, 0.03)
STATE_PENALTIES = (1000.0, 300.0, 100.0)
HELD_OUT = 0.2
"""The share of prompts on which the penalty, layer and pooling are chosen."""


class _Data(NamedTuple):
    """What a scorer is fitted to.

    Attributes:
        texts: the frozen texts, then the others.
        scores, weights: float64, one per text.
        held_out: bool, one per text; others are never held out.
        rows: the number of the prompt of each frozen text.
        about: what the card says of it.
        seen: see `FittedFile`.
    """

    texts: list[str]
    scores: np.ndarray
    weights: np.ndarray
    held_out: np.ndarray
    rows: np.ndarray
    about: dict
    seen: np.ndarray


class _Tried(NamedTuple):
    """A setting that was tried, and its mean cross-entropy on the held-out texts."""

    loss: float
    setting: dict
    logits: np.ndarray


def fit_ngrams(data: Path, also: Sequence[Path] = (), seed: int = 0) -> FittedFile:
    """Fit a regression on n-grams. The penalty is chosen on held-out prompts; then all texts are fitted.

    Args:
        data: see `frozen.read_frozen`.
        also: see `frozen.read_more`.
        seed: decides which prompts are held out.

    Raises:
        SlungError: the data cannot be used.
    """
    given = _read(data, also, seed)
    counted = [ngrams.counts(given.texts[some], BUCKETS) for some in ngrams.batches(len(given.texts))]
    fitted = ~given.held_out
    weights = _rarity(counted, fitted)
    features = _matrix(counted, weights, len(given.texts))
    tried, coefficients = [], None
    for penalty in NGRAM_PENALTIES:
        # each begins where the one before ended, which is faster and ends at the same place
        part = features[fitted], given.scores[fitted], given.weights[fitted]
        coefficients = _fit_columns(*part, penalty, coefficients)
        tried.append(_tried(features[given.held_out], coefficients, given, {"penalty": penalty}))
    best = min(tried, key=lambda one: one.loss)
    # half precision is the file's: the weights are rounded before the coefficients are fitted to them
    weights = _rarity(counted, np.ones_like(fitted)).astype(np.float16)
    features = _matrix(counted, weights, len(given.texts))
    coefficients = _fit_columns(features, given.scores, given.weights, best.setting["penalty"])
    card = _card("n-grams", given, tried, best, seed)
    return FittedFile(card, coefficients.astype(np.float16), weights, given.seen)


def fit_states(model: str, data: Path, also: Sequence[Path] = (), seed: int = 0) -> FittedFile:
    """Fit a regression on hidden states. Layer, pooling and penalty are chosen on held-out prompts.

    Args:
        model: a folder, or a name on the hub.
        data, also, seed: see `fit_ngrams`.

    Raises:
        SlungError: the model or the data cannot be used.
    """
    given = _read(data, also, seed)
    source = states.StateModel(f"--model {model!r}", model)
    wanted = states.all_states(source.layers)
    fitted, tried = ~given.held_out, []
    all_features = source.states(given.texts, wanted, progress=True)
    for (layer, pooling), features in zip(wanted, all_features):
        scaled = _scaled(features, fitted)[0]
        coefficients = None
        for penalty in STATE_PENALTIES:
            part = scaled[fitted], given.scores[fitted], given.weights[fitted]
            coefficients = regression.fit(*part, penalty, coefficients)
            setting = {"layer": layer, "pooling": pooling, "penalty": penalty}
            tried.append(_tried(scaled[given.held_out], coefficients, given, setting))
    best = min(tried, key=lambda one: one.loss)
    features = all_features[wanted.index((best.setting["layer"], best.setting["pooling"]))]
    scaled, center, spread = _scaled(features, np.ones_like(fitted))
    coefficients = regression.fit(scaled, given.scores, given.weights, best.setting["penalty"])
    # for states as they are
    slopes = coefficients[:-1] / spread
    coefficients = np.append(slopes, coefficients[-1] - slopes @ center)
    card = _card("hidden states", given, tried, best, seed) | {"model": model, "identity": source.identity}
    return FittedFile(card, coefficients, np.zeros(0, np.float16), given.seen)


def _read(data: Path, also: Sequence[Path], seed: int) -> _Data:
    frozen = read_frozen("--data", data)
    others = [read_more("--also", path) for path in also]
    count = 1 + max(text.row for text in frozen.texts)
    rows = np.array([text.row for text in frozen.texts])
    held_out_rows = np.random.default_rng(seed).permutation(count)[: round(HELD_OUT * count)]
    held_out = np.isin(rows, held_out_rows)
    if not 2 <= held_out.sum() < len(rows):
        raise SlungError(f"--data: {data}: {count} prompts are too few to hold some out; give at least ten")
    extra = sum(len(texts) for texts, *_ in others)
    about = {"data": frozen.about, "also": [more[-1] for more in others]}
    return _Data(
        [utf8_safe(text) for text in [*(one.text for one in frozen.texts), *(t for more in others for t in more[0])]],
        np.concatenate([[one.score for one in frozen.texts], *(scores for _, scores, *_ in others)]),
        np.concatenate([np.ones(len(rows)), *(weights for *_, weights, _ in others)]),
        np.concatenate([held_out, np.zeros(extra, bool)]),
        rows,
        about,
        np.unique(digests_of({one.text for one in frozen.texts if not one.continuation})),
    )


def _rarity(counted: list[ngrams.Cells], fitted: np.ndarray) -> np.ndarray:
    """The inverse document frequency of each column over the fitted texts, float64 `[2 * BUCKETS]`."""
    documents = np.zeros(2 * BUCKETS)
    for some, cells in zip(ngrams.batches(len(fitted)), counted):
        documents += np.bincount(cells.columns[fitted[some][cells.rows]], minlength=2 * BUCKETS)
    return np.log((1 + fitted.sum()) / (1 + documents)) + 1


def _matrix(counted: list[ngrams.Cells], weights: np.ndarray, texts: int):
    """The weighed cells of all texts as a scipy CSR matrix."""
    from scipy.sparse import csr_matrix, vstack

    parts = []
    for some, cells in zip(ngrams.batches(texts), counted):
        here = len(range(texts)[some])
        rows, columns, values = ngrams.weighed(cells, weights, here)
        parts.append(csr_matrix((values, (rows, columns)), (here, len(weights))))
    return vstack(parts, format="csr")


def _fit_columns(features, scores: np.ndarray, weights: np.ndarray, penalty: float, start: np.ndarray | None = None):
    """`regression.fit` over the columns that a text has. The others' coefficients are 0, and most are such columns."""
    used = np.unique(features.indices)
    found = np.zeros(features.shape[1] + 1)
    places = np.append(used, features.shape[1])
    found[places] = regression.fit(
        features[:, used], scores, weights, penalty, None if start is None else start[places]
    )
    return found


def _scaled(features: np.ndarray, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with mean 0 and variance 1 over the fitted texts, these means, and these standard deviations."""
    features = features.astype(np.float64)
    center, spread = features[fitted].mean(0), features[fitted].std(0)
    spread[spread == 0] = 1
    return (features - center) / spread, center, spread


def _tried(features, coefficients: np.ndarray, given: _Data, setting: dict) -> _Tried:
    logits = features @ coefficients[:-1] + coefficients[-1]
    return _Tried(regression.cross_entropy(logits, given.scores[given.held_out]), setting, logits)


def _card(kind: str, given: _Data, tried: list[_Tried], best: _Tried, seed: int) -> dict:
    held_out = given.held_out[: len(given.rows)]
    figures = agreement(regression.sigmoid(best.logits), given.scores[given.held_out], given.rows[held_out])
    return {
        "format": FORMAT,
        "kind": kind,
        "chosen": best.setting,
        "tried": [{**one.setting, "cross_entropy": round(one.loss, 5)} for one in tried],
        # of the chosen setting before it was fitted to these prompts too; the choice makes them a little too good
        "held_out": {
            "prompts": figures.prompts,
            "texts": figures.n,
            **{
                name: round(getattr(figures, name).value, 4)
                for name in ("auroc", "average_precision", "bias", "mean_absolute_error")
            },
        },
        **given.about,
        "seed": seed,
        "versions": {
            "axolotl-slung": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy")},
        },
    }
