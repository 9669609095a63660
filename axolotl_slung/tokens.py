"""Spans of characters to buckets of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .buckets import Bucket
from .labeling.base import Span

Overlap = Literal["any", "majority", "all"]


def char_scores(length: int, spans: Sequence[Span]) -> np.ndarray:
    """The score of every character: the maximum of the spans over it, 0 where there is none.

    Returns:
        float64 `[length]`.

    Raises:
        ValueError: a span lies outside the text.
    """
    scores = np.zeros(length)
    for start, end, score in sorted(spans, key=lambda span: span[2]):
        if not 0 <= start < end <= length:
            raise ValueError(f"span [{start}, {end}) lies outside its text of {length} characters")
        scores[start:end] = score
    return scores


def buckets_of(scores: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """The index of the bucket of each score; a score on a bound belongs to the bucket above it.

    Returns:
        int64, of the shape of `scores`.
    """
    return np.searchsorted([b.below for b in buckets[:-1]], scores, side="right")


def token_buckets(offsets, scores: np.ndarray, buckets: Sequence[Bucket], overlap: Overlap = "any"):
    """The bucket and the score of every token.

    A token belongs to the highest bucket that holds enough of its characters: at least one (`any`), more
    than half (`majority`) or every one (`all`). A token without characters (special tokens, or one that the
    tokenizer made of nothing) belongs to the lowest.

    Args:
        offsets: integers `[tokens, 2]`: the characters `[start, end)` of each token.
        scores: float64 `[characters]`, see `char_scores`.
        buckets: ascending.
        overlap: how many characters make a token risky.

    Returns:
        `(buckets, scores)`: int64 `[tokens]` and float64 `[tokens]`, the score being the highest among the
        token's characters that lie in its bucket or below.

    Raises:
        ValueError: offsets that lie outside the text.
    """
    offsets = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    start, end = offsets[:, 0], offsets[:, 1]
    if len(offsets) and not (0 <= start.min() and (start <= end).all() and end.max() <= len(scores)):
        raise ValueError("the tokenizer's offsets lie outside the text")
    length = end - start
    needed = {"any": np.minimum(length, 1), "majority": length // 2 + 1, "all": length}[overlap]

    of_char = buckets_of(scores, buckets)
    of_token = np.zeros(len(offsets), dtype=np.int64)
    for index in range(1, len(buckets)):
        inside = np.concatenate([[0], np.cumsum(of_char >= index)])
        of_token[(length > 0) & (inside[end] - inside[start] >= needed)] = index

    return of_token, _highest(offsets, scores, of_char, of_token)


def _highest(offsets, scores, of_char, of_token):
    """The highest score a token, among its characters of its bucket or below."""
    highest = np.zeros(len(offsets))
    for index in np.unique(of_token):
        chosen = (of_token == index) & (offsets[:, 1] > offsets[:, 0])
        if not chosen.any():
            continue
        eligible = np.append(np.where(of_char <= index, scores, 0.0), 0.0)
        # reduceat over start0, end0, start1, end1, ...: every other result is one token's
        highest[chosen] = np.maximum.reduceat(eligible, offsets[chosen].reshape(-1))[::2]
    return highest
