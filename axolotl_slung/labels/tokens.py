"""Turns the scores of characters into scores and buckets of tokens."""

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
    """The score of each character: the maximum over the spans that contain it, or 0 without a span.

    Returns:
        float64 `[length]`.

    Raises:
        ValueError: a span is outside the text.
    """
    scores = np.zeros(length)
    for start, end, score, *_ in sorted(spans, key=lambda span: span[2]):
        if not 0 <= start < end <= length:
            raise ValueError(f"span [{start}, {end}) lies outside its text of {length} characters")
        scores[start:end] = score
    return scores


def buckets_of(scores: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """The index of each score's bucket. A score equal to a bound belongs to the bucket above it.

    Returns:
        int64, with the shape of `scores`.
    """
    bounds = np.array([b.below for b in buckets[:-1]], np.float64)
    return np.searchsorted(bounds, scores, side="right")


def as_offsets(offsets: ArrayLike, length: int) -> np.ndarray:
    """A tokenizer's offsets as int64 `[tokens, 2]`. Raises `ValueError` if some are outside the text of `length`."""
    if isinstance(offsets, list):
        # np.asarray of a list of pairs takes three times as long
        offsets = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets))
    offsets = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    start, end = offsets[:, 0], offsets[:, 1]
    if len(offsets) and not (start.min() >= 0 and (start <= end).all() and end.max() <= length):
        raise ValueError("the tokenizer's offsets lie outside the text")
    return offsets


def token_scores(offsets: ArrayLike, scores: np.ndarray, overlap: Overlap = "any") -> np.ndarray:
    """The score of each token: the highest score that enough of its characters reach.

    Enough means one (`any`), more than half (`majority`) or all (`all`). A token without characters has the score 0:
    a special token, or a token that the tokenizer added.

    Args:
        offsets: integers `[tokens, 2]`: the characters `[start, end)` of each token.
        scores: float64 `[characters]`, see `char_scores`.
        overlap: how many of a token's characters must reach a score.

    Returns:
        float64 `[tokens]`.

    Raises:
        ValueError: some offsets are outside the text.
    """
    offsets = as_offsets(offsets, len(scores))
    start, end = offsets[:, 0], offsets[:, 1]
    of_token = np.zeros(len(offsets))
    (chosen,) = np.nonzero(end > start)
    if not len(chosen):
        return of_token
    # reduceat over start0, end0, start1, end1, ...: every second result belongs to a token
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
    """The bucket and the score of each token; see `token_scores`.

    Args:
        offsets, scores, overlap: as in `token_scores`.
        buckets: in ascending order.

    Returns:
        `(buckets, scores)`: int64 `[tokens]` and float64 `[tokens]`.

    Raises:
        ValueError: some offsets are outside the text.
    """
    of_token = token_scores(offsets, scores, overlap)
    return buckets_of(of_token, buckets), of_token
