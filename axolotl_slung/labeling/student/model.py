"""The scores of words by a student."""

from __future__ import annotations

import numpy as np

from ..base import Span
from .context import surroundings
from .file import Student
from .words import Words, columns_of, hashes_of, sums_of

_BATCH = 1 << 15
"""Words whose features are in memory at once."""


def logits_of(words: Words, weights: np.ndarray, intercept: float) -> np.ndarray:
    """The log-odds of each word by its features, float32 (n,).

    Args:
        words: n words.
        weights: float32 (a power of two,).
        intercept: added to each.
    """
    hashes = hashes_of(words)
    found = np.empty(len(words.starts), np.float32)
    for first in range(0, len(found), _BATCH):
        last = min(first + _BATCH, len(found))
        places, columns = columns_of(words, hashes, len(weights), first, last)
        found[first:last] = sums_of(places, columns, weights)
    return found + np.float32(intercept)


def scores_of(words: Words, student: Student) -> np.ndarray:
    """The probability that each word is risky, float64 (n,)."""
    if not len(words.starts):
        return np.zeros(0)
    logits = logits_of(words, student.weights, float(student.intercept[0]))
    found = surroundings(logits, words.firsts) @ student.context[:-1] + student.context[-1]
    return 1 / (1 + np.exp(-np.clip(found, -30, 30).astype(np.float64)))


def spans_of(words: Words, scores: np.ndarray, floor: float) -> list[list[Span]]:
    """For each text a span per word at or above the floor, and one per stretch of white space between two of them.

    The white space has the lower of the two scores. So neighbors that are both above a threshold are one stretch.

    Args:
        words: n words.
        scores: float64 (n,).
        floor: the lowest score of a span.
    """
    labeled: list[list[Span]] = [[] for _ in words.bounds[1:]]
    (found,) = np.nonzero(scores >= floor)
    texts = np.searchsorted(words.firsts, found, side="right") - 1
    starts, ends = words.starts[found] - words.bounds[texts], words.ends[found] - words.bounds[texts]
    before = (-2, -2)
    for number, text, start, end, score in zip(*(one.tolist() for one in (found, texts, starts, ends, scores[found]))):
        spans = labeled[text]
        if before == (text, number - 1) and spans[-1].end < start:
            spans.append(Span(spans[-1].end, start, min(spans[-1].score, score)))
        spans.append(Span(start, end, score))
        before = text, number
    return labeled
