"""How many tokens per batch have a loss, and how much that varies."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import SlungError


@dataclass(frozen=True)
class BatchSpread:
    """Loss tokens per optimizer step on one rank.

    Attributes:
        sequence_len, sequences: tokens per sequence, and sequences per step (micro batch times accumulation).
        packing: whether documents share sequences.
        batches: number of full batches.
        tokens, trainable: mean tokens per batch, and how many of them Axolotl would train on without slung.
        mean, deviation, lowest, p5, p95: tokens with a loss per batch. The deviation is the population's.
        without_loss: batches without any token with a loss.
    """

    sequence_len: int
    sequences: int
    packing: bool
    batches: int
    tokens: float
    trainable: float
    mean: float
    deviation: float
    lowest: int
    p5: int
    p95: int
    without_loss: int

    def to_json(self) -> dict:
        return asdict(self)


class Batches:
    """Fills sequences with documents in the order they come, and batches with sequences.

    A document that does not fit into the rest of a sequence begins a new one. A document longer than a sequence is cut.
    Axolotl packs more tightly and shuffles, so the spread is a simulation.

    Args:
        sequence_len: tokens per sequence.
        sequences: sequences per batch: micro_batch_size times gradient_accumulation_steps.
        packing: whether documents share sequences (`sample_packing`).

    Raises:
        SlungError: `sequence_len` or `sequences` is below 1.
    """

    def __init__(self, sequence_len: int, sequences: int, packing: bool = True):
        if sequence_len < 1 or sequences < 1:
            raise SlungError(
                f"sequence_len, sequences: {sequence_len}, {sequences}: a batch would be empty; use 1 or more"
            )
        self.sequence_len = sequence_len
        self.sequences = sequences
        self.packing = packing
        self._open = 0  # tokens in the current sequence
        self._closed = 0  # full sequences in the current batch
        self._batch = np.zeros(3, dtype=np.int64)  # of the current batch: tokens, trainable tokens, loss tokens
        self._sums = np.zeros(3, dtype=np.int64)
        self._losses: Counter[int] = Counter()  # loss tokens per batch to number of batches

    def add(self, trainable: np.ndarray, loss: np.ndarray) -> None:
        """Add a document.

        Args:
            trainable: bool `[tokens]`: whether Axolotl would train on the token without slung.
            loss: bool `[tokens]`: whether the token keeps a loss.
        """
        for start in range(0, len(loss), self.sequence_len):
            stop = min(start + self.sequence_len, len(loss))
            if self._open and (not self.packing or self._open + stop - start > self.sequence_len):
                self._close_sequence()
            self._open += stop - start
            self._batch += (stop - start, trainable[start:stop].sum(), loss[start:stop].sum())
            if self._open == self.sequence_len:
                self._close_sequence()

    def _close_sequence(self) -> None:
        self._open = 0
        self._closed += 1
        if self._closed == self.sequences:
            self._sums += self._batch
            self._losses[int(self._batch[2])] += 1
            self._batch[:] = 0
            self._closed = 0

    def spread(self) -> BatchSpread | None:
        """Statistics of the full batches; None if there is none. The last, incomplete batch is left out."""
        batches = self._losses.total()
        if not batches:
            return None
        tokens, trainable, loss = (self._sums / batches).tolist()
        values = np.array(sorted(self._losses))
        times = np.array([self._losses[value] for value in values.tolist()])
        p5, p95 = (int(values[np.searchsorted(np.cumsum(times), share * batches)]) for share in (0.05, 0.95))
        return BatchSpread(
            sequence_len=self.sequence_len,
            sequences=self.sequences,
            packing=self.packing,
            batches=batches,
            tokens=tokens,
            trainable=trainable,
            mean=loss,
            deviation=math.sqrt(float((times * (values - loss) ** 2).sum()) / batches),
            lowest=int(values[0]),
            p5=p5,
            p95=p95,
            without_loss=self._losses[0],
        )
