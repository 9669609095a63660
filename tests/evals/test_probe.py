"""The probe, on states of which the truth is known."""

import numpy as np
import pytest

from axolotl_slung.evals.measures import probe


def probed(train, train_toxic, test, test_toxic, scaled=True):
    return probe.auroc(probe.scores(train, train_toxic, test, scaled), test_toxic)


def halves(n):
    return [index % 2 == 0 for index in range(n)]


@pytest.mark.parametrize("scaled", [True, False])
def test_planted_classes_are_found_and_noise_is_not(scaled):
    random = np.random.default_rng(0)
    toxic = np.array(halves(1000))
    noise = random.normal(size=(1000, 64)).astype(np.float32)
    planted = noise + 4 * toxic[:, None] * random.normal(size=64).astype(np.float32) / 8
    found = probed(planted[:800], toxic[:800], planted[800:], toxic[800:], scaled)
    nothing = probed(noise[:800], toxic[:800], noise[800:], toxic[800:], scaled)
    assert found > 0.99
    assert 0.4 < nothing < 0.6


def test_features_of_any_scale_make_the_same_probe():
    random = np.random.default_rng(1)
    toxic = np.array(halves(600))
    states = random.normal(size=(600, 16)) + toxic[:, None] * 0.3
    scales = 10.0 ** random.integers(-6, 6, 16)
    plain, odd = (probed(x[:400], toxic[:400], x[400:], toxic[400:]) for x in (states, states * scales + 3 * scales))
    assert plain == pytest.approx(odd, abs=1e-6)


def test_words_are_found_and_texts_without_words_are_read():
    texts = [f"{word} {other}" for word in ("fool", "sun") for other in ("a river", "the mill", "8", "", "his nets")]
    toxic = [text.startswith("fool") for text in texts]
    scores = probe.scores_of_words(texts, toxic, ["what a fool", "the sun", "!?", ""])
    assert scores[0] > scores[2] == scores[3] > scores[1]
    assert probe.scores_of_words(["!", "?", "", "..."], halves(4), ["fool"]).shape == (1,)


def test_auroc_counts_pairs():
    random = np.random.default_rng(0)
    scores, toxic = random.integers(0, 6, 40).tolist(), [bool(kind) for kind in random.integers(0, 2, 40)]
    pairs = [(a > b) + (a == b) / 2 for a, x in zip(scores, toxic) if x for b, y in zip(scores, toxic) if not y]
    assert probe.auroc(scores, toxic) == pytest.approx(sum(pairs) / len(pairs))
    assert np.isnan(probe.auroc([0.1, 0.2], [True, True]))


def test_a_fifth_of_each_class_is_held_out():
    fit, rest = probe.held_out(list(range(30)), [place < 10 for place in range(30)])
    assert rest == [8, 9, 26, 27, 28, 29] and sorted(fit + rest) == list(range(30))


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

    def test_no_template_is_in_both_sets(self):
        random = np.random.default_rng(3)
        toxic = [bool(kind) for kind in random.integers(0, 2, 400)]
        # templates of seven comments each, of both classes, and comments without one
        templates = [f"t{place // 7}" if place < 300 else "" for place in range(400)]
        drawn = probe.draws(toxic, None, 3, 160, 40, templates)
        for train, test in drawn:
            assert len(train) == 160 and 20 <= len(test) <= 40 and sum(toxic[p] for p in test) * 2 == len(test)
            assert not set(train) & set(test)
            assert not {templates[p] for p in train} & {templates[p] for p in test} - {""}
        assert drawn[0] != drawn[1]
        # comments without templates are drawn as usual
        assert probe.draws(toxic, None, 2, 160, 40, [""] * 400) == probe.draws(toxic, None, 2, 160, 40)
