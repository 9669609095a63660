"""Paired differences, against a slow reference, against textbook formulas and against simulations."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t, ttest_rel

from axolotl_slung.evals.measures import paired
from axolotl_slung.evals.measures.paired import Clusters, Values, difference, holm, level, mcnemar


def means(values):
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return Values(np.nan_to_num(values), (~np.isnan(values)).astype(float))


def slow_replicate(values, of_documents, times):
    """The metric of one bootstrap sample, from a list of its documents."""
    order = list(dict.fromkeys(of_documents))
    drawn = [n for n, cluster in enumerate(of_documents) for _ in range(times[order.index(cluster)])]
    of_runs = []
    for tops, bottoms in zip(values.tops, values.bottoms):
        ratio = sum(tops[n] for n in drawn) / sum(bottoms[n] for n in drawn)
        of_runs.append(math.exp(ratio) if values.power else ratio)
    return sum(of_runs) / len(of_runs)


@pytest.mark.parametrize("power", [False, True])
def test_replicates_are_those_of_a_slow_reference(monkeypatch, power):
    monkeypatch.setattr(paired, "REPLICATES", 500)
    draw = np.random.default_rng(0)
    of_documents = ["a", "b", "a", "c", "d", "d", "d", "e"]
    bottoms = draw.integers(1, 9, (3, 8)).astype(float)
    values = Values(draw.random((3, 8)) * bottoms, bottoms, power)
    clusters = Clusters(of_documents)
    expected = [slow_replicate(values, of_documents, times) for times in clusters.times]
    assert clusters.replicates(values) == pytest.approx(expected)
    # each sample has as many clusters as the data, and no cluster is preferred
    assert (clusters.times.sum(1) == 5).all() and abs(clusters.times.mean(0) - 1).max() < 0.15


def test_the_same_seed_gives_the_same_interval():
    draw = np.random.default_rng(0)
    one, other = means(draw.random((2, 50))), means(draw.random((3, 50)))
    assert difference(one, other, Clusters(range(50))) == difference(one, other, Clusters(range(50)))
    assert difference(one, other, Clusters(range(50), seed=7)).low != difference(one, other, Clusters(range(50))).low


def test_means_of_one_run_have_the_paired_t_interval():
    draw = np.random.default_rng(0)
    hard = draw.random(200)
    one, other = hard + 0.3 * draw.random(200) + 0.02, hard + 0.3 * draw.random(200)
    found, expected = difference(means(one), means(other), Clusters(range(200))), ttest_rel(one, other)
    ends = expected.confidence_interval(0.95)
    width = ends.high - ends.low
    assert found.difference == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.04 * width)
    assert found.p == pytest.approx(expected.pvalue, rel=0.3)
    # without pairing, the interval would be several times as wide
    assert width < 0.3 * 2 * 1.96 * math.sqrt((one.var() + other.var()) / 200)


def test_rates_have_the_interval_of_bonett_and_price_and_mcnemars_p():
    one, other = np.zeros(200), np.zeros(200)
    one[:10], other[10:12], one[50:60], other[50:60] = 1, 1, 1, 1
    found = difference(means(one), means(other), Clusters(range(200)))
    more, less = 11 / 202, 3 / 202
    half = t.ppf(0.975, 199) * math.sqrt((more + less - (more - less) ** 2) / 202)
    assert (found.low, found.high) == pytest.approx((more - less - half, more - less + half))
    assert found.exact and found.p == pytest.approx(2 * sum(math.comb(12, k) for k in range(3)) / 2**12)


def test_no_event_in_either_is_no_certainty():
    found = difference(means(np.zeros(200)), means(np.zeros(200)), Clusters(range(200)))
    assert (found.difference, found.p) == (0, 1) and -0.02 < found.low < -0.01 < 0.01 < found.high < 0.02


def test_copies_of_documents_add_nothing():
    draw = np.random.default_rng(0)
    one, other = draw.random(30), draw.random(30)
    plain = difference(means(one), means(other), Clusters(range(30)))
    copied = difference(means(np.repeat(one, 20)), means(np.repeat(other, 20)), Clusters(np.repeat(range(30), 20)))
    assert vars(copied) == pytest.approx(vars(plain))


def test_runs_that_differ_widen_the_interval():
    draw = np.random.default_rng(0)
    documents = draw.random(400)
    noise = draw.normal(0, 0.01, (6, 400))
    same = noise + documents
    apart = same + np.array([-0.1, 0, 0.1] * 2)[:, None]
    narrow, wide = (difference(means(runs[:3]), means(runs[3:]), Clusters(range(400))) for runs in (same, apart))
    # three runs with a standard deviation of 0.1 each: Student's t for 4 degrees of freedom
    half = t.ppf(0.975, 4) * math.sqrt(2 * 0.01 / 3)
    assert wide.high - wide.low == pytest.approx(2 * half, rel=0.15) and narrow.high - narrow.low < 0.01


def test_perplexities_and_missing_values():
    draw = np.random.default_rng(0)
    tokens = draw.integers(20, 200, (1, 100)).astype(float)
    hard = draw.normal(3, 0.5, (1, 100))
    one, other = Values(tokens * hard, tokens, True), Values(tokens * (hard - 0.1), tokens, True)
    found = difference(one, other, Clusters(range(100)))
    expected = math.exp((tokens * hard).sum() / tokens.sum()) * (1 - math.exp(-0.1))
    assert found.difference == pytest.approx(expected) and 0 < found.low < expected < found.high and found.p < 1e-6
    some = draw.random(100)
    some[::3] = math.nan
    assert difference(means(some), means(draw.random(100)), Clusters(range(100))).low < 0
    alone = difference(means(some), means(some), Clusters([0] * 100))
    assert math.isnan(alone.low) and math.isnan(alone.p)  # one cluster says nothing of others


def test_holm_and_mcnemar():
    assert holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert (mcnemar(0, 0), mcnemar(1, 9)) == (1.0, 22 / 1024)


def answers(draw, rates, runs, size, number=200):
    """Zeros and ones of two methods, `(runs, documents)` each. Documents, clusters and runs have effects of their own."""
    of_cluster, of_document, of_run = 0.09 * (size > 1), 0.3, 0.02 * (runs > 1)
    latent = []
    for _ in range(3):
        cluster = np.repeat(draw.standard_normal(number // size), size) * math.sqrt(of_cluster / 2)
        latent.append(cluster + draw.standard_normal(number) * math.sqrt(of_document / 2))
    rest = math.sqrt(1 - of_cluster - of_document - of_run)
    made = []
    for rate, own in zip(rates, latent[1:]):
        noise = rest * draw.standard_normal((runs, number))
        noise += math.sqrt(of_run) * draw.standard_normal((runs, 1))
        made.append(means(latent[0] + own + noise < norm.ppf(rate)))
    return made


def covered(rates, runs, size, repeats):
    """The share of intervals that contain the true difference of two rates."""
    draw, clusters, hits = np.random.default_rng(1), Clusters(np.arange(200) // size), 0
    for _ in range(repeats):
        found = difference(*answers(draw, rates, runs, size), clusters)
        hits += found.low <= rates[0] - rates[1] <= found.high
    return hits / repeats


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("size", [1, 20])
def test_differences_of_rates_are_covered(runs, size):
    rates = (0.05, 0.1, 0.2, 0.5)
    shares = [covered((rate, other), runs, size, 90) for rate in rates for other in (rate, min(2 * rate, 0.7))]
    assert 0.93 <= np.mean(shares) <= 0.97, shares


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("size", [1, 20])
def test_differences_of_rare_events_are_covered_too_often_rather_than_too_rarely(runs, size):
    """Of 200 documents, 0.2 to 1 % are 0 to 2 events: no interval that contains 0 then misses the truth in 5 % of cases."""
    shares = [covered((rate, other), runs, size, 40) for rate in (0.002, 0.005, 0.01) for other in (rate, 2 * rate)]
    assert np.mean(shares) >= 0.95, shares


def test_differences_of_means_are_covered(monkeypatch):
    monkeypatch.setattr(paired, "REPLICATES", 500)
    hits = []
    for runs, size in ((1, 1), (1, 20), (3, 1), (3, 20)):
        draw = np.random.default_rng(11 + runs + size)
        for seed in range(200):
            shared, made = draw.exponential(0.05, 200), []
            for _ in range(2):
                of_cluster = np.repeat(draw.exponential(0.03, 200 // size), size) * (size > 1)
                of_run = 0.01 * (runs > 1) * draw.standard_normal((runs, 1))
                made.append(means(shared + of_cluster + of_run + draw.exponential(0.05, (runs, 200))))
            found = difference(*made, Clusters(np.arange(200) // size, seed))
            hits.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(hits) <= 0.97


class TestLevel:
    """The mean of several seeds."""

    def test_of_one_run_is_wilsons(self):
        values = np.zeros(200)
        values[:9] = 1
        found, expected = level(means(values), Clusters(range(200))), binomtest(9, 200).proportion_ci(method="wilson")
        # Student's t of 199 degrees of freedom is a little wider
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=6e-4)
        assert found.stderr == pytest.approx(values.std(ddof=1) / math.sqrt(200))

    def test_no_event_in_any_seed_is_not_certain(self):
        found = level(means(np.zeros((3, 200))), Clusters(range(200)))
        assert found[:3] == (0, 0, 0) and 0.018 < found.high < 0.02

    def test_equal_seeds_add_nothing(self):
        draw = np.random.default_rng(0)
        for values in (draw.random(200), (draw.random(200) < 0.3).astype(float)):
            one, three = (level(means([values] * runs), Clusters(range(200))) for runs in (1, 3))
            assert three == pytest.approx(one)

    def test_one_cluster_says_nothing(self):
        assert all(math.isnan(end) for end in level(means(np.random.default_rng(0).random(9)), Clusters([0] * 9))[1:])

    def test_rates_of_three_seeds_are_covered(self):
        shares = []
        for size in (1, 20):
            clusters = Clusters(np.arange(200) // size)
            for seed, rate in enumerate((0.01, 0.05, 0.1, 0.2, 0.5)):
                draw, hits = np.random.default_rng(10 * size + seed), []
                for _ in range(150):
                    found = level(answers(draw, (rate, rate), 3, size)[0], clusters)
                    hits.append(found.low <= rate <= found.high)
                shares.append(np.mean(hits))
        assert 0.93 <= np.mean(shares) <= 0.97, shares
