"""Errors and intervals of means and rates, against their definitions and against simulations."""

import math
import pickle

import numpy as np
import pytest
from scipy.stats import binomtest

from axolotl_slung.evals.measures.intervals import (
    Clustered,
    high,
    low,
    mean,
    rate_high,
    rate_low,
    share_high,
    share_low,
    stderr,
)


@pytest.mark.parametrize(("successes", "number"), [(0, 6), (0, 200), (1, 200), (100, 200), (200, 200)])
def test_a_rate_has_wilsons_interval(successes, number):
    values = [1.0] * successes + [0.0] * (number - successes) + [math.nan]
    expected = binomtest(successes, number).proportion_ci(method="wilson")
    assert (rate_low(values), rate_high(values)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_event_of_200_is_at_most_two_percent():
    assert f"{rate_high([0.0] * 200):.1%}" == "1.9%" and rate_low([0.0] * 200) == 0


def test_nothing_is_outside_its_range():
    assert share_low([0.0, 0.0, 0.1]) == 0 and share_high([1.0, 1.0, 0.9]) == 1
    assert low([0.0, 0.0, 0.1]) < 0  # of other means, such as perplexities


def test_equal_values_at_an_end_are_not_certain():
    """No document with any toxicity says as much as no toxic document."""
    assert share_low([0.0] * 200) == 0 and share_high([0.0] * 200) == rate_high([0.0] * 200) == pytest.approx(
        0.0188, abs=1e-4
    )
    ones = [Clustered(1.0, number // 20) for number in range(200)]
    assert share_high(ones) == 1 and share_low(ones) == rate_low(ones) < 0.98
    assert share_low([0.5] * 200) == share_high([0.5] * 200) == 0.5


def test_values_that_are_almost_at_an_end_are_not_certain_either():
    """Probabilities of 1e-30 that a model says a span: the next span may be one that it says."""
    tiny = [10.0**-power for power in range(20, 40)]
    assert share_high(tiny) == pytest.approx(rate_high([0.0] * 20)) and share_low(tiny) == pytest.approx(0, abs=1e-12)
    assert share_high([1 - value for value in tiny]) == 1
    assert share_low([1 - value for value in tiny]) == pytest.approx(rate_low([1.0] * 20))
    assert share_high([0.001] * 19 + [0.5]) == pytest.approx(high([0.001] * 19 + [0.5]))


def test_nothing_known():
    for of in (mean, stderr, low, high, rate_low, rate_high, share_low, share_high):
        assert math.isnan(of([math.nan]))


def test_clusters_of_one_are_independent_values():
    draws = np.random.default_rng(0).random(50)
    clustered = [Clustered(value, i) for i, value in enumerate(draws)]
    assert stderr(clustered) == pytest.approx(stderr(list(draws)))
    assert (low(clustered), high(clustered)) == pytest.approx((low(list(draws)), high(list(draws))))


def test_copies_of_a_value_add_nothing():
    draws = list(np.random.default_rng(0).random(20))
    copied = [Clustered(value, i) for i, value in enumerate(draws) for _ in range(10)]
    assert stderr(copied) == pytest.approx(stderr(draws))


def test_one_cluster_says_nothing_of_others():
    values = [Clustered(0.0, "a")] * 20
    assert math.isnan(stderr(values)) and (rate_low(values), rate_high(values)) == (0, 1)


def test_ranks_send_clusters_to_each_other():
    sent = pickle.loads(pickle.dumps(Clustered(0.5, "author")))
    assert (sent, sent.cluster) == (0.5, "author")


def covered(rate, correlation=0.0, clusters=200, size=1, repeats=1500):
    """The share of intervals that contain the true rate; a cluster's own rate has a beta distribution."""
    draw, hits = np.random.default_rng(1), 0
    for _ in range(repeats):
        if correlation:
            total = (1 - correlation) / correlation
            rates = np.repeat(draw.beta(rate * total, (1 - rate) * total, clusters), size)
        else:
            rates = np.full(clusters * size, rate)
        values = (draw.random(clusters * size) < rates).astype(float)
        if size > 1:
            values = [Clustered(value, i // size) for i, value in enumerate(values)]
        hits += rate_low(values) <= rate <= rate_high(values)
    return hits / repeats


def test_rates_of_200_documents_are_covered():
    # one rate alone jumps by more than that, since 200 documents have few outcomes
    rates = np.geomspace(0.002, 0.5, 25)
    assert 0.93 <= np.mean([covered(rate, repeats=300) for rate in rates]) <= 0.97


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("correlation", [0.03, 0.09])
def test_rates_of_clusters_are_covered(rate, correlation):
    assert 0.93 <= covered(rate, correlation, clusters=10, size=20) <= 0.97
