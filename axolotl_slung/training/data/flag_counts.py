"""What the rows of a config's data sets say of training, and what became of it, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from ...labels.buckets import Action
from ...labels.tokens import buckets_of
from .look import opened_sets
from .row_documents import row_documents
from .row_spans import Row
from .strategy import SlungStrategy


@dataclass
class FlagCounts:
    """Numbers over some rows.

    Attributes:
        rows: the rows with text that were looked at.
        flagged: those that have flags or ranges.
        said: the flags and ranges, by what they say, such as `messages with train: false`.
        left_out: tokens that Axolotl would train without the flags and ranges, and leaves out with them.
        risky: tokens of `left_out` that have another action than `train`.
        added: tokens that Axolotl trains only with the flags and ranges.
        across: tokens with characters to train and characters not to train. Axolotl trains such a token or does not.
        changed: rows whose tokens are others without their flags and ranges. Their tokens are not in the numbers above.
    """

    rows: int = 0
    flagged: int = 0
    said: Counter = field(default_factory=Counter)
    left_out: int = 0
    risky: int = 0
    added: int = 0
    across: int = 0
    changed: int = 0

    def add(self, strategy: SlungStrategy, raw: Mapping) -> None:
        """Count one row of the data set.

        Raises:
            SlungDataError: the row cannot be labeled.
        """
        self.rows += 1
        flags = strategy.heeded.flags
        said = flags.count(strategy.layout.parsed(raw))
        if not said:
            return
        self.flagged += 1
        self.said.update(said)
        for row in strategy.labeled({key: [value] for key, value in raw.items()}, edited=False):
            self._compare(strategy, row, strategy.followed(flags.without(row.raw), row.number))

    def _compare(self, strategy: SlungStrategy, row: Row, plain: Row) -> None:
        """Count the tokens of a labeled row, of which `plain` is the row without flags and ranges."""
        if [part.output["input_ids"] for part in row.parts] != [part.output["input_ids"] for part in plain.parts]:
            self.changed += 1
            return
        policy = strategy.policy
        acts = np.array([bucket.action is not Action.TRAIN for bucket in policy.buckets])
        documents = row_documents(row, strategy.labels(row), strategy.tokenizer, policy)
        for part, without, document in zip(row.parts, plain.parts, documents):
            lost = without.trained & ~part.trained
            self.left_out += int(lost.sum())
            self.risky += int((lost & acts[buckets_of(document.score, policy.buckets)]).sum())
            self.added += int((part.trained & ~without.trained).sum())
        self.across += strategy.heeded.across(row)


def flag_counts(cfg: Mapping, tokenizer: Any, most: int) -> FlagCounts:
    """The numbers of the first rows of each training data set of a config. Tokenized data has no flags.

    Args:
        cfg: Axolotl's config, validated.
        tokenizer: the model's tokenizer.
        most: the number of rows to read of each data set.

    Raises:
        SlungError: a row cannot be labeled, or a labeler cannot work.
    """
    counts = FlagCounts()
    for strategy, rows, _ in opened_sets(cfg, tokenizer):
        for row in islice(rows, most) if strategy is not None else ():
            counts.add(strategy, row)
    return counts
