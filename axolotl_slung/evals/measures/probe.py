"""A linear probe: how well a class can be predicted from hidden states (paper section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOXIC = 0.5
"""Comments are toxic if at least this share of their raters say so."""


class Draw(NamedTuple):
    """Indices of one draw's comments. In each set half of them are toxic, and no comment is in both."""

    train: list[int]
    test: list[int]


def draws(
    train_toxic: Sequence[bool], test_toxic: Sequence[bool] | None, count: int, train: int, test: int
) -> list[Draw]:
    """Random balanced sets for training and testing probes.

    Args:
        train_toxic: for each training comment, whether it is toxic.
        test_toxic: the same for the test comments, whose indices follow those of the training comments. None takes both
            sets from the training comments.
        count: the number of draws; each draw's number is its seed.
        train: the size of the training sets.
        test: the size of the test sets. If a class has too few comments, both sets shrink by the same factor.

    Raises:
        ValueError: fewer than two toxic or two other comments in a set.
    """
    drawn = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        ours = _shuffled(random, train_toxic, 0)
        if test_toxic is None:
            few = min(map(len, ours))
            shrink = min(1.0, few / ((train + test) // 2))
            learn, judge = int(train // 2 * shrink), int(test // 2 * shrink)
            theirs = [places[learn:] for places in ours]
        else:
            theirs = _shuffled(random, test_toxic, len(train_toxic))
            shrink = min(1.0, min(map(len, ours)) / (train // 2), min(map(len, theirs)) / (test // 2))
            learn, judge = int(train // 2 * shrink), int(test // 2 * shrink)
        if min(learn, judge) < 2:
            raise ValueError("too few toxic or other comments")
        drawn.append(
            Draw([p for places in ours for p in places[:learn]], [p for places in theirs for p in places[:judge]])
        )
    return drawn


def _shuffled(random, toxic: Sequence[bool], first: int) -> list[list[int]]:
    """The indices of the toxic comments and of the others, in random order."""
    toxic = np.asarray(toxic, bool)
    return [(random.permutation(np.flatnonzero(toxic == kind)) + first).tolist() for kind in (True, False)]


def auroc(
    train: np.ndarray, train_toxic: Sequence[bool], test: np.ndarray, test_toxic: Sequence[bool], scaled: bool = True
) -> float:
    """The area under the ROC curve of a logistic regression.

    Args:
        train: float `(n, width)`, the states for training.
        train_toxic: n classes.
        test: float `(m, width)`, the states for testing.
        test_toxic: m classes.
        scaled: whether to scale each feature to mean 0 and variance 1. The paper's released code does not.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(class_weight="balanced", max_iter=5000)
    model = make_pipeline(StandardScaler(), regression) if scaled else regression
    model.fit(train, train_toxic)
    return float(roc_auc_score(test_toxic, model.decision_function(test)))
