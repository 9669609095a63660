"""Rows whose labels are not exact, or not as the row says: the reasons, and how the log reports them."""

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

UNREAD, RANGES_UNREAD, FRACTION, BOTH, OVERLAP, OUT_OF_TEXT, OVERRULED, REST, ROLE, EMPTY, ELSEWHERE, THINKING = (
    1 << bit for bit in range(4, 16)
)

UNHEEDED = {
    UNREAD: "`train`, `training` or `weight` of a message, which `message_field_training` does not name",
    RANGES_UNREAD: "`train_detail` or `training_detail` of a message, which `message_field_training_detail` does not name",
    FRACTION: "a `weight` other than 0 and 1: Axolotl trains that text in full",
    BOTH: "a part or range with `train: true` and `weight: 0`: Axolotl trains it",
    OVERLAP: "ranges that overlap and differ: Axolotl trains what one of them trains",
    OUT_OF_TEXT: "a range that is outside its text, or ends before it begins",
    OVERRULED: "ranges of a message whose parts have `train` or `weight`: Axolotl uses only these",
    REST: "ranges or parts with `train` or `weight`: Axolotl trains nothing else of that message, such as its thinking, "
    "its tool calls or, if its thinking has the parts, its content",
    ROLE: "parts with `train` or `weight` in a message of a role that is not trained: Axolotl trains its other parts and "
    "its end of turn",
    EMPTY: "an empty list of ranges: Axolotl trains nothing of that message",
    ELSEWHERE: "flags or ranges that Axolotl puts on other tokens, or on none, because the chat_template changes or moves "
    "that text, or a character has several tokens",
    THINKING: "thinking under `field_thinking`, which Axolotl leaves out: map it in `message_property_mappings`",
}
"""What a row says of training and Axolotl does not do, see `heeded.py`."""

_HEADINGS = (
    ("are not labeled exactly", REASONS),
    ("say something of training that Axolotl does not do", UNHEEDED),
)


def take(dataset: Dataset, where: str) -> Dataset:
    """The data set without the column. If any row has a reason, a warning is logged.

    Args:
        dataset: a labeled data set.
        where: its place in the YAML.
    """
    if COLUMN not in dataset.column_names:
        return dataset
    numbers = dataset.data.column(COLUMN).to_numpy()
    for heading, texts in _HEADINGS:
        if rows := int(((numbers & sum(texts)) != 0).sum()):
            reasons = [(int(((numbers & reason) != 0).sum()), text) for reason, text in texts.items()]
            why = "; ".join(f"in {number}: {text}" for number, text in reasons if number)
            LOG.warning("slung: %s: %d of %d rows %s: %s", where, rows, len(dataset), heading, why)
    return dataset.remove_columns(COLUMN)


_said: set[tuple[str, int]] = set()


def say_once(reasons: int, where: str) -> None:
    """Log each reason once per process. A stream has no summary.

    Args:
        reasons: the sum of the reasons.
        where: the data set's place in the YAML.
    """
    for heading, texts in _HEADINGS:
        for reason, text in texts.items():
            if reasons & reason and (where, reason) not in _said:
                _said.add((where, reason))
                LOG.warning("slung: %s: rows of this stream %s: %s", where, heading, text)
