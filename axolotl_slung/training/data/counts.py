"""Counts from the labels of a prepared data set: tokens by action, and whether anything is left to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from datasets import Dataset

from ...labels.buckets import Action, Bucket
from ...labels.codec import FIRST_CODE, IGNORE
from ...labels.weights import ACTIONS, actions_of_codes
from ..log import get_logger
from .row_labels import SlungDataError

LOG = get_logger(__name__)


def count_labels(labels: np.ndarray, buckets: Sequence[Bucket]) -> dict[str, int]:
    """The number of tokens per action in int64 labels `[tokens]`. `ignored` counts the labels of -100."""
    actions = actions_of_codes(labels[labels <= FIRST_CODE], buckets)
    counts = {"train": int((labels >= 0).sum()), "ignored": int((labels == IGNORE).sum())}
    for action, number in zip(ACTIONS, np.bincount(actions, minlength=len(ACTIONS))):
        if number:
            counts[action.value] = counts.get(action.value, 0) + int(number)
    return counts


def count_all(dataset: Dataset, buckets: Sequence[Bucket]) -> dict[str, int]:
    """`count_labels` of a tokenized data set."""
    totals: dict[str, int] = {}
    for labels in _labels(dataset):
        for action, number in count_labels(labels, buckets).items():
            totals[action] = totals.get(action, 0) + number
    return totals


def report(dataset: Dataset, buckets: tuple[Bucket, ...], where: str) -> None:
    """Log the number of tokens per action in a tokenized data set."""
    totals = count_all(dataset, buckets)
    tokens = sum(totals.values())
    shares = ", ".join(f"{action} {number} ({number / tokens:.1%})" for action, number in totals.items() if number)
    LOG.info("slung: %s: %d tokens%s%s", where, tokens, ": " * bool(shares), shares)
    if not _any_loss(totals):
        LOG.warning(
            "slung: %s: nothing in it is trained: every token is masked, dropped or left out by its type", where
        )


def check_trained(dataset: Dataset, buckets: tuple[Bucket, ...]) -> None:
    """Check that the training data has a token with a loss. Reads only up to the first such token.

    Args:
        dataset: all training data of a run, tokenized.
        buckets: in ascending order.

    Raises:
        SlungDataError: no token has a loss.
    """
    tokens = 0
    for labels in _labels(dataset):
        if _any_loss(count_labels(labels, buckets)):
            return
        tokens += len(labels)
    raise SlungDataError(
        f"datasets: nothing is left to train in {tokens} tokens: all are masked, dropped, left out by the data set's "
        "type or too long for `sequence_len`; check slung.buckets and the labelers' thresholds"
    )


def _any_loss(counts: dict[str, int]) -> bool:
    return any(counts.get(action.value) for action in Action if action.traits.has_loss)


def _labels(dataset) -> Iterator[np.ndarray]:
    """The labels of the data set, up to 1,000 rows at a time: int64 `[tokens]`."""
    # a data set whose rows were all dropped has no columns
    if "labels" in dataset.column_names:
        for table in dataset.with_format("arrow", columns=["labels"]).iter(1000):
            for chunk in table.column("labels").chunks:
                yield chunk.flatten().to_numpy(zero_copy_only=False)
