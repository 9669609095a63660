"""Which of several entities a text is about, read from hidden states by a linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import probe

FOLDS = 5
"""Parts of the occurrences, each of which is tested with a probe of the others. An entity needs so many occurrences."""


class Probed(NamedTuple):
    """What the probes said, in the order of the occurrences.

    Attributes:
        right: whether the probe of the chosen layer named the entity, bool `[occurrences]`.
        shuffled: the same of a probe that was trained on shuffled entities.
        chosen: the index of the layer, int `[occurrences]`.
        of_layers: whether the probe of each layer did, bool `[layers, occurrences]`.
    """

    right: np.ndarray
    shuffled: np.ndarray
    chosen: np.ndarray
    of_layers: np.ndarray


def probed(states: Sequence[np.ndarray], entities: Sequence[str], seed: int = 0) -> Probed:
    """Test each occurrence with probes that were trained on others.

    If there are several layers, each part's layer is the one that does best on a fifth of the training occurrences.

    Args:
        states: of each layer, float `[occurrences, width]`.
        entities: of each occurrence. Each of at least two entities has at least `FOLDS` occurrences.
        seed: of the parts and of the shuffling.
    """
    _, numbers = np.unique(np.asarray(entities), return_inverse=True)
    random = np.random.default_rng(seed)
    part, size = parts(numbers, random), len(numbers)
    right, shuffled = np.zeros(size, bool), np.zeros(size, bool)
    chosen, of_layers = np.zeros(size, int), np.zeros((len(states), size), bool)
    for test in range(FOLDS):
        train, held = np.flatnonzero(part != test), np.flatnonzero(part == test)
        for layer, its in enumerate(states):
            of_layers[layer, held] = named(its[train], numbers[train], its[held]) == numbers[held]
        best = 0
        if len(states) > 1:
            inner = part[train] == (test + 1) % FOLDS
            fit, rest = train[~inner], train[inner]
            scores = [(named(its[fit], numbers[fit], its[rest]) == numbers[rest]).mean() for its in states]
            best = int(np.argmax(scores))
        chosen[held], right[held] = best, of_layers[best, held]
        wrong = random.permutation(numbers[train])
        shuffled[held] = named(states[best][train], wrong, states[best][held]) == numbers[held]
    return Probed(right, shuffled, chosen, of_layers)


def parts(numbers: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Which of the `FOLDS` parts each occurrence is in: the occurrences of each entity are spread over all parts."""
    found = np.zeros(len(numbers), int)
    for number in np.unique(numbers):
        places = random.permutation(np.flatnonzero(numbers == number))
        found[places] = np.arange(len(places)) % FOLDS
    return found


def named(train: np.ndarray, numbers: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The entity that a probe names for each test occurrence, int `[m]`.

    Args:
        train: float `[n, width]`.
        numbers: the entity of each, int `[n]`.
        test: float `[m, width]`.
    """
    scores = probe.scores(train, numbers, test)  # (m,) for two classes, else (m, classes)
    classes = np.unique(numbers)
    return classes[(scores >= 0).astype(int) if scores.ndim == 1 else scores.argmax(-1)]


def by_chance(entities: Sequence[str]) -> float:
    """How often the most frequent entity is the right answer; 1 / n if all occur equally often."""
    return float(np.unique(np.asarray(entities), return_counts=True)[1].max() / len(entities))
