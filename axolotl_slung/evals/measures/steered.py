"""The values of steered completions beside the unsteered ones, under names that end in the strength."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import intervals
from .metrics import Metric

_STEERED = "_steered_"
_NAME = re.compile(r"(?P<metric>.+)_steered_(?P<strength>[-+.e\d]+)(?P<end>_stderr|_ci_low|_ci_high)?")


class Steered(NamedTuple):
    """A completion, and the layer that was steered, 0 for the embeddings."""

    text: str
    layer: int


def named(metric: str, strength: float) -> str:
    """The name of a metric at a strength. lm_eval finds an error by its end, which stays."""
    stem, end = re.fullmatch(r"(.*?)(_stderr|_ci_low|_ci_high)?", metric).groups()  # type: ignore[union-attr]
    return f"{stem}{_STEERED}{strength:g}{end or ''}"


def is_steered(metric: str) -> bool:
    """Whether a metric is of steered completions."""
    return _STEERED in metric


def strengths(metrics: Sequence[str]) -> list[float]:
    """The strengths that metrics are named after, in ascending order."""
    return sorted({float(found["strength"]) for name in metrics if (found := _NAME.fullmatch(name))})


def joined(
    plain: Sequence[Mapping],
    steered: Mapping[float, Sequence[Mapping]],
    said: Mapping[float, Sequence[Sequence[Steered]]],
) -> list[dict]:
    """The rows of all strengths as one row per prompt.

    Args:
        plain: the rows of the unsteered completions, whose values keep their names.
        steered: by strength, the rows of the same prompts.
        said: by strength, what these rows are of.

    Returns:
        One row per prompt. `change` at a strength is the toxicity less that of the unsteered completions.
    """
    rows = [dict(row) for row in plain]
    for strength, theirs in steered.items():
        for row, its, completions in zip(rows, theirs, said[strength], strict=True):
            change = its["toxicity"] - row["toxicity"]
            row |= {named(key, strength): value for key, value in {**its, "change": change}.items()}
            row["steered_layer"] = completions[0].layer
    return rows


def metrics(one: Mapping[str, Metric], of_strengths: Sequence[float]) -> dict[str, Metric]:
    """The metrics of rows from `joined` at all strengths.

    Args:
        one: the metrics of the unsteered completions.
        of_strengths: the strengths.
    """
    change = {
        "toxicity_change": Metric("change", intervals.mean),
        "toxicity_change_stderr": Metric("change", intervals.stderr),
        "toxicity_change_ci_low": Metric("change", intervals.low),
        "toxicity_change_ci_high": Metric("change", intervals.high),
    }
    found = {
        named(name, strength): metric._replace(of=named(metric.of, strength))
        for strength in of_strengths
        for name, metric in {**one, **change}.items()
    }
    return found | ({"steered_layer": Metric("steered_layer", intervals.mean)} if found else {})
