"""Encodes labels and decodes them: one integer holds the token id, its bucket, and its score or weight.

A label is one of three things:

- a token id (0 or above): trained with cross-entropy;
- -100: ignored, as everywhere in Transformers;
- a code (-101 or below): `-101 - ((token_id << 37) | (bucket << 33) | (given << 32) | value)`. The value is the bits of a
  float32: the bucket's score or, if `given` is 1, a weight that the data gave to the token.

The code does not depend on the size of the vocabulary. Padding, truncation, packing and sharding only move labels, so
they do not change codes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SlungError

IGNORE = -100
FIRST_CODE = -101

_VALUE_BITS = 32
_BUCKET_BITS = 4
_BUCKET_AT = _VALUE_BITS + 1
_TOKEN_AT = _BUCKET_AT + _BUCKET_BITS
_SIGN = 1 << (_VALUE_BITS - 1)

MAX_BUCKETS = 1 << _BUCKET_BITS
MAX_VOCABULARY = 1 << 25
"""The largest vocabulary: a code has 25 bits for the token id. The largest known tokenizers have about a million tokens."""


class CodecError(SlungError):
    """Labels that this codec did not write, or a vocabulary that is too large for it."""


class Code(NamedTuple):
    """What codes hold, each with their shape.

    Attributes:
        token_ids: int64.
        buckets: indices of buckets, int64.
        values: float32: scores in [0, 1] or weights.
        given: bool: whether the value is a weight that the data gave.
    """

    token_ids: Any
    buckets: Any
    values: Any
    given: Any


def check_vocabulary(size: int) -> None:
    """Raise `CodecError` if a vocabulary of `size` tokens is too large."""
    if size > MAX_VOCABULARY:
        raise CodecError(
            f"base_model: the vocabulary has {size} tokens; labels can only hold token ids below "
            f"{MAX_VOCABULARY}; use a tokenizer with a smaller vocabulary"
        )


def encode(token_ids: ArrayLike, buckets: ArrayLike, values: ArrayLike, given: ArrayLike = False) -> np.ndarray:
    """Encode tokens as labels.

    Args:
        token_ids: integers `[tokens]`, 0 or above.
        buckets: the index of each token's bucket `[tokens]`.
        values: each token's score in [0, 1], or its weight, `[tokens]`. Rounded to float32: 24 bits at any size.
        given: whether each value is a weight that the data gave, bool `[tokens]` or one for all.

    Returns:
        int64 array `[tokens]`, every entry at most -101.
    """
    bits = np.asarray(values, dtype=np.float64).astype(np.float32).view(np.uint32).astype(np.int64)
    packed = (np.asarray(token_ids, dtype=np.int64) << _TOKEN_AT) | (np.asarray(buckets, np.int64) << _BUCKET_AT)
    return FIRST_CODE - (packed | (np.asarray(given, dtype=np.int64) << _VALUE_BITS) | bits)


def decode(labels: Any) -> Code:
    """Decode labels. It works on NumPy arrays and on torch tensors, without a copy to the host.

    Args:
        labels: int64 `[...]`. Entries of -100 and above decode to meaningless values, which may be NaN. Select with
            `labels <= FIRST_CODE` before or after.
    """
    packed = FIRST_CODE - labels
    # as a signed number of 32 bits, which fits into int32
    signed = ((packed & ((1 << _VALUE_BITS) - 1)) ^ _SIGN) - _SIGN
    return Code(
        packed >> _TOKEN_AT,
        (packed >> _BUCKET_AT) & (MAX_BUCKETS - 1),
        _as_floats(signed),
        ((packed >> _VALUE_BITS) & 1) == 1,
    )


def with_tokens(codes: Any, token_ids: Any) -> Any:
    """The codes with other token ids, and all else unchanged: int64, of the same shape and kind."""
    return codes - ((token_ids - ((FIRST_CODE - codes) >> _TOKEN_AT)) << _TOKEN_AT)


def _as_floats(bits):
    """The float32 numbers with these bits, given as signed integers."""
    if isinstance(bits, (np.ndarray, np.generic, int)):
        return np.asarray(bits).astype(np.int32).view(np.float32)
    import torch  # the labels of a data set are made without it

    return bits.to(torch.int32).view(torch.float32)
