"""Actions to labels and back: one integer carries the token id, its bucket and its score.

A label is one of three things:

- a token id (0 or above): trained with cross-entropy;
- -100: ignored, as everywhere in Transformers;
- a code (-101 or below): `-101 - ((token_id << 28) | (bucket << 24) | score)`, with the score in 24 bits.

The code does not depend on the size of the vocabulary, and padding, truncation, packing and sharding, which
only move labels about, leave it whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SlungError

IGNORE = -100
FIRST_CODE = -101

_SCORE_BITS = 24
_BUCKET_BITS = 4
_SCORE_MAX = (1 << _SCORE_BITS) - 1

MAX_BUCKETS = 1 << _BUCKET_BITS
MAX_VOCABULARY = 1 << 31
"""Prepared datasets hold token ids in 32 bits, so a larger one cannot be stored."""


class CodecError(SlungError):
    """Labels that this codec did not write, or a vocabulary that it cannot hold."""


def check_vocabulary(size: int) -> None:
    """Raise `CodecError` where a vocabulary of `size` tokens does not fit."""
    if size > MAX_VOCABULARY:
        raise CodecError(
            f"base_model: the vocabulary has {size} tokens, and labels can carry token ids below "
            f"{MAX_VOCABULARY} only; use a tokenizer with a smaller vocabulary"
        )


def encode(token_ids: ArrayLike, buckets: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Codes for tokens.

    Args:
        token_ids: integers `[tokens]`, 0 or above.
        buckets: the index of each token's bucket `[tokens]`.
        scores: each token's score in [0, 1] `[tokens]`, kept to 24 bits.

    Returns:
        int64 array `[tokens]`, every entry at most -101.
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    fraction = np.rint(np.asarray(scores, dtype=np.float64) * _SCORE_MAX).astype(np.int64)
    packed = (ids << (_BUCKET_BITS + _SCORE_BITS)) | (np.asarray(buckets, np.int64) << _SCORE_BITS) | fraction
    return FIRST_CODE - packed


def decode(labels: Any) -> tuple[Any, Any, Any]:
    """What codes carry; works on NumPy arrays and torch tensors alike, without a copy to the host.

    Args:
        labels: int64 `[...]`. Entries of -100 and above decode to meaningless values: select with
            `labels <= FIRST_CODE` first, or after.

    Returns:
        `(token_ids, buckets, scores)`, each of the shape of `labels`; scores in [0, 1].
    """
    packed = FIRST_CODE - labels
    token_ids = packed >> (_BUCKET_BITS + _SCORE_BITS)
    buckets = (packed >> _SCORE_BITS) & (MAX_BUCKETS - 1)
    scores = (packed & _SCORE_MAX) / _SCORE_MAX
    return token_ids, buckets, scores
