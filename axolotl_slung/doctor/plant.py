"""Planted labels: codes of every bucket at known places of a prepared data set, which are then found in the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, IGNORE, decode, encode

EVERY = 5
"""One in this many of a row's trained tokens gets a planted label."""

_ROWS = (1 << 24) - 1
"""The score of a code has 24 bits, which hold the number of the row that it was planted in."""


class Planted:
    """Plants codes in rows, and counts those that arrive.

    Args:
        buckets: the block's buckets. Those that act on the text, and those that train, are left out.

    Attributes:
        rows: per row, its number of codes of each bucket. A code on the first token is left out: nothing predicts it.
    """

    def __init__(self, buckets: Sequence[Bucket]):
        self.rows: dict[int, Counter] = {}
        self._buckets = [index for index, bucket in enumerate(buckets) if bucket.action is bucket.action_of_code]
        if not any(buckets[index].action is Action.MASK for index in self._buckets):
            # its code is read as a masked token
            self._buckets.append(next((i for i, b in enumerate(buckets) if b.action_of_code is Action.MASK), 0))

    def plant(self, row: dict, index: int) -> dict:
        """New labels for a row: one in `EVERY` of its trained tokens gets a code, and the buckets take turns.

        Args:
            row: a row with `input_ids` and `labels`.
            index: the row's number, which its codes hold as their score.

        Returns:
            A dict of only `labels`, as a list.
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
        """The counts of `rows`, taken from a batch's shifted labels, for the rows in the batch.

        Args:
            labels: int64 array of any shape.
        """
        codes = labels[labels <= FIRST_CODE]
        _, bucket, score, _ = decode(codes)
        found: dict[int, Counter] = {}
        for row, index in zip(np.rint(np.asarray(score) * _ROWS).astype(int).tolist(), np.asarray(bucket).tolist()):
            found.setdefault(row, Counter())[index] += 1
        return found
