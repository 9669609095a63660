"""A linear probe: how well a class can be read off hidden states (paper section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TOXIC = 0.5
"""Comments are toxic from this share of their raters on."""


class Draw(NamedTuple):
    """Places of one draw's comments, half of them toxic in both sets, none of them in both."""

    train: list[int]
    test: list[int]


def draws(
    train_toxic: Sequence[bool], test_toxic: Sequence[bool] | None, count: int, train: int, test: int
) -> list[Draw]:
    """Random balanced sets to train and to test probes on.

    Args:
        train_toxic: whether each comment is toxic, of those to train on.
        test_toxic: the same of those to test on, whose places follow the others'; None to take both sets from the first.
        count: how many draws, seeded by their number.
        train, test: sizes of the sets; where there are too few of a class, both shrink alike.

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
    """The places of the toxic and of the other comments, in random order."""
    toxic = np.asarray(toxic, bool)
    return [(random.permutation(np.flatnonzero(toxic == kind)) + first).tolist() for kind in (True, False)]


def auroc(
    train: np.ndarray, train_toxic: Sequence[bool], test: np.ndarray, test_toxic: Sequence[bool], scaled: bool = True
) -> float:
    """The area under the ROC curve of a logistic regression.

    Args:
        train: float `(n, width)`, the states to train on.
        train_toxic: n.
        test: float `(m, width)`.
        test_toxic: m.
        scaled: bring each feature to mean 0 and variance 1 first; the paper's released code does not.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(class_weight="balanced", max_iter=5000)
    model = make_pipeline(StandardScaler(), regression) if scaled else regression
    model.fit(train, train_toxic)
    return float(roc_auc_score(test_toxic, model.decision_function(test)))
