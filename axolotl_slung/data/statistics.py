"""What the labels of a prepared data set say: tokens by action, and whether anything is left to train."""

from __future__ import annotations

import numpy as np
from axolotl.utils.logging import get_logger

from ..buckets import CODED_ACTIONS, LOSS_ACTIONS, Bucket
from ..codec import FIRST_CODE, IGNORE, decode
from .labels import SlungDataError

LOG = get_logger(__name__)


def count_labels(labels: np.ndarray, buckets) -> dict[str, int]:
    """Tokens by action among int64 labels `[tokens]`; `ignored` are those at -100."""
    coded = labels[labels <= FIRST_CODE]
    _, bucket, _ = decode(coded)
    counts = {"train": int((labels >= 0).sum()), "ignored": int((labels == IGNORE).sum())}
    for index, number in enumerate(np.bincount(bucket, minlength=len(buckets))):
        if number:
            action = buckets[index].action.value
            action = action if action in CODED_ACTIONS else "mask"
            counts[action] = counts.get(action, 0) + int(number)
    return counts


def report(dataset, buckets: tuple[Bucket, ...], where: str) -> None:
    """Log the counts of a tokenised data set.

    Raises:
        SlungDataError: no token is left with a loss.
    """
    totals: dict[str, int] = {}
    # a data set of which every row was dropped has no columns either
    for chunk in dataset.data.column("labels").chunks if "labels" in dataset.column_names else []:
        for action, number in count_labels(chunk.flatten().to_numpy(zero_copy_only=False), buckets).items():
            totals[action] = totals.get(action, 0) + number
    tokens = sum(totals.values())
    if not any(totals.get(action.value) for action in LOSS_ACTIONS):
        raise SlungDataError(
            f"{where}: nothing is left to train in its {tokens} tokens: every one is masked, dropped or left out by "
            "the data set's type; look at slung.buckets and at the labelers' thresholds"
        )
    shares = ", ".join(f"{action} {number} ({number / tokens:.1%})" for action, number in totals.items() if number)
    LOG.info("slung: %s: %d tokens: %s", where, tokens, shares)
