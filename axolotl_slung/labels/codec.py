"""Encodes labels and decodes them: one integer holds the token id, its bucket and its score.

A label is one of three things:

- a token id (0 or above): trained with cross-entropy;
- -100: ignored, as everywhere in Transformers;
- a code (-101 or below): `-101 - ((token_id << 28) | (bucket << 24) | score)`, with the score in 24 bits.

The code does not depend on the size of the vocabulary. Padding, truncation, packing and sharding only move labels, so
they do not change codes.
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
"""The largest vocabulary. Prepared datasets store token ids in 32 bits."""


class CodecError(SlungError):
    """Labels that this codec did not write, or a vocabulary that is too large for it."""


def check_vocabulary(size: int) -> None:
    """Raise `CodecError` if a vocabulary of `size` tokens is too large."""
    if size > MAX_VOCABULARY:
        raise CodecError(
            f"base_model: the vocabulary has {size} tokens; labels can only hold token ids below "
            f"{MAX_VOCABULARY}; use a tokenizer with a smaller vocabulary"
        )


def encode(token_ids: ArrayLike, buckets: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Encode tokens as labels.

    Args:
        token_ids: integers `[tokens]`, 0 or above.
        buckets: the index of each token's bucket `[tokens]`.
        scores: each token's score in [0, 1] `[tokens]`, rounded to 24 bits.

    Returns:
        int64 array `[tokens]`, every entry at most -101.
    """
    ids = np.asarray(token_ids, dtype=np.int64)
    fraction = np.rint(np.asarray(scores, dtype=np.float64) * _SCORE_MAX).astype(np.int64)
    packed = (ids << (_BUCKET_BITS + _SCORE_BITS)) | (np.asarray(buckets, np.int64) << _SCORE_BITS) | fraction
    return FIRST_CODE - packed


def decode(labels: Any) -> tuple[Any, Any, Any]:
    """Decode labels. It works on NumPy arrays and on torch tensors, without a copy to the host.

    Args:
        labels: int64 `[...]`. Entries of -100 and above decode to meaningless values. Select with
            `labels <= FIRST_CODE` before or after.

    Returns:
        `(token_ids, buckets, scores)`, each with the shape of `labels`; scores in [0, 1].
    """
    packed = FIRST_CODE - labels
    token_ids = packed >> (_BUCKET_BITS + _SCORE_BITS)
    buckets = (packed >> _SCORE_BITS) & (MAX_BUCKETS - 1)
    scores = (packed & _SCORE_MAX) / _SCORE_MAX
    return token_ids, buckets, scores
