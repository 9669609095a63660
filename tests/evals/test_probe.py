"""The probe, on states of which the truth is known."""

import numpy as np
import pytest

from axolotl_slung.evals.measures import probe


def halves(n):
    return [index % 2 == 0 for index in range(n)]


@pytest.mark.parametrize("scaled", [True, False])
def test_planted_classes_are_found_and_noise_is_not(scaled):
    random = np.random.default_rng(0)
    toxic = np.array(halves(1000))
    noise = random.normal(size=(1000, 64)).astype(np.float32)
    planted = noise + 4 * toxic[:, None] * random.normal(size=64).astype(np.float32) / 8
    found = probe.auroc(planted[:800], toxic[:800], planted[800:], toxic[800:], scaled)
    nothing = probe.auroc(noise[:800], toxic[:800], noise[800:], toxic[800:], scaled)
    assert found > 0.99
    assert 0.4 < nothing < 0.6


def test_features_of_any_scale_make_the_same_probe():
    random = np.random.default_rng(1)
    toxic = np.array(halves(600))
    states = random.normal(size=(600, 16)) + toxic[:, None] * 0.3
    scales = 10.0 ** random.integers(-6, 6, 16)
    plain, odd = (
        probe.auroc(x[:400], toxic[:400], x[400:], toxic[400:]) for x in (states, states * scales + 3 * scales)
    )
    assert plain == pytest.approx(odd, abs=1e-6)


class TestDraws:
    def test_sets_are_balanced_and_apart(self):
        toxic = [index < 300 for index in range(1000)]
        drawn = probe.draws(toxic, None, 3, 200, 100)
        assert len(drawn) == 3
        for train, test in drawn:
            assert (len(train), len(test)) == (200, 100)
            assert sum(toxic[place] for place in train) == 100 and sum(toxic[place] for place in test) == 50
            assert not set(train) & set(test) and len(set(train)) == 200
        assert drawn[0] != drawn[1]
        assert drawn == probe.draws(toxic, None, 3, 200, 100)

    def test_too_few_of_a_class_shrink_both_sets_alike(self):
        ((train, test),) = probe.draws([index < 50 for index in range(1000)], None, 1, 160, 40)
        assert (len(train), len(test)) == (80, 20)

    def test_a_set_of_its_own_to_test_on(self):
        ((train, test),) = probe.draws(halves(100), halves(40), 1, 20, 10)
        assert max(train) < 100 <= min(test) and (len(train), len(test)) == (20, 10)
        ((train, test),) = probe.draws(halves(100), halves(8), 1, 80, 16)
        assert (len(train), len(test)) == (40, 8)

    @pytest.mark.parametrize("toxic", [[True] * 50, [False] * 50, [True] + [False] * 50, []])
    def test_one_class_is_none(self, toxic):
        with pytest.raises(ValueError, match="too few"):
            probe.draws(toxic, None, 1, 8, 4)
