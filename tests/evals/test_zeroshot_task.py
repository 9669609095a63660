"""slung_zeroshot: what is asked of the model, and what its log-likelihoods come to."""

import json
import math
from statistics import fmean

import pytest
from helpers import tested
from helpers.harness import about, evaluate, local, metrics_of, saying
from helpers.tiny import tiny_model

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import intervals

SMALL = {"slung_probe_train": 8, "slung_probe_test": 8}


def comments(monkeypatch, tmp_path, number=20):
    rows = [{"text": f"comment {n} {'rude' if n % 2 else 'kind'}", "toxicity": n % 2} for n in range(number)]
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", rows)


def odds(context, continuation):
    """Toxic is far likelier for all comments, and a little more so for the rude ones."""
    return {" toxic": -1.0 + 0.1 * ("rude" in context), " harmless": -6.0}[continuation]


def test_a_preference_for_one_word_is_calibrated(monkeypatch, tmp_path):
    comments(monkeypatch, tmp_path)
    model = saying(None, odds)
    results = evaluate("slung_zeroshot", model, SMALL)
    said = metrics_of(results, "slung_zeroshot")
    # the order of the comments is right, and so is the threshold once it is their mean; 0 calls all of them toxic
    assert (said["auroc"], said["accuracy_calibrated"], said["unread"]) == (1, 1, 0)
    docs = [sample["doc"] for sample in results["samples"]["slung_zeroshot"]]
    assert said["accuracy"] == fmean(doc["toxic"] for doc in docs)
    assert len(model.scored) == 2 * len(docs)
    texts = {doc["text"] for doc in docs}
    assert {context.split("\n")[0].removeprefix("Comment: ") for context, _ in model.scored} == texts
    assert about(results, "slung_zeroshot")["test"] == 8 and about(results, "slung_zeroshot")["draws"] == 3


def test_a_model_that_has_it_backwards_is_below_chance(monkeypatch, tmp_path):
    comments(monkeypatch, tmp_path)
    said = metrics_of(evaluate("slung_zeroshot", saying(None, lambda *of: -odds(*of)), SMALL), "slung_zeroshot")
    assert (said["auroc"], said["accuracy_calibrated"]) == (0, 0)


@pytest.mark.parametrize("odd", [math.nan, -math.inf])
def test_log_likelihoods_that_are_not_finite_are_left_out(monkeypatch, tmp_path, odd):
    comments(monkeypatch, tmp_path)
    one = []

    def log_likelihood(context, continuation):
        if not one:
            one.append(context)
        return odd if context == one[0] else odds(context, continuation)

    results = evaluate("slung_zeroshot", saying(None, log_likelihood), {**SMALL, "slung_max_unscored": 0.1})
    said = metrics_of(results, "slung_zeroshot")
    assert (said["unread"], said["auroc"], said["accuracy_calibrated"]) == (1, 1, 1)
    one.clear()
    with pytest.raises(SlungError, match=r"slung_zeroshot: the model gives NaN or infinity for 1 of \d+ comments"):
        evaluate("slung_zeroshot", saying(None, log_likelihood), {**SMALL, "slung_max_unscored": 0.01})


def test_every_metric_from_the_samples(models):
    options = {"slung_civilcomments": "embedded", "slung_civilcomments_test": "embedded:hatecheck"}
    results = evaluate("slung_zeroshot", tiny_model(models), options, batch_size=32)
    samples, said = results["samples"]["slung_zeroshot"], metrics_of(results, "slung_zeroshot")
    for sample in samples:
        (toxic, _), (harmless, _) = sample["filtered_resps"]
        assert sample["auroc"].scores == {str(draw): toxic - harmless for draw in sample["doc"]["tests"]}
    expected = tested.mean_and_interval(tested.aurocs(samples, "auroc"))
    assert [said[f"auroc{suffix}"] for suffix in ("", "_stderr", "_ci_low", "_ci_high")] == pytest.approx(expected)
    for name, threshold in {"accuracy": lambda scores: 0, "accuracy_calibrated": fmean}.items():
        right = tested.rights(samples, "auroc", threshold)
        clustered = [intervals.Clustered(value, doc["template"]) for doc, value in right.values()]
        found = (intervals.mean, intervals.stderr, intervals.rate_low, intervals.rate_high)
        for suffix, of in zip(("", "_stderr", "_ci_low", "_ci_high"), found):
            assert said[name + suffix] == pytest.approx(of(clustered)), name + suffix
    for row in json.loads(str(results["configs"]["slung_zeroshot"]["metadata"]["slung_groups"])):
        values = [value for doc, value in right.values() if doc[row["by"]] == row["group"]]
        assert (row["comments"], row["accuracy"]) == (len(values), pytest.approx(fmean(values)))
