"""A metric of one run, or of several seeds: its mean, standard error and 95 % interval."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..evals.measures import intervals
from ..evals.measures.paired import Level

SUFFIXES = ("_stderr", "_ci_low", "_ci_high")
_SHARE = re.compile(
    "rate|auroc|recall|probability|toxicity|maximum|correct|choice|utility|acc|exact_match|f1"
    "|extracted|found_in_|rank_first|empty|low_risk_greedy|common_prefix|extraction_strength"
)
_SIGNED = re.compile("correlation|_over_")


def is_share(metric: str) -> bool:
    """Whether the values of a metric with this name are from 0 to 1."""
    return bool(_SHARE.search(metric)) and not _SIGNED.search(metric)


@dataclass(frozen=True)
class Estimate:
    """A mean over `runs` runs, its standard error and its 95 % interval. Unknown values are None."""

    mean: float
    stderr: float | None
    low: float | None
    high: float | None
    runs: int


def of_run(run: Mapping, metric: str) -> Estimate:
    """A metric of one run, with error and interval from its file."""
    error, low, high = (run.get(metric + suffix) for suffix in SUFFIXES)
    if error is not None and (low is None or high is None):
        half = NormalDist().inv_cdf(0.975) * error
        low, high = run[metric] - half, run[metric] + half
    return Estimate(run[metric], error, low, high, 1)


def of_files(runs: Sequence[Mapping], metric: str) -> Estimate:
    """The mean over seeds without samples: as if what a run's documents add were the same in all seeds.

    The squares of both distances to an interval's end add up (Zou and Donner 2008): that of a run's own interval over
    its samples, on average, and that of Student's t over seeds. Without intervals in the files, only the second is known.
    """
    single = [of_run(run, metric) for run in runs]
    mean, over_seeds = intervals.mean([its.mean for its in single]), intervals.stderr([its.mean for its in single])
    half = intervals.high([its.mean for its in single]) - mean

    def both(of_samples: Sequence[float | None], of_seeds: float) -> float:
        there = [value for value in of_samples if value is not None]
        return math.hypot(sum(there) / len(there) if len(there) == len(single) else 0.0, of_seeds)

    error = both([its.stderr for its in single], over_seeds)
    below = both([None if its.low is None else its.mean - its.low for its in single], half)
    above = both([None if its.high is None else its.high - its.mean for its in single], half)
    return within(Level(mean, error, mean - below, mean + above), metric, runs)


def within(found: Level, metric: str, runs: Sequence[Mapping]) -> Estimate:
    """An estimate over seeds. Its interval is cut at 0 and 1 where those of the single runs are within."""
    single = [of_run(run, metric) for run in runs]
    error, low, high = (value if math.isfinite(value) else None for value in found[1:])
    share = is_share(metric) and all(0 <= its.mean <= 1 for its in single)
    positive = not _SIGNED.search(metric) and all(its.low is not None and its.low >= 0 for its in single)
    if low is not None and (share or positive):
        low = max(low, 0.0)
    if high is not None and share:
        high = min(high, 1.0)
    return Estimate(found.mean, error, low, high, len(runs))
