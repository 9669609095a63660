"""The tags of a classifier's config, and what each adds to the scores of the labels that were asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ...errors import meant
from ..base import LabelerError

Unit = Literal["sentence", "document", "token"]
Label = str | Sequence[str] | Mapping[str, float]

_TAG = re.compile(r"[BIMELSU][-_](.+)")
"""A tag of the schemes BIO, BIOES, BMES and BILOU."""


def factors_of(key: str, source: object, tags: Sequence[str], label: Label, unit: Unit) -> tuple[list[str], np.ndarray]:
    """What the probability of each tag counts for each score.

    Args:
        key: the labeler's place in the YAML, for errors.
        source: the model, for errors.
        tags: the classifier's, in the order of its logits.
        label: a label; or several, each with a score of its own; or a mapping of labels to factors, for one score.
            A label of a token classifier stands for all of its tags (`B-`, `I-`, ... and bare). A tag in full stands
            for itself.
        unit: `token` for a token classifier.

    Returns:
        `(kinds, factors)`: a name for each score, "" for that of a mapping; and float32 `[tags, kinds]`.

    Raises:
        LabelerError: a label is not in the model, or is given twice.
    """
    if isinstance(label, Mapping):
        kinds, columns = [""], [(name, 0, factor) for name, factor in label.items()]
    else:
        kinds = [label] if isinstance(label, str) else list(label)
        columns = [(name, column, 1.0) for column, name in enumerate(kinds)]
    factors = np.zeros((len(tags), len(kinds)), np.float32)
    for name, column, factor in columns:
        mine = [place for place, tag in enumerate(tags) if name in (tag, _label_of(tag, unit))]
        if not mine:
            known = list(dict.fromkeys(_label_of(tag, unit) for tag in tags))
            raise LabelerError(
                f"{key}.label: {name!r}: is not in {source}; choose one of {', '.join(known)}{meant(name, known)}"
            )
        if factors[mine, column].any() or kinds.count(name) > 1:
            raise LabelerError(f"{key}.label: {name!r}: is given twice; remove one")
        factors[mine, column] = factor
    return kinds, factors


def _label_of(tag: str, unit: Unit) -> str:
    """The label of a tag: without its prefix, if it has one."""
    match = _TAG.fullmatch(tag) if unit == "token" else None
    return match[1] if match else tag
