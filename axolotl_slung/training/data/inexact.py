"""Rows whose labels are not exact: the reasons, and how the log reports them."""

from __future__ import annotations

from datasets import Dataset

from ..log import get_logger

LOG = get_logger(__name__)

COLUMN = "slung_inexact"
"""The column for the sum of a row's reasons, 0 if the row is exact. `take` removes it from a labeled data set."""

SEVERAL, OUTSIDE, LEFT, CHANGED = 1, 2, 4, 8

REASONS = {
    SEVERAL: "a risky text may be in several places of its prompt; it is labeled in all of them",
    OUTSIDE: "risky text is outside the strings of the row that were found in the prompt; it is labeled separately",
    CHANGED: "the template changes a text; it is labeled as rendered",
    LEFT: "a span could not be removed, replaced or get its control token; it is masked",
}


def take(dataset: Dataset, where: str) -> Dataset:
    """The data set without the column. If any row is not exact, one warning is logged.

    Args:
        dataset: a labeled data set.
        where: its place in the YAML.
    """
    if COLUMN not in dataset.column_names:
        return dataset
    numbers = dataset.data.column(COLUMN).to_numpy()
    if rows := int((numbers != 0).sum()):
        reasons = [(int(((numbers & reason) != 0).sum()), text) for reason, text in REASONS.items()]
        why = "; ".join(f"in {number}: {text}" for number, text in reasons if number)
        LOG.warning("slung: %s: %d of %d rows are not labeled exactly: %s", where, rows, len(dataset), why)
    return dataset.remove_columns(COLUMN)


_said: set[tuple[str, int]] = set()


def say_once(reasons: int, where: str) -> None:
    """Log each reason once per process. A stream has no summary.

    Args:
        reasons: the sum of the reasons.
        where: the data set's place in the YAML.
    """
    for reason, text in REASONS.items():
        if reasons & reason and (where, reason) not in _said:
            _said.add((where, reason))
            LOG.warning("slung: %s: rows of this stream are not labeled exactly: %s", where, text)
