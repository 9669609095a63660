"""Chooses the tokens of the goldfish loss (Hans et al. 2024, arXiv:2406.10209): one in k, by a hash of those before it.

A passage loses the same tokens at every place and in every repetition. The model is never trained on these tokens, so
it cannot recite the whole passage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CONTEXT = 13
"""The number of tokens that the hash reads, as in the paper."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def goldfish(token_ids: ArrayLike, k: int) -> np.ndarray:
    """Which tokens the goldfish loss drops.

    Args:
        token_ids: int64 `[tokens]`.
        k: one token in `k` is dropped.

    Returns:
        bool `[tokens]`; False for the first `CONTEXT` tokens, which have too few tokens before them to hash.
    """
    ids = np.asarray(token_ids, dtype=np.int64).astype(np.uint64)
    dropped = np.zeros(len(ids), dtype=bool)
    if len(ids) > CONTEXT:
        hashed = np.zeros(len(ids) - CONTEXT, dtype=np.uint64)
        with np.errstate(over="ignore"):
            for distance in range(CONTEXT):
                hashed = _mixed(hashed * _FACTOR + ids[distance : distance + len(hashed)])
        dropped[CONTEXT:] = hashed % np.uint64(k) == 0
    return dropped


def _mixed(x):
    """The finalizer of splitmix64 (Steele et al. 2014): every bit of the result depends on every bit of `x`."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
