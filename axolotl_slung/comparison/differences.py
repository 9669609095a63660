"""Differences between methods: paired by document where the runs' samples are there, and else from their intervals."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..evals.measures.paired import Clusters, Values, difference, holm
from ..evals.measures.steered import is_steered
from .evaluations import Estimate, Method, directions, ordered
from .samples import Samples
from .tasks import AUDIT


@dataclass(frozen=True)
class Interval:
    """A difference with the ends of its 95 % interval and its p-value, where they are known, and how they were found."""

    difference: float
    low: float | None
    high: float | None
    p: float | None
    how: str

    @property
    def is_noise(self) -> bool | None:
        """Whether the interval contains 0; None if it is not known."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


@dataclass(frozen=True)
class Difference:
    """What a method has more of a metric than the one that it is compared with.

    Attributes:
        method, against: names of the two methods.
        task, metric: what was measured.
        higher_is_better: whether a higher value is better.
        interval: the difference of the reported values, and what is known of it.
        adjusted: the p-value, adjusted for the number of this method's metrics (Holm); None if not known.
    """

    method: str
    against: str
    task: str
    metric: str
    higher_is_better: bool
    interval: Interval
    adjusted: float | None

    @property
    def finding(self) -> str:
        """`better` or `worse` if the adjusted p-value is below 0.05, else `within noise`; `n/a` if it is not known."""
        if self.adjusted is None:
            return "n/a"
        if self.adjusted >= 0.05 or not self.interval.difference:
            return "within noise"
        return "better" if (self.interval.difference > 0) == self.higher_is_better else "worse"

    def to_json(self) -> dict:
        """As numbers and strings."""
        own = {name: value for name, value in vars(self).items() if name != "interval"}
        return {**own, **vars(self.interval), "finding": self.finding}


class Comparer:
    """Compares methods. All comparisons of a task share its bootstrap samples.

    `notes` tells which comparisons are not paired, and why.
    """

    def __init__(self):
        self.notes: list[str] = []
        self._clusters: dict[tuple[str, str, bytes], Clusters] = {}
        self._chosen: dict[tuple[Values, bytes], Values] = {}

    def interval(self, one: Method, other: Method, task: str, metric: str) -> Interval | None:
        """`one` less `other`; None if one of them has no such metric."""
        return self.between((one, task, metric), (other, task, metric))

    def between(self, one: tuple[Method, str, str], other: tuple[Method, str, str]) -> Interval | None:
        """A metric less another one, each of a method and a task; None if one of them is not there.

        Only metrics of one task are paired.
        """
        a, b = (method.estimate(task, metric) for method, task, metric in (one, other))
        if a is None or b is None:
            return None
        paired = self._paired(one, other) if one[1] == other[1] else None
        return paired or _unpaired(a, b)

    def _paired(self, one: tuple[Method, str, str], other: tuple[Method, str, str]) -> Interval | None:
        task = one[1]
        ours, theirs = (method.samples_of(task) for method, *_ in (one, other))
        for its in (ours, theirs):
            if isinstance(its, str):
                self._note(f"{task}: {its}; differences in it are not paired")
                return None
        every = [*ours, *theirs]
        if any(its.keys != every[0].keys for its in every):
            self._note(
                f"{task}: samples of {one[0].name} and {other[0].name} are of other documents; differences in it are not "
                "paired"
            )
            return None
        values = [method.values(task, metric) for method, _, metric in (one, other)]
        for given, (*_, metric) in zip(values, (one, other)):
            if given is None:
                self._note(f"{task}: its samples do not give {metric}; differences in it are not paired")
                return None
        a, b = values
        if a.power != b.power:
            return None
        there = (a.bottoms != 0).any(0) | (b.bottoms != 0).any(0)
        clusters = self._clusters_of(task, every[0], there)
        found = difference(self._only(a, there), self._only(b, there), clusters)
        how = f"paired, {_of_what(clusters, a, b)}{', McNemar' if found.exact else ''}"
        return Interval(found.difference, _known(found.low), _known(found.high), _known(found.p), how)

    def _clusters_of(self, task: str, its: Samples, there) -> Clusters:
        key = task, str(hash(tuple(its.keys))), there.tobytes()
        if key not in self._clusters:
            self._clusters[key] = Clusters([cluster for cluster, kept in zip(its.clusters, there, strict=True) if kept])
        return self._clusters[key]

    def _only(self, values: Values, there) -> Values:
        """The values of some documents, the same object each time."""
        key = values, there.tobytes()
        if key not in self._chosen:
            self._chosen[key] = Values(values.tops[:, there], values.bottoms[:, there], values.power)
        return self._chosen[key]

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _of_what(clusters: Clusters, *both: Values) -> str:
    """Of how many runs and documents."""
    runs = "/".join(str(len(values.tops)) for values in both)
    number = len(clusters.of_documents)
    of_documents = f"{number:,} documents"
    if clusters.count < number:
        of_documents += f" in {clusters.count:,} clusters"
    return of_documents if runs == "1/1" else f"{runs} runs, {of_documents}"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _unpaired(a: Estimate, b: Estimate) -> Interval:
    """The difference of independent estimates, from the squares of their intervals' sides (Zou and Donner 2008)."""
    from scipy.stats import norm

    whole = a.mean - b.mean
    if None in (a.low, a.high, b.low, b.high):
        return Interval(whole, None, None, None, "not paired, no errors in the files")
    below, above = math.hypot(a.mean - a.low, b.high - b.mean), math.hypot(a.high - a.mean, b.mean - b.low)
    side = below if whole > 0 else above
    p = float(2 * norm.sf(norm.isf(0.025) * abs(whole) / side)) if side else float(whole == 0)
    how = "not paired" if a.runs == b.runs == 1 else f"not paired, {a.runs}/{b.runs} runs"
    return Interval(whole, whole - below, whole + above, p, how)


_NOT_OF_THE_MODEL = ("judge_", "auroc_bag_of_words", "auroc_shuffled", "chosen_layer")
"""How metrics begin that describe the judge, the comments or the probe itself. Steered completions have rows of their own."""


def all_differences(methods: Sequence[Method], base: Method, comparer: Comparer) -> list[Difference]:
    """The differences of methods to another, in all metrics that both have. Those of audits have a section of their own."""
    return differences_in(methods, base, comparer, None)


def differences_in(
    methods: Sequence[Method], base: Method, comparer: Comparer, chosen: Collection[tuple[str, str]] | None
) -> list[Difference]:
    """The differences of methods to another, in these metrics that both have.

    Args:
        methods: all but `base`.
        base: the one that they are compared with.
        comparer: tells differences from noise.
        chosen: `(task, metric)` each; None for all. p-values are adjusted for their number.
    """
    found = []
    for method in methods:
        its = _of_method(method, base, comparer, chosen)
        adjusted = holm([math.nan if row.p is None else row.p for _, _, _, row in its])
        found += [
            Difference(method.name, base.name, task, metric, higher, row, _known(p))
            for (task, metric, higher, row), p in zip(its, adjusted, strict=True)
        ]
    return found


def _of_method(
    method: Method, base: Method, comparer: Comparer, chosen: Collection[tuple[str, str]] | None
) -> list[tuple[str, str, bool, Interval]]:
    rows = []
    for task in ordered(task for task in method.runs if task in base.runs and (chosen or task not in AUDIT)):
        better: Mapping[str, bool] = directions(task, [*method.runs[task], *base.runs[task]])
        for metric, higher in better.items():
            if (
                metric.startswith(_NOT_OF_THE_MODEL)
                or is_steered(metric)
                or (chosen is not None and (task, metric) not in chosen)
            ):
                continue
            if (interval := comparer.interval(method, base, task, metric)) is not None:
                rows.append((task, metric, higher, interval))
    return rows
