"""The measures of an audit against values computed by hand, and against sampling from a tiny vocabulary."""

import math
import random

import pytest
from helpers.plain_model import Plain
from helpers.tiny import tiny_model

from axolotl_slung.evals.measures import exposure, extraction, intervals, tested
from axolotl_slung.evals.measures.leaked import Listed
from axolotl_slung.evals.measures.metrics import exact_rate


@pytest.mark.parametrize(
    ("likeliest", "prefix", "strength"),
    [
        ([True, True, True, True], 4, 1.0),
        ([True, True, False, True], 2, 0.25),
        ([False, True, True, True], 0, 0.75),
        ([True, True, True, False], 3, 0.0),
        ([False], 0, 0.0),
    ],
)
def test_prefix_and_strength(likeliest, prefix, strength):
    assert extraction.common_prefix(likeliest) == prefix
    assert extraction.strength(likeliest) == strength


def test_expected_tries_are_those_of_sampling():
    # three tokens of a vocabulary of four, whose probabilities depend on the token before
    table = {"": (0.4, 0.3, 0.2, 0.1), "a": (0.1, 0.2, 0.3, 0.4), "b": (0.7, 0.1, 0.1, 0.1)}
    table |= {"c": (0.25, 0.25, 0.25, 0.25), "d": (0.1, 0.1, 0.1, 0.7)}
    dice = random.Random(0)

    def sampled():
        last, said = "", ""
        for _ in range(3):
            last = dice.choices("abcd", table[last])[0]
            said += last
        return said

    draws = [sampled() == "bad" for _ in range(100_000)]
    logprob = math.log(0.3 * 0.7 * 0.4)
    waits, since = [], 0
    for hit in draws:
        since += 1
        if hit:
            waits, since = [*waits, since], 0
    assert extraction.tries(logprob) == pytest.approx(1 / 0.084)
    assert extraction.tries(logprob) == pytest.approx(sum(waits) / len(waits), rel=0.05)
    for number in (1, 10, 100):
        tens = [any(draws[start : start + number]) for start in range(0, len(draws), number)]
        assert extraction.found_in(logprob, number) == pytest.approx(sum(tens) / len(tens), abs=0.03)


def test_probabilities_beyond_all_floats():
    assert extraction.found_in(-1e-9, 10) == pytest.approx(1)
    assert extraction.found_in(0.0, 1) == extraction.found_in(1e-9, 1000) == 1
    assert extraction.found_in(-50.0, 1000) == pytest.approx(1000 * math.exp(-50), rel=1e-9)
    assert extraction.found_in(-2000.0, 1000) == 0 and extraction.tries(-2000.0) == math.inf


def test_samples_of_a_service_estimate_the_same():
    # 2 of 5: of the 10 pairs of samples, 3 hold neither
    assert extraction.found_in_sampled(2, 5, 1) == pytest.approx(0.4)
    assert extraction.found_in_sampled(2, 5, 2) == pytest.approx(0.7)
    assert extraction.found_in_sampled(0, 5, 5) == 0 and extraction.found_in_sampled(1, 5, 5) == 1
    assert math.isnan(extraction.found_in_sampled(5, 5, 6))


@pytest.mark.parametrize(
    ("continuation", "text", "begins"),
    [
        (" Maria, who", "Maria", True),
        ("Mariana", "Maria", False),
        ("Maria", " Maria\n", True),
        ("it is Maria", "Maria", False),
        ("123-45x", "123-45", False),
        ("key!more", "key!", True),
        ("", "Maria", False),
        ("anything", " ", False),
    ],
)
def test_a_continuation_begins_with_the_span(continuation, text, begins):
    assert extraction.continues_with(continuation, text) == begins


def test_exposure_by_hand():
    assert exposure.rank(-2.0, [-5.0, -1.0, -3.0]) == 2
    assert exposure.rank(-2.0, [-2.0, -2.0, -2.0]) == 2.5  # a model that prefers nothing
    assert math.isnan(exposure.rank(-2.0, [])) and math.isnan(exposure.rank(math.nan, [-1.0]))
    # 16 candidates: 4 bits for the first, none for the last
    assert [exposure.exposure(rank, 15) for rank in (1, 2, 4, 16)] == [4, 3, 2, 0]
    assert exposure.exposure_by_chance(1) == 0.5
    assert exposure.exposure_by_chance(3) == pytest.approx((2 + 1 + (2 - math.log2(3)) + 0) / 4)


def test_min_k_is_the_mean_of_the_lowest_fifth():
    assert exposure.min_k([-1.0, -9.0, -2.0, -3.0]) == -9  # at least one
    assert exposure.min_k([float(-place) for place in range(1, 11)]) == -9.5
    assert math.isnan(exposure.min_k([]))


def items(ours, others):
    rows = [(True, score) for score in ours] + [(False, score) for score in others]
    return [tested.Tested(place, its, {"0": score}) for place, (its, score) in enumerate(rows)]


def test_auroc_and_its_interval_by_hand():
    # placements 1, 1/2 of ours and 1, 1/2 (above which ours lie) of the others: variances 1/8 each, over 2
    value, low, high = exposure.auroc(items([3.0, 1.5], [1.0, 2.0]))
    half = 1.959963984540054 * math.sqrt(1 / 8 / 2 + 1 / 8 / 2)
    assert value == 0.75 and (low, high) == pytest.approx((max(0.75 - half, 0), 1.0))
    assert exposure.auroc(items([1.0, 1.0], [1.0, 1.0]))[0] == 0.5
    # all in order: as certain as a rate of 4 of 4
    assert exposure.auroc(items([5.0] * 9, [1.0] * 4)) == pytest.approx((1, 0.025**0.25, 1))
    assert exposure.auroc(items([0.0] * 9, [1.0] * 4)) == pytest.approx((0, 0, 1 - 0.025**0.25))
    assert all(map(math.isnan, exposure.auroc(items([1.0], []))))


def test_the_interval_of_an_auroc_covers_the_truth():
    dice, covered = random.Random(1), 0
    for _ in range(300):
        _, low, high = exposure.auroc(
            items([dice.gauss(1, 1) for _ in range(30)], [dice.gauss(0, 1) for _ in range(30)])
        )
        covered += low <= 0.7602499389 <= high  # the normal distribution's at 1 / sqrt(2)
    assert 0.9 <= covered / 300 <= 0.99


def test_rates_have_exact_intervals():
    metrics = exact_rate("extracted")

    def said(*values):
        return {name: metric.aggregate(list(values)) for name, metric in metrics.items()}

    none = said(*[0.0] * 400, math.nan)
    # Clopper and Pearson by hand: (1 - p) ** 400 = 0.025
    assert none == {
        "extracted": 0,
        "extracted_ci_low": 0,
        "extracted_ci_high": none["extracted_ci_high"],
        "extracted_n": 400,
    }
    assert none["extracted_ci_high"] == pytest.approx(1 - 0.025 ** (1 / 400), rel=1e-9)
    one = said(1.0, 0.0, 0.0)
    low, high = one["extracted_ci_low"], one["extracted_ci_high"]
    assert 1 - (1 - low) ** 3 == pytest.approx(0.025) and (1 - high) ** 3 + 3 * high * (1 - high) ** 2 == pytest.approx(
        0.025
    )
    assert intervals.exact(1, 3) == pytest.approx((low, high))


def test_texts_of_a_list_are_found_as_words():
    listed = Listed(["Ada Fenwick", "0 12-3", "Straße", "x@y.zz", " "])
    assert len(listed) == 4
    assert listed.found("by ADA  fenwick\n") == {"ada fenwick"}
    assert listed.found("Ada Fenwicks, 0 12-34, ax@y.zz, STRASSEN") == set()
    assert listed.found("(0 12-3), mailto:x@y.zz! STRASSE") == {"0 12-3", "x@y.zz", "strasse"}


@pytest.mark.parametrize(
    ("arch", "kind", "batch_size"),
    [
        ("llama", "bytelevel", 1),
        ("llama", "unigram", 3),
        ("gpt_neox", "bytelevel_bos", "auto"),
        ("gemma3_text", "bytelevel", 8),
    ],
)
def test_scores_of_tokens_are_those_of_each_text_by_itself(models, arch, kind, batch_size):
    from lm_eval.models.huggingface import HFLM

    from axolotl_slung.evals.token_scores import scores_of

    folder = tiny_model(models, arch=arch, kind=kind)
    plain = Plain(folder)
    given = {"batch_size": batch_size, "max_batch_size": 4, "device": "cpu", "dtype": "float32"}
    model = HFLM(pretrained=str(folder), **given)
    asked = [
        ("The teacher wrote ", ("three words", "a long letter to the mill", "x", "three words")),
        ("The teacher wrote ", ("on the board",)),
        ("In 1847 the mill", (" burned down. It was rebuilt", " is")),
        ("Water boils at", (" 100",)),
    ]
    found = scores_of(model, asked, "slung_extraction")
    assert found[0][0] == found[0][3]
    for (context, texts), scores in zip(asked, found, strict=True):
        for text, score in zip(texts, scores, strict=True):
            log_p, tokens = plain.log_p(context, text)
            each = log_p.gather(1, tokens[:, None])[:, 0].tolist()
            assert score.each == pytest.approx(each, rel=1e-3, abs=1e-3)
            assert score.likeliest == (log_p.argmax(-1) == tokens).tolist()
            assert (score.tokens, score.greedy) == (len(tokens), all(score.likeliest))
            assert score.logprob == pytest.approx(plain.log_likelihood(context, text), rel=1e-4)


def test_scores_where_the_text_is_longer_than_the_context_of_the_model(models, caplog):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from axolotl_slung.evals.token_scores import scores_of

    model = HFLM(pretrained=str(tiny_model(models)), device="cpu", dtype="float32", batch_size=2, max_length=48)
    pairs = [
        ("word " * 60, "and more of it"),
        ("word " * 12, " more" * 12),
        ("", "The river carries"),
        ("a b c", ""),
        ("a", "b" * 60),
    ]
    found = scores_of(model, [(context, (text, "zz")) for context, text in pairs], "slung_kept")
    for (context, text), (score, _) in zip(pairs[:3], found):
        (said,) = model.loglikelihood([Instance("loglikelihood", {}, (context, text), 0)])
        assert (score.logprob, score.greedy) == (pytest.approx(said[0], rel=1e-4), said[1])
    for score, _ in found[3:]:
        assert math.isnan(score.logprob) and score.tokens == 0 and not score.greedy
    assert "2 texts have no token of their own, or are longer than the model's context" in caplog.text
    assert "the beginning of 3 longer texts is cut off" in caplog.text


def test_a_class_that_changes_the_logits_is_asked_in_its_own_way(models):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from axolotl_slung.evals.token_scores import scores_of

    class Sharper(HFLM):
        def _model_call(self, inps, *arguments, **options):
            return 3 * super()._model_call(inps, *arguments, **options)

    given = {"pretrained": str(tiny_model(models)), "device": "cpu", "dtype": "float32", "batch_size": 2}
    asked = [("The river carries", (" a stone", " nets and gulls")), ("Water", (" boils",))]
    model = Sharper(**given)
    for (context, texts), scores in zip(asked, scores_of(model, asked, "slung_kept"), strict=True):
        requests = [Instance("loglikelihood", {}, (context, text), 0) for text in texts]
        assert [score.logprob for score in scores] == pytest.approx(
            [logprob for logprob, _ in model.loglikelihood(requests)], rel=1e-4
        )
