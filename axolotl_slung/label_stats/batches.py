"""How many tokens of a batch carry a loss, and how evenly."""

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
        sequence_len, sequences: tokens a sequence, and sequences a step (micro batch times accumulation).
        packing: whether documents share sequences.
        batches: how many full batches the documents fill.
        tokens, trainable: tokens a batch in the mean, and how many of them Axolotl alone would train on.
        mean, deviation, lowest, p5, p95: tokens with a loss a batch; the deviation is the population's.
        without_loss: batches without a single one.
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

    A document that does not fit into what is left of a sequence begins a new one, and one longer than a sequence is
    cut. Axolotl packs more tightly, and shuffles: the spread is a simulation.

    Args:
        sequence_len: tokens a sequence.
        sequences: sequences a batch: micro_batch_size times gradient_accumulation_steps.
        packing: whether documents share sequences (`sample_packing`).

    Raises:
        SlungError: a size below 1.
    """

    def __init__(self, sequence_len: int, sequences: int, packing: bool = True):
        if sequence_len < 1 or sequences < 1:
            raise SlungError(f"a batch of {sequences} sequences of {sequence_len} tokens holds nothing; use 1 or more")
        self.sequence_len = sequence_len
        self.sequences = sequences
        self.packing = packing
        self._open = 0  # tokens in the sequence that is being filled
        self._closed = 0  # sequences in the batch that is being filled
        self._batch = np.zeros(3, dtype=np.int64)  # its tokens, trainable ones, ones with a loss
        self._sums = np.zeros(3, dtype=np.int64)
        self._losses: Counter[int] = Counter()  # loss tokens to batches: at most one entry a token

    def add(self, trainable: np.ndarray, loss: np.ndarray) -> None:
        """Fill in a document: bool `[tokens]`, what Axolotl alone would train, and what keeps a loss."""
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
        """What the full batches hold; None where the documents fill none. The last, unfinished one is left out."""
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
