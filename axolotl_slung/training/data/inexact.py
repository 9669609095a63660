"""Rows whose labels are not exact: why, and how a data set's summary says so."""

from __future__ import annotations

from axolotl.utils.logging import get_logger
from datasets import Dataset

LOG = get_logger(__name__)

COLUMN = "slung_inexact"
"""Of a labeled data set until `take`: the sum of a row's reasons, 0 where it is exact."""

SEVERAL, OUTSIDE, LEFT, CHANGED = 1, 2, 4, 8

REASONS = {
    SEVERAL: "a risky text may stand in several places of its prompt, and has its labels in all of them",
    OUTSIDE: "risky text stands outside the strings of the row that could be placed; it was labeled separately",
    CHANGED: "the template changes a text; it was labeled as rendered",
    LEFT: "a span could not be taken out, or get its control token, and is masked",
}


def take(dataset: Dataset, where: str) -> Dataset:
    """The data set without the column, after one line in the log.

    Args:
        dataset: labeled.
        where: its place in the YAML.
    """
    if COLUMN not in dataset.column_names:
        return dataset
    numbers = dataset.data.column(COLUMN).to_numpy()
    if rows := int((numbers != 0).sum()):
        reasons = [(int(((numbers & reason) != 0).sum()), text) for reason, text in REASONS.items()]
        why = "; ".join(f"in {number} {text}" for number, text in reasons if number)
        LOG.warning("slung: %s: %d of %d rows are not labeled exactly: %s", where, rows, len(dataset), why)
    return dataset.remove_columns(COLUMN)


_said: set[tuple[str, int]] = set()


def say_once(reasons: int, where: str) -> None:
    """A line in the log for each reason, once a process: a stream has no summary.

    Args:
        reasons: their sum.
        where: the data set's place in the YAML.
    """
    for reason, text in REASONS.items():
        if reasons & reason and (where, reason) not in _said:
            _said.add((where, reason))
            LOG.warning("slung: %s: rows of this stream are not labeled exactly: %s", where, text)
