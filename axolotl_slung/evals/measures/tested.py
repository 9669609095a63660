"""What scores of test comments come to: AUROC and accuracy over draws, and both by group, such as a functional test."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from . import intervals, probe
from .metrics import Metric


class Tested(NamedTuple):
    """A comment's place, its class, and its score in each draw that tests it, by the draw's number."""

    place: int
    toxic: bool
    scores: dict[str, float]


Threshold = Callable[[Sequence[float]], float]
"""From the scores of a draw's test comments, without their classes, the lowest score that counts as toxic."""


def zero(scores: Sequence[float]) -> float:
    """The threshold of log-odds that were fitted to both classes, or that are taken at their word."""
    return 0.0


def of_batch(scores: Sequence[float]) -> float:
    """The mean score (batch calibration, Zhou et al. 2023). It removes a preference for one word. It needs no classes,
    but half of the comments have to be toxic.
    """
    return float(np.mean(scores))


def by_draw(items: Sequence[Tested]) -> dict[str, list[Tested]]:
    """The test comments of each draw, in the order of their places."""
    found = defaultdict(list)
    for item in sorted(items):
        for draw in item.scores:
            found[draw].append(item)
    return {draw: found[draw] for draw in sorted(found, key=int)}


def aurocs(items: Sequence[Tested]) -> list[float]:
    """The AUROC of each draw; NaN for a draw with fewer than two classes."""
    return [
        probe.auroc([item.scores[draw] for item in its], [item.toxic for item in its])
        for draw, its in by_draw(items).items()
    ]


def rights(items: Sequence[Tested], threshold: Threshold) -> dict[int, float]:
    """For each comment's place, 1.0 if its score is on the right side of the threshold and 0.0 if not.

    Of a comment that several draws test, the first draw counts.
    """
    found: dict[int, float] = {}
    for draw, its in by_draw(items).items():
        cut = threshold([item.scores[draw] for item in its])
        for item in its:
            found.setdefault(item.place, float((item.scores[draw] >= cut) == item.toxic))
    return found


def _low(values: Sequence[float]) -> float:
    # equal values of a few draws are not a rate of 0 or 1
    return intervals.clipped(intervals.low(values))


def _high(values: Sequence[float]) -> float:
    return intervals.clipped(intervals.high(values))


def over_draws(
    name: str,
    of: str,
    each: Callable[[Sequence[Tested]], Sequence[float]],
    higher: bool | None = True,
    ci: bool = True,
) -> dict[str, Metric]:
    """The mean of a value per draw as a metric, with its standard error and, if `ci`, its 95 % interval.

    Args:
        name: the metric's name.
        of: the key of the documents' values, each of them a `Tested`.
        each: the value of each draw.
        higher: whether higher is better.
        ci: whether to give the interval.
    """

    def metric(aggregate, higher=None):
        return Metric(of, lambda items: aggregate(each(items)), higher)

    found = {name: metric(intervals.mean, higher), f"{name}_stderr": metric(intervals.stderr)}
    if ci:
        found |= {f"{name}_ci_low": metric(_low), f"{name}_ci_high": metric(_high)}
    return found


def of_template(value: float, template: str) -> float:
    """The value, in the cluster of its template if it has one."""
    return intervals.Clustered(value, template) if template else value


def groups(
    items: Sequence[Tested], names: Mapping[int, str], templates: Mapping[int, str], threshold: Threshold
) -> list[dict]:
    """Accuracy and AUROC of each group of comments.

    The accuracy's interval is that of a rate, and comments of one template are a cluster. The AUROC is the mean over
    draws, and None if a group has only one class.

    Args:
        items: the test comments.
        names: for each place the group's name; comments without one are left out.
        templates: for each place the template, or "".
        threshold: see `rights`.

    Returns:
        A dictionary per group: `group`, `comments`, `toxic` (both numbers), `accuracy`, `auroc`, and of both `..._low`
        and `..._high`.
    """
    right = {place: of_template(value, templates.get(place, "")) for place, value in rights(items, threshold).items()}
    members = defaultdict(list)
    for item in items:
        if item.scores and names.get(item.place):
            members[names[item.place]].append(item)
    found = []
    for group in sorted(members):
        ours = members[group]
        values, each = [right[item.place] for item in ours], aurocs(ours)
        row = {"group": group, "comments": len(ours), "toxic": sum(item.toxic for item in ours)}
        row |= {"accuracy": intervals.mean(values), "accuracy_low": intervals.rate_low(values)}
        row |= {"accuracy_high": intervals.rate_high(values), "auroc": intervals.mean(each)}
        row |= {"auroc_low": _low(each), "auroc_high": _high(each)}
        found.append(
            {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        )
    return found
