"""A linear probe: how well a class can be predicted from hidden states (paper section 4.2)."""

from __future__ import annotations

import math
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
    train_toxic: Sequence[bool],
    test_toxic: Sequence[bool] | None,
    count: int,
    train: int,
    test: int,
    templates: Sequence[str] | None = None,
) -> list[Draw]:
    """Random balanced sets for training and testing probes.

    Args:
        train_toxic: for each training comment, whether it is toxic.
        test_toxic: the same for the test comments, whose indices follow those of the training comments. None takes both
            sets from the training comments.
        count: the number of draws; each draw's number is its seed.
        train: the size of the training sets.
        test: the size of the test sets. If a class has too few comments, both sets shrink by the same factor.
        templates: for each training comment, the template that it was made from, or "". No template is in both sets of
            a draw, since a probe could learn its words. Only for sets that are both taken from the training comments.

    Raises:
        ValueError: fewer than two toxic or two other comments in a set.
    """
    drawn = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        ours = _shuffled(random, train_toxic, 0)
        if templates is not None:
            ours = [_together(places, templates) for places in ours]
        if test_toxic is None:
            few = min(map(len, ours))
            shrink = min(1.0, few / ((train + test) // 2))
            learn, judge = int(train // 2 * shrink), int(test // 2 * shrink)
            theirs = [places[learn:] for places in ours]
            if templates is not None:
                seen = {templates[p] for places in ours for p in places[:learn]} - {""}
                theirs = [[p for p in places if templates[p] not in seen] for places in theirs]
                judge = min(judge, *map(len, theirs))
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


def _together(places: Sequence[int], templates: Sequence[str]) -> list[int]:
    """The places with those of one template beside each other, in the order of each template's first place."""
    first: dict[str | int, int] = {}
    ranks = [first.setdefault(templates[place] or rank, rank) for rank, place in enumerate(places)]
    return [place for _, place in sorted(zip(ranks, places), key=lambda pair: pair[0])]


def held_out(train: Sequence[int], toxic: Sequence[bool]) -> tuple[list[int], list[int]]:
    """A training set in two parts: the first four fifths of each class, and the rest, on which a layer is chosen.

    The rest has at least one comment of a class, unless the class has only one.

    Args:
        train: the comments' places, in the order of a draw.
        toxic: the class of each of them.
    """
    fit, rest = [], []
    for kind in (True, False):
        places = [place for place, its in zip(train, toxic) if its == kind]
        cut = max(1, len(places) - max(1, len(places) // 5))
        fit += places[:cut]
        rest += places[cut:]
    return fit, rest


def scores(train: np.ndarray, toxic: Sequence[bool], test: np.ndarray, scaled: bool = True) -> np.ndarray:
    """The log-odds of a logistic regression, float `(m,)`. It takes comments with at least 0 for toxic.

    Args:
        train: float `(n, width)`, the states for training.
        toxic: n classes.
        test: float `(m, width)`, the states for testing.
        scaled: whether to scale each feature to mean 0 and variance 1. The paper's released code does not.
    """
    return _fitted(train, toxic, scaled).decision_function(test)


def _fitted(train: np.ndarray, toxic: Sequence[bool], scaled: bool):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [StandardScaler()] if scaled else []
    return make_pipeline(*steps, LogisticRegression(class_weight="balanced", max_iter=5000)).fit(train, toxic)


def direction(train: np.ndarray, toxic: Sequence[bool], scaled: bool = True) -> np.ndarray:
    """The direction along which the probe's log-odds rise, float32 `(width,)`; zeros if the probe tells nothing.

    It is as long as one standard deviation of the training states along it.

    Args:
        train, toxic, scaled: as for `scores`.
    """
    model = _fitted(train, toxic, scaled)
    slopes = model[-1].coef_[0] / (model[0].scale_ if scaled else 1.0)
    length = np.linalg.norm(slopes)
    unit = slopes / length if length else slopes
    return (unit * np.std(train.astype(np.float64) @ unit)).astype(np.float32)


def best(layers: Sequence[np.ndarray], toxic: Sequence[bool], scaled: bool = True) -> int | None:
    """The place of the layer whose probe is best on a fifth of the training comments, which it is not trained on.

    Args:
        layers: for each layer, float `(n, width)`: the states of the training comments, in the order of a draw.
        toxic, scaled: as for `scores`.

    Returns:
        The place; None if the comments are too few to choose with.
    """
    fit, rest = held_out(range(len(toxic)), toxic)
    classes, held = ([toxic[place] for place in places] for places in (fit, rest))
    if len({*held}) < 2:
        return None
    return int(np.argmax([auroc(scores(its[fit], classes, its[rest], scaled), held) for its in layers]))


def scores_of_words(train: Sequence[str], toxic: Sequence[bool], test: Sequence[str]) -> np.ndarray:
    """The log-odds of a logistic regression on tf-idf of words and pairs of words, float `(m,)`.

    Args:
        train: n texts.
        toxic: their classes.
        test: m texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # the empty word at a text's end is the vocabulary of texts without words
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b|$", ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=10, max_iter=1000)).fit(train, toxic).decision_function(test)


def auroc(scores: Sequence[float], toxic: Sequence[bool]) -> float:
    """The area under the ROC curve; NaN if there are fewer than two classes."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(toxic, scores)) if len(set(toxic)) == 2 else math.nan
