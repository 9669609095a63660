"""Whether a judge agrees with a person: agreement and Cohen's kappa, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from . import intervals

DRAWS = 20_000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; `value` is None if it is undefined."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """A judge's verdicts beside a person's on the same answers.

    Attributes:
        counts: `counts[judge][person]`, the number of answers by both verdicts; 1 accepts the answer, 0 rejects it.
        agreement: the share of answers with equal verdicts, with its exact interval.
        kappa: Cohen's kappa on these answers: agreement beyond chance. Undefined if both always say the same word.
        agreement_of_all, kappa_of_all: the same over all answers that the judge judged, from which these were drawn with
            its two verdicts equally often.
    """

    counts: Sequence[Sequence[int]]
    agreement: Estimate
    kappa: Estimate
    agreement_of_all: Estimate
    kappa_of_all: Estimate

    @property
    def answers(self) -> int:
        """The number of answers."""
        return sum(map(sum, self.counts))

    def to_json(self) -> dict:
        """As plain lists, mappings and numbers."""
        return asdict(self)


def agreement(pairs: Sequence[tuple[bool, bool]], accepted: float) -> Agreement:
    """Compare verdicts.

    The answers are drawn by the judge's verdict, so what varies is how often the person accepts those that the judge
    accepts, and those that it rejects. The intervals of kappa and of all answers come from 20,000 draws of these two
    shares from their posteriors (Jeffreys), whose width is not zero if all verdicts agree.

    Args:
        pairs: per answer, whether the judge and whether the person accepts it; at least one.
        accepted: the share of all judged answers that the judge accepts.
    """
    counts = [[0, 0], [0, 0]]
    for judge, person in pairs:
        counts[judge][person] += 1
    total, equal = len(pairs), counts[0][0] + counts[1][1]
    here = sum(counts[1]) / total
    rng = np.random.default_rng(0)
    shares = [yes / (no + yes) if no + yes else np.nan for no, yes in counts]
    drawn = [rng.beta(yes + 0.5, no + 0.5, DRAWS) for no, yes in counts]
    return Agreement(
        counts,
        Estimate(equal / total, *intervals.exact(equal, total)),
        _estimate(_kappa, here, shares, drawn),
        _estimate(_equal, accepted, shares, drawn),
        _estimate(_kappa, accepted, shares, drawn),
    )


def _equal(accepted: float, of_rejected, of_accepted):
    """The share of equal verdicts.

    Args:
        accepted: the share that the judge accepts.
        of_rejected, of_accepted: the shares of what the judge rejects and accepts that the person accepts; a number or
            an array.
    """
    # a verdict that the judge never gives counts nothing
    parts = [weight * share for weight, share in ((accepted, of_accepted), (1 - accepted, 1 - of_rejected)) if weight]
    return sum(parts)


def _kappa(accepted: float, of_rejected, of_accepted):
    """Cohen's kappa; NaN where both always give the same verdict. See `_equal`."""
    person = sum(weight * share for weight, share in ((accepted, of_accepted), (1 - accepted, of_rejected)) if weight)
    by_chance = accepted * person + (1 - accepted) * (1 - person)
    with np.errstate(invalid="ignore"):
        return np.divide(_equal(accepted, of_rejected, of_accepted) - by_chance, 1 - by_chance)


def _estimate(statistic, accepted: float, shares, drawn) -> Estimate:
    value = float(statistic(accepted, *shares))
    low, high = np.nanquantile(statistic(accepted, *drawn), (0.025, 0.975))
    if np.isnan(value):
        return Estimate(None, float(low), float(high))
    # a posterior leaves out its ends, such as full agreement
    return Estimate(value, min(float(low), value), max(float(high), value))
