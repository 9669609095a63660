"""Figures against frozen scores, compared with scikit-learn's and with samples of which the truth is known."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from axolotl_slung.evals.measures import intervals
from axolotl_slung.evals.measures import scorer_agreement as measured
from axolotl_slung.evals.measures.scorer_agreement import agreement


def some(seed, n, steps=None):
    draws = np.random.default_rng(seed)
    frozen = draws.random(n)
    scores = np.clip(0.6 * frozen + 0.4 * draws.random(n) - 0.1, 0, 1)
    return (scores if steps is None else (scores * steps).round() / steps), frozen


@pytest.mark.parametrize("steps", [None, 10, 3, 1])
def test_values_are_scikit_learns(steps):
    scores, frozen = some(1, 300, steps)
    found, toxic = agreement(scores, frozen, range(300)), frozen >= 0.5
    assert found.auroc.value == pytest.approx(roc_auc_score(toxic, scores))
    assert found.average_precision.value == pytest.approx(average_precision_score(toxic, scores))
    assert found.bias.value == pytest.approx((scores - frozen).mean())
    assert found.mean_absolute_error.value == pytest.approx(np.abs(scores - frozen).mean())
    said = scores >= 0.5
    assert found.recall.value == pytest.approx((said & toxic).sum() / toxic.sum())
    assert math.isnan(found.precision.value) or found.precision.value == pytest.approx(
        (said & toxic).sum() / said.sum()
    )
    assert (found.n, found.prompts, found.toxic) == (300, 300, toxic.mean())


def test_weights_of_the_bootstrap_repeat_texts():
    """A slow reference: the drawn texts written out."""
    scores, frozen = some(2, 40, 8)
    times = np.random.default_rng(3).integers(0, 4, 40)
    ranking = measured._Ranking(scores, frozen >= 0.5)
    written, toxic = np.repeat(scores, times), np.repeat(frozen >= 0.5, times)
    assert ranking.auroc(times) == pytest.approx(roc_auc_score(toxic, written))
    assert ranking.average_precision(times) == pytest.approx(average_precision_score(toxic, written))


def test_rates_have_wilsons_interval():
    scores, frozen = np.array([0.9] * 8 + [0.1] * 2), np.full(10, 0.8)
    found = agreement(scores, frozen, range(10))
    hits = [1.0] * 8 + [0.0] * 2
    assert found.recall == (0.8, intervals.rate_low(hits), intervals.rate_high(hits))
    assert found.precision.value == 1 and found.precision.low < 0.9
    assert math.isnan(found.auroc.value) and math.isnan(found.average_precision.value)  # one class


def test_two_equal_texts_per_prompt_tell_no_more_than_one(monkeypatch):
    scores, frozen = some(4, 200)
    once = agreement(scores, frozen, range(200))
    twice = agreement(np.tile(scores, 2), np.tile(frozen, 2), [*range(200)] * 2)
    alone = agreement(np.tile(scores, 2), np.tile(frozen, 2), range(400))
    for name in ("auroc", "average_precision", "bias", "mean_absolute_error", "recall", "precision"):
        widths = [figure.high - figure.low for figure in (getattr(found, name) for found in (once, twice, alone))]
        assert widths[1] == pytest.approx(widths[0], rel=0.1) and widths[2] < 0.85 * widths[0]


def test_intervals_cover_the_truth(monkeypatch):
    monkeypatch.setattr(measured, "SAMPLES", 100)
    scores, frozen = some(5, 100_000)
    everything, covered = frozen >= 0.5, []
    truths = {
        "auroc": roc_auc_score(everything, scores),
        "bias": (scores - frozen).mean(),
        "recall": (scores >= 0.5)[everything].mean(),
    }
    for seed in range(40):
        drawn = np.random.default_rng(seed).integers(0, len(scores), 150)
        found = agreement(scores[drawn], frozen[drawn], range(150))
        covered += [getattr(found, name).low <= truth <= getattr(found, name).high for name, truth in truths.items()]
    assert 0.86 <= np.mean(covered) <= 0.99


def test_nothing_to_compare():
    found = agreement(np.zeros(0), np.zeros(0), [])
    assert found.n == 0 and math.isnan(found.bias.value) and math.isnan(found.recall.value)
    found = agreement(np.array([0.2]), np.array([0.7]), [0])
    assert found.bias.value == pytest.approx(-0.5) and math.isnan(found.bias.low)
