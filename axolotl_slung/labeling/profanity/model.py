"""The linear model of alt-profanity-check 1.9.1 in numpy, with the same scores.

`model.npz` holds the arrays of the original's scikit-learn objects. That package requires one exact version of
scikit-learn and of joblib; numpy is enough to apply the model. `benchmarks/profanity_model.py` made the file.
The model is under the MIT license, see `LICENSE` in this folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

FILE = Path(__file__).with_name("model.npz")

ORIGIN = "alt-profanity-check 1.9.1, scikit-learn 1.9.1"
"""The model's source, and the library that trained it."""

_words_of = re.compile(r"\b\w\w+\b").findall


class _Model(NamedTuple):
    columns: dict[str, int]
    """The index of each known word."""
    idf: np.ndarray
    """float64 (words,): the inverse document frequency of each word."""
    coefficients: np.ndarray
    """float64 (5, words): the weights of five classifiers, trained on different parts of the data."""
    intercepts: np.ndarray
    """float64 (5,)"""
    slopes: np.ndarray
    """float64 (5,): with `offsets`, the sigmoid from each classifier's decision to a probability."""
    offsets: np.ndarray


@cache
def _model() -> _Model:
    with np.load(FILE, allow_pickle=False) as file:
        words = file["words"].tobytes().decode().split("\n")
        arrays = [file[name] for name in _Model._fields[1:]]
    return _Model({word: column for column, word in enumerate(words)}, *arrays)


def probabilities(texts: Sequence[str]) -> np.ndarray:
    """The probability that each text is profane: the mean of five calibrated linear classifiers of TF-IDF.

    Args:
        texts: n texts, any Unicode.

    Returns:
        float64 (n,), in [0, 1]. Texts without a known word all have the same probability.
    """
    model = _model()
    known = model.columns
    found = [[known[word] for word in _words_of(text.lower()) if word in known] for text in texts]
    rows = np.repeat(np.arange(len(texts)), [len(columns) for columns in found])
    columns = np.array([column for of_text in found for column in of_text], np.int64)
    # each word once per text, with its number of occurrences
    cells, times = np.unique(rows * len(known) + columns, return_counts=True)
    rows, columns = np.divmod(cells, len(known))

    values = times * model.idf[columns]
    lengths = np.sqrt(np.bincount(rows, values**2, len(texts)))
    values /= lengths[rows]
    total = np.zeros(len(texts))
    for k in range(len(model.intercepts)):
        decision = np.bincount(rows, values * model.coefficients[k, columns], len(texts)) + model.intercepts[k]
        total += 1 / (1 + np.exp(model.slopes[k] * decision + model.offsets[k]))
    return total / len(model.intercepts)
