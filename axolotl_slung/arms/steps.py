"""Which rows each optimizer step reads, when rows come in their order, and how many of its tokens have a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """The rows of a prepared data set.

    Attributes:
        lengths: tokens of each row, int64 `[rows]`.
        losses: tokens with a loss, int64 `[rows]`.
        starts: whether the first token has a loss, bool `[rows]`. No token stands before the first one of a sequence, so
            it is never a target.
    """

    lengths: np.ndarray
    losses: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Pass:
    """One pass over the data, step by step. All passes are alike.

    Attributes:
        losses: tokens with a loss that each optimizer step trains, int64 `[steps]`.
        rows: how many rows there are.
        unread: how many of the last rows no step reads. Axolotl drops an incomplete batch of packed sequences.
        batches: how many batches of one process and one forward pass.
        per_step: how many of them a step has, all processes together.
        packed: whether rows share sequences.
        micro_batch_size: sequences per batch.
    """

    losses: np.ndarray
    rows: int
    unread: int
    batches: int
    per_step: int
    packed: bool
    micro_batch_size: int

    def loss_tokens(self, steps: int) -> int:
        """Tokens with a loss in this many steps, over as many passes as it takes."""
        passes, rest = divmod(steps, len(self.losses))
        return int(passes * self.losses.sum() + self.losses[:rest].sum())

    def steps_for(self, loss_tokens: int) -> int:
        """The number of steps, at least 1, that comes closest to this many tokens with a loss."""
        passes, rest = divmod(loss_tokens, max(1, int(self.losses.sum())))
        sums = np.concatenate([[0], np.cumsum(self.losses)])
        return max(1, int(passes * len(self.losses) + np.abs(sums - rest).argmin()))

    def epochs_for(self, passes: int) -> float:
        """The `num_epochs` with which Axolotl makes all steps of this many passes.

        Axolotl counts the steps of a run without those that end a pass with fewer batches than others. So a run may end
        before its last documents.
        """
        steps = passes * len(self.losses)
        if self.packed:
            of_epoch = max(1, self.batches // self.per_step)
            counted, exact = math.floor(of_epoch * passes), (steps + 0.5) / of_epoch
        else:
            of_step = self.micro_batch_size * self.per_step
            counted, exact = math.ceil(self.rows * passes / of_step), (steps - 0.5) * of_step / self.rows
        return float(passes) if counted == steps else exact


def passed(rows: Rows, cfg: Mapping, ranks: int) -> Pass:
    """One pass over the rows, as Axolotl batches them with `curriculum_sampling` and `sample_packing_sequentially`.

    Args:
        rows: of the prepared data set.
        cfg: Axolotl's config, validated.
        ranks: processes that train. Each step reads as many batches for each of them.
    """
    losses, read = [], 0
    for batch in _batches(rows.lengths, cfg):
        losses.append(sum(int(rows.losses[inside].sum()) - int(rows.starts[inside[0]]) for inside in batch))
        read += sum(map(len, batch))
    per_step = (cfg.get("gradient_accumulation_steps") or 1) * ranks
    # the last step of a pass has what is left
    of_steps = [sum(losses[first : first + per_step]) for first in range(0, len(losses), per_step)]
    return Pass(
        np.array(of_steps, dtype=np.int64),
        rows=len(rows.lengths),
        unread=len(rows.lengths) - read,
        batches=len(losses),
        per_step=per_step,
        packed=bool(cfg.get("sample_packing")),
        micro_batch_size=cfg["micro_batch_size"],
    )


def _batches(lengths: np.ndarray, cfg: Mapping) -> Iterator[list[np.ndarray]]:
    """The batches of one process and one forward pass: for each sequence in it the indices of its rows."""
    size = cfg["micro_batch_size"]
    if not cfg.get("sample_packing"):
        for first in range(0, len(lengths), size):
            yield [np.array([index]) for index in range(first, min(first + size, len(lengths)))]
        return
    from axolotl.utils.samplers.multipack import allocate_sequentially

    real = cfg.get("multipack_real_batches")
    # as in `axolotl.core.builders.causal` and in `MultipackBatchSampler`, which collects garbage each time
    real = not cfg.get("attn_supports_packing") if real is None else real
    capacity = cfg["sequence_len"] * (1 if real else size)
    sequences, _, _ = allocate_sequentially(lengths.astype(np.int32), 0, capacity, 1)
    sequences = [np.array(inside) for inside in sequences]
    size = size if real else 1
    for first in range(0, len(sequences) - size + 1, size):
        yield sequences[first : first + size]
