"""The section of `slung report --against`."""

from __future__ import annotations

from collections.abc import Sequence

from ..render.sections import Section, Table
from .comparable import listed
from .differences import Difference
from .evaluations import Evaluations

_NOTE = (
    "The difference is the method's value less that of {against}. Paired differences are over the same documents. The 95 % "
    "interval of a mean comes from a bootstrap over documents (clusters: questions about one author) and over runs; that of "
    "a rate is Bonett and Price's. p of a rate is McNemar's exact test, if there is one run each and no clusters. Holm: p, "
    "adjusted for all metrics of the method. Better or worse: Holm's p is below 0.05. A single run per method does not show "
    "how much training runs differ."
)


def differences(evaluations: Evaluations) -> list[Section]:
    """One table per method, of its differences to the one that all are compared with."""
    return section_of(evaluations.differences, "Differences to {against}")


def section_of(found: Sequence[Difference], title: str) -> list[Section]:
    """The section of these differences, with a table per method; none without any."""
    if not found:
        return []
    pairs = dict.fromkeys((difference.method, difference.against) for difference in found)
    against = listed(dict.fromkeys(base for _, base in pairs))
    tables = []
    for pair in pairs:
        rows = [_row(difference) for difference in found if (difference.method, difference.against) == pair]
        head = ["metric", "how", "difference", "95 % interval", "p", "Holm", "finding"]
        tables.append(Table(head, rows, " less ".join(pair), left=2))
    return [Section(title.format(against=against), _NOTE.format(against=against), tables)]


def _row(difference: Difference) -> list[str]:
    its = difference.interval
    ends = "n/a" if its.low is None or its.high is None else f"{_number(its.low)} to {_number(its.high)}"
    metric = f"{difference.task}: {difference.metric}"
    return [metric, its.how, _number(its.difference), ends, _p(its.p), _p(difference.adjusted), difference.finding]


def _number(value: float) -> str:
    return f"{value:+.4f}"


def _p(value: float | None) -> str:
    if value is None:
        return "n/a"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
