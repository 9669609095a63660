"""Planted labels: codes of every bucket at known places of a prepared data set, which are then found in the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, IGNORE, decode, encode

EVERY = 5
"""One in this many of a row's trained tokens gets a planted label."""

_ROWS = 1 << 23
"""The score or weight of a code holds the number of the row that it was planted in: the weights are in [1, 2)."""

Kind = tuple[int, bool]
"""A bucket, and whether its code has a weight instead of a score."""


class Planted:
    """Plants codes in rows, and counts those that arrive.

    Args:
        buckets: the block's buckets. Those that act on the text, and those that train, are left out.
        weights: whether codes with weights are planted, too, in a bucket that trains.

    Attributes:
        rows: per row, its number of codes of each kind. A code on the first token is left out: nothing predicts it.
    """

    def __init__(self, buckets: Sequence[Bucket], weights: bool = False):
        self.rows: dict[int, Counter[Kind]] = {}
        self._kinds = [
            (index, bucket.action is Action.WEIGHTED)
            for index, bucket in enumerate(buckets)
            if bucket.action is bucket.action_of_code
        ]
        if not any(buckets[index].action is Action.MASK for index, _ in self._kinds):
            # its code is read as a masked token
            self._kinds.append((next((i for i, b in enumerate(buckets) if b.action_of_code is Action.MASK), 0), False))
        if weights:
            self._kinds += [(index, True) for index, b in enumerate(buckets) if b.action.traits.trains][:1]

    def plant(self, row: dict, index: int) -> dict:
        """New labels for a row: one in `EVERY` of its trained tokens gets a code, and the buckets take turns.

        Args:
            row: a row with `input_ids` and `labels`.
            index: the row's number, which its codes hold as their score or weight.

        Returns:
            A dict of only `labels`, as a list.
        """
        ids, labels = np.asarray(row["input_ids"]), np.asarray(row["labels"], dtype=np.int64)
        (trainable,) = np.nonzero(labels != IGNORE)
        labels[trainable] = ids[trainable]
        chosen = trainable[EVERY - 1 :: EVERY]
        kinds = [self._kinds[(index + turn) % len(self._kinds)] for turn in range(len(chosen))]
        bucket, weighs = (np.array([kind[part] for kind in kinds], dtype=np.int64) for part in (0, 1))
        labels[chosen] = encode(ids[chosen], bucket, weighs + index / _ROWS, weighs)
        self.rows[index] = Counter(kind for kind, place in zip(kinds, chosen.tolist()) if place > 0)
        return {"labels": labels.tolist()}

    def found(self, labels) -> dict[int, Counter]:
        """The counts of `rows`, taken from a batch's shifted labels, for the rows in the batch.

        Args:
            labels: int64 array of any shape.
        """
        _, bucket, value, weighs = decode(labels[labels <= FIRST_CODE])
        rows = np.rint((value.astype(np.float64) - weighs) * _ROWS).astype(int)
        found: dict[int, Counter[Kind]] = {}
        for row, *kind in zip(rows.tolist(), bucket.tolist(), weighs.tolist()):
            found.setdefault(row, Counter())[kind[0], kind[1]] += 1
        return found
