"""What the labels of a data set do, counted while its rows are labeled, so that the log can warn of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import numpy as np
from datasets import Dataset

from ...labels.codec import FIRST_CODE, IGNORE, decode
from ...labels.outcome import Outcome
from ..log import get_logger
from .policy import Policy

LOG = get_logger(__name__)

TRAINABLE, LOST, FINDS, FIRST = "slung_trainable", "slung_lost", "slung_finds", "slung_first"
"""Columns for numbers of tokens of a row, for its finds that are trained, as JSON, and for whether it is the first row of
its document. `take` removes them.
"""

NUMBERS = (TRAINABLE, LOST)

_MARK = "slung warning: "
"""Begins a line of a prepared data set's description, which keeps the warnings for the runs that load it."""

_DOCUMENTS = "slung documents: "
"""Begins a line of the description, with the number of documents."""


def columns(finds: Counter, trainable: int, lost: int, first: bool = True) -> dict[str, int | str]:
    """The columns of a row, from the numbers of its `Outcome`, and whether it is the first row of its document."""
    return {TRAINABLE: trainable, LOST: lost, FINDS: json.dumps([*finds.items()]) if finds else "", FIRST: int(first)}


def counted(trained: np.ndarray, labels: np.ndarray, policy: Policy, code_masked: bool) -> tuple[int, int]:
    """The numbers of trainable tokens and of those that lose their loss.

    Args:
        trained: whether Axolotl trains the token without slung, bool `[tokens]`.
        labels: int64 `[tokens]`.
        policy: how they were labeled.
        code_masked: whether masked tokens are codes. If so, a trained token with the label -100 is one that a rule for
            ends and starts of documents leaves out; it counts as not trainable.
    """
    ignored, coded = labels == IGNORE, labels <= FIRST_CODE
    _, bucket, value, given = decode(labels[coded])
    loses = np.array([not one.action.traits.has_loss for one in policy.buckets])[bucket] | (given & (value == 0))
    trainable = int((trained & ~ignored).sum() if code_masked else trained.sum())
    return trainable, int((trained[coded] & loses).sum()) + (0 if code_masked else int((trained & ignored).sum()))


def take(dataset: Dataset, policy: Policy) -> Dataset:
    """The data set without the columns. Its warnings are logged. They and the number of its documents are kept in its
    description.

    Args:
        dataset: a labeled data set.
        policy: how it was labeled.
    """
    if FINDS not in dataset.column_names:
        return dataset
    outcome = Outcome(policy.buckets, policy.finders)
    outcome.trainable, outcome.lost = (int(dataset.data.column(name).to_numpy().sum()) for name in NUMBERS)
    for text in filter(None, dataset.data.column(FINDS).to_pylist()):
        outcome.trained.update({tuple(key): number for key, number in json.loads(text)})
    number = int(dataset.data.column(FIRST).to_numpy().sum())
    dataset = dataset.remove_columns([TRAINABLE, LOST, FINDS, FIRST])
    said = [f"{policy.where}: {warning}" for warning in outcome.warnings()]
    warn(said)
    info = dataset.info
    lines = [*(f"{_MARK}{text}" for text in said), f"{_DOCUMENTS}{number} of {policy.where}"]
    info.description = "\n".join([info.description, *lines])
    return dataset


def documents(dataset: Dataset) -> int:
    """The number of documents of a prepared data set: rows of the raw data of which anything is left to read.

    Axolotl cuts long documents into several rows, and may leave out rows later. Tokenized data has a document per row.
    """
    lines = dict.fromkeys((dataset.info.description or "").splitlines())
    numbers = [int(line.split()[2]) for line in lines if line.startswith(_DOCUMENTS)]
    return sum(numbers) if numbers else len(dataset)


def kept(dataset: Dataset) -> list[str]:
    """The warnings that `take` kept in the description of a prepared data set."""
    lines = (dataset.info.description or "").splitlines()
    return [line.removeprefix(_MARK) for line in dict.fromkeys(lines) if line.startswith(_MARK)]


def warn(warnings: Iterable[str]) -> None:
    """Log warnings."""
    for text in warnings:
        LOG.warning("slung: %s", text)


_ENOUGH = 10_000
"""Trainable tokens of a stream after which the share of those without a loss is worth a warning."""

_streams: dict[str, tuple[Outcome, set]] = {}
"""For each stream, by its place in the YAML: its outcome so far, and what was said."""


def count_stream(policy: Policy, finds: Counter, trainable: int, lost: int) -> None:
    """Count a row of a stream, and log each warning once per process. A stream has no end at which to say it.

    Args:
        policy: how the stream is labeled.
        finds, trainable, lost: of the row, see `Outcome`.
    """
    outcome, said = _streams.setdefault(policy.where, (Outcome(policy.buckets, policy.finders), set()))
    outcome.trained.update(finds)
    outcome.trainable, outcome.lost = outcome.trainable + trainable, outcome.lost + lost
    due = {(name, bucket) for name, _, bucket in finds}
    if outcome.trainable >= _ENOUGH and outcome.mostly_lost:
        due.add("loss")
    if due - said:
        said |= due
        warn(
            f"{policy.where}: in the first {outcome.trainable:,} tokens of this stream, {w}" for w in outcome.warnings()
        )
