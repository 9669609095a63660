"""Planted labels: codes of every bucket at known places of a prepared data set, found again in the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, IGNORE, decode, encode

EVERY = 5
"""Of a row's trained tokens, one in this many gets a planted label."""

_ROWS = (1 << 24) - 1
"""A code's score has 24 bits, which say which row it was planted in."""


class Planted:
    """Codes planted in rows, and what of them arrives.

    Args:
        buckets: the block's; those that act on the text or train are left out.

    Attributes:
        rows: by row, how many codes of each bucket it holds, without those on its first token, which nothing predicts.
    """

    def __init__(self, buckets: Sequence[Bucket]):
        self.rows: dict[int, Counter] = {}
        self._buckets = [index for index, bucket in enumerate(buckets) if bucket.action is bucket.action_of_code]
        if not any(buckets[index].action is Action.MASK for index in self._buckets):
            # its code is read as a masked token
            self._buckets.append(next((i for i, b in enumerate(buckets) if b.action_of_code is Action.MASK), 0))

    def plant(self, row: dict, index: int) -> dict:
        """The row's labels, anew: its trained tokens stay trained but for one in `EVERY`, whose bucket takes turns.

        Args:
            row: with `input_ids` and `labels`.
            index: the row's number, which the codes carry as their score.
        """
        ids, labels = np.asarray(row["input_ids"]), np.asarray(row["labels"], dtype=np.int64)
        (trainable,) = np.nonzero(labels != IGNORE)
        labels[trainable] = ids[trainable]
        chosen = trainable[EVERY - 1 :: EVERY]
        bucket = np.array(
            [self._buckets[(index + turn) % len(self._buckets)] for turn in range(len(chosen))], dtype=np.int64
        )
        labels[chosen] = encode(ids[chosen], bucket, np.full(len(chosen), index / _ROWS))
        self.rows[index] = Counter(bucket[chosen > 0].tolist())
        return {"labels": labels.tolist()}

    def found(self, labels) -> dict[int, Counter]:
        """The same counts out of a batch's shifted labels, for the rows that it holds.

        Args:
            labels: int64 array of any shape.
        """
        codes = labels[labels <= FIRST_CODE]
        _, bucket, score = decode(codes)
        found: dict[int, Counter] = {}
        for row, index in zip(np.rint(np.asarray(score) * _ROWS).astype(int).tolist(), np.asarray(bucket).tolist()):
            found.setdefault(row, Counter())[index] += 1
        return found
