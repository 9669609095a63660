"""Maps from a scorer's scores to the scale of frozen ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import SlungError
from ..storage import read_text, write_private
from .measures.scorer_agreement import Agreement, agreement

FORMAT = 1
FOLDS = 5


class Map(NamedTuple):
    """A map for one scorer. It never falls, and is straight between its knots.

    Attributes:
        scorer: `name`, `version` and `served` of the scorer that it was made for.
        scores: float64, ascending: the scorer's scores at the knots.
        frozen: float64, never falling: what they mean on the frozen scale.
        made: how it was made.
    """

    scorer: dict
    scores: np.ndarray
    frozen: np.ndarray
    made: dict

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The mapped scores. NaN stays NaN."""
        return np.interp(scores, self.scores, self.frozen)


class Calibrated(NamedTuple):
    """A map, and figures before and after. The figures after it are of texts that the map was not made from."""

    map: Map
    before: Agreement
    after: Agreement


def calibrate(scores: np.ndarray, frozen: np.ndarray, prompts: Sequence[int], scorer: dict, about: dict) -> Calibrated:
    """Fit a map that never falls (isotonic regression) from scores to frozen scores.

    Args:
        scores: float `[n]`, without NaN.
        frozen: float `[n]`.
        prompts: for each text the number of its prompt. A prompt's texts are in the same one of five folds.
        scorer: see `Map`.
        about: what the map says of the data.

    Raises:
        SlungError: there are fewer than ten prompts.
    """
    prompts = np.asarray(prompts)
    numbers = np.unique(prompts)
    if len(numbers) < 2 * FOLDS:
        raise SlungError(f"--data: {len(numbers)} prompts are too few to make a map from; give at least {2 * FOLDS}")
    folds = dict(zip(numbers.tolist(), np.random.default_rng(0).permutation(len(numbers)) % FOLDS))
    fold_of = np.array([folds[prompt] for prompt in prompts.tolist()])
    mapped = np.empty(len(scores))
    for fold in range(FOLDS):
        ours = fold_of == fold
        mapped[ours] = np.interp(scores[ours], *_knots(scores[~ours], frozen[~ours]))
    made = {"data": about, "folds": FOLDS, "scikit-learn": version("scikit-learn")}
    found = Map(scorer, *_knots(scores, frozen), made)
    return Calibrated(found, agreement(scores, frozen, prompts), agreement(mapped, frozen, prompts))


def _knots(scores: np.ndarray, frozen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1).fit(scores, frozen)
    return np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)


def write_map(path: Path, calibrated: Calibrated) -> None:
    """Write a map as JSON.

    Raises:
        FileError: the file cannot be written.
    """
    found = calibrated.map
    figures = {when: figures_of(getattr(calibrated, when)) for when in ("before", "after")}
    knots = [[float(score), float(value)] for score, value in zip(found.scores, found.frozen)]
    content = {"format": FORMAT, "scorer": found.scorer, **found.made, "figures": figures, "knots": knots}
    write_private(path, json.dumps(content, indent=1) + "\n")


def read_map(said: str, path: Path) -> Map:
    """Read a map.

    Args:
        said: where `path` comes from and its value; errors begin with it.
        path: the file.

    Raises:
        SlungError: it cannot be read, or is another kind of file.
    """
    text = read_text(said, path)
    try:
        content = json.loads(text)
        scores, frozen = np.array(content["knots"], np.float64).T
        scorer = {name: str(content["scorer"][name]) for name in ("name", "version", "served")}
        ok = content["format"] == FORMAT and len(scores) and np.isfinite([scores, frozen]).all()
        ok = ok and (np.diff(scores) > 0).all() and (np.diff(frozen) >= 0).all() and 0 <= frozen[0] <= frozen[-1] <= 1
    except (ValueError, LookupError, TypeError):
        ok = False
    if not ok:
        raise SlungError(f"{said}: {path.name}: is not a scorer's map; make one with `slung scorer calibrate`")
    return Map(scorer, scores, frozen, {})


def figures_of(found: Agreement) -> dict:
    """The figures for JSON: numbers, and value, low and high of those with an interval; None for NaN."""

    def plain(value):
        return None if value != value else value

    return {
        name: {part: plain(number) for part, number in value._asdict().items()}
        if isinstance(value, tuple)
        else plain(value)
        for name, value in found._asdict().items()
    }
