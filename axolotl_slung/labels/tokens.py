"""Spans of characters to buckets of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..labeling.base import Span
from .buckets import Bucket

Overlap = Literal["any", "majority", "all"]


def char_scores(length: int, spans: Sequence[Span]) -> np.ndarray:
    """The score of every character: the maximum of the spans over it, 0 where there is none.

    Returns:
        float64 `[length]`.

    Raises:
        ValueError: a span lies outside the text.
    """
    scores = np.zeros(length)
    for start, end, score, *_ in sorted(spans, key=lambda span: span[2]):
        if not 0 <= start < end <= length:
            raise ValueError(f"span [{start}, {end}) lies outside its text of {length} characters")
        scores[start:end] = score
    return scores


def buckets_of(scores: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """The index of the bucket of each score; a score on a bound belongs to the bucket above it.

    Returns:
        int64, of the shape of `scores`.
    """
    bounds = np.array([b.below for b in buckets[:-1]], np.float64)
    return np.searchsorted(bounds, scores, side="right")


def token_scores(offsets: ArrayLike, scores: np.ndarray, overlap: Overlap = "any") -> np.ndarray:
    """The score of every token: the highest one that enough of its characters reach.

    Enough are one (`any`), more than half (`majority`) or every one (`all`). A token without characters (special
    tokens, or one that the tokenizer made of nothing) has the score 0.

    Args:
        offsets: integers `[tokens, 2]`: the characters `[start, end)` of each token.
        scores: float64 `[characters]`, see `char_scores`.
        overlap: how many characters make a token risky.

    Returns:
        float64 `[tokens]`.

    Raises:
        ValueError: offsets that lie outside the text.
    """
    if isinstance(offsets, list):
        # NumPy is three times as slow on a list of pairs
        offsets = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets))
    offsets = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    start, end = offsets[:, 0], offsets[:, 1]
    if len(offsets) and not (start.min() >= 0 and (start <= end).all() and end.max() <= len(scores)):
        raise ValueError("the tokenizer's offsets lie outside the text")
    of_token = np.zeros(len(offsets))
    (chosen,) = np.nonzero(end > start)
    if not len(chosen):
        return of_token
    # reduceat over start0, end0, start1, end1, ...: every other result is one token's
    padded, bounds = np.append(scores, 0.0), offsets[chosen].reshape(-1)
    if overlap == "all":
        of_token[chosen] = np.minimum.reduceat(padded, bounds)[::2]
        return of_token
    of_token[chosen] = highest = np.maximum.reduceat(padded, bounds)[::2]
    if overlap == "majority":
        lowest = np.minimum.reduceat(padded, bounds)[::2]
        for token in chosen[highest > lowest]:
            inside = np.sort(scores[start[token] : end[token]])
            of_token[token] = inside[(len(inside) - 1) // 2]
    return of_token


def token_buckets(
    offsets: ArrayLike, scores: np.ndarray, buckets: Sequence[Bucket], overlap: Overlap = "any"
) -> tuple[np.ndarray, np.ndarray]:
    """The bucket and the score of every token; see `token_scores`.

    Args:
        offsets, scores, overlap: as in `token_scores`.
        buckets: ascending.

    Returns:
        `(buckets, scores)`: int64 `[tokens]` and float64 `[tokens]`.

    Raises:
        ValueError: offsets that lie outside the text.
    """
    of_token = token_scores(offsets, scores, overlap)
    return buckets_of(of_token, buckets), of_token
