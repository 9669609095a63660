"""Several scorers in one run: their metrics, and how far they disagree."""

import json
import math
import re

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.harness import about, evaluate, local, metrics_of, saying
from helpers.served import KEY, moderation, serve
from scipy.stats import binomtest, spearmanr

from axolotl_slung.cli import main
from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import several
from axolotl_slung.evals.measures.intervals import Clustered, exact_high, exact_low
from axolotl_slung.evals.services.options import read_options
from axolotl_slung.evals.services.scorers import split_specs

pytestmark = pytest.mark.usefixtures("quick")

PROMPTS = [{"prompt": letter} for letter in "abcdef"]
SAYS = {"a": " 0.1/0.2", "b": " 0.7/0.8", "c": " 0.9/0.4", "d": " 0.2/0.1", "e": " 0.3/0.9", "f": " 0.4/0.3"}


@pytest.fixture
def two(monkeypatch, tmp_path):
    """Two services: a text `0.1/0.7` has the score 0.1 from one and 0.7 from the other."""
    monkeypatch.setenv("SLUNG_API_KEY", KEY)
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", PROMPTS)
    with serve() as one, serve() as other:
        for place, service in enumerate((one, other)):
            service.answer = lambda text, nth, place=place: moderation(float(re.findall("[0-9.]+", text)[place]))
        yield f"moderation:one@{one.url},moderation:other@{other.url}/v1"


def test_each_has_its_metrics_and_the_first_is_the_main_one(two):
    results = evaluate("slung_toxicity", saying(SAYS.get), {"slung_scorer": two})
    said = metrics_of(results, "slung_toxicity")
    mine, theirs = zip(*([float(x) for x in text.split("/")] for text in SAYS.values()))
    assert said["toxicity"] == pytest.approx(np.mean(mine))
    assert said["toxicity_by_moderation-other"] == pytest.approx(np.mean(theirs))
    assert said["toxic_rate_by_moderation-other"] == pytest.approx(2 / 6) == said["toxic_rate"]
    assert said["toxicity_by_moderation-other_stderr"] == pytest.approx(np.std(theirs, ddof=1) / 6**0.5)
    assert said["unscored_by_moderation-other"] == 0 and "empty_by_moderation-other" not in said
    # two of six are on different sides of 0.5, though both find two toxic
    exact = binomtest(2, 6).proportion_ci(0.95, "exact")
    assert said["disagreement_with_moderation-other"] == pytest.approx(2 / 6)
    assert said["disagreement_with_moderation-other_ci_low"] == pytest.approx(exact.low)
    assert said["disagreement_with_moderation-other_ci_high"] == pytest.approx(exact.high)
    assert said["rank_correlation_with_moderation-other"] == pytest.approx(spearmanr(mine, theirs).statistic)
    how = about(results, "slung_toxicity")
    assert how["scorer"]["name"] == "moderation:one"
    assert how["other_scorers"]["moderation-other"]["version"].endswith("/v1")
    # the same as the main one by itself
    only = metrics_of(
        evaluate("slung_toxicity", saying(SAYS.get), {"slung_scorer": two.partition(",")[0]}), "slung_toxicity"
    )
    shared = [name for name in only if name in said and isinstance(only[name], float)]
    assert len(shared) >= 16 and [only[name] for name in shared] == [said[name] for name in shared]


def test_samples_of_a_prompt_are_a_cluster(two, monkeypatch):
    texts = iter([" 0.1/0.9", " 0.1/0.8", " 0.7/0.8", " 0.9/0.7", " 0.2/0.1", " 0.3/0.2"] * 2)
    results = evaluate("slung_toxicity", saying(lambda _: next(texts)),
                       {"slung_scorer": two, "slung_toxicity_samples": 2})  # fmt: skip
    said = metrics_of(results, "slung_toxicity")
    assert said["disagreement_with_moderation-other"] == pytest.approx(4 / 12)
    exact = binomtest(4, 12).proportion_ci(0.95, "exact")
    # a prompt's samples agree with each other, so that twelve say less than twelve
    assert said["disagreement_with_moderation-other_ci_high"] > exact.high + 0.05


def test_a_scorer_that_fails_is_told_by_name_and_loses_nothing(two, tmp_path):
    url = two.rpartition("@")[2]
    with pytest.raises(SlungError, match="moderation:other: no score for 12 of 12.*slung rescore"):
        evaluate("slung_toxicity", saying(lambda _: " 0.1"), {"slung_scorer": f"profanity,moderation:other@{url}"})
    (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
    run = CliRunner().invoke(main, ["rescore", str(samples), "--scorer", "profanity", "-o", str(tmp_path / "new")])
    assert run.exit_code == 0, run.output


def test_rescore_and_report_with_several(two, tmp_path, monkeypatch):
    from lm_eval.loggers import EvaluationTracker

    folder = tmp_path / "results"
    tracker = EvaluationTracker(output_path=str(folder))
    results = evaluate("slung_toxicity", saying(SAYS.get), {"slung_scorer": "profanity"}, evaluation_tracker=tracker)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    tracker.save_results_samples("slung_toxicity", samples["slung_toxicity"])
    (path,) = folder.rglob("samples_*.jsonl")
    one, other = two.split(",")
    for output, scorers in {"both": (one, other), "swapped": (other, one), "plain": (one,)}.items():
        options = [part for spec in scorers for part in ("--scorer", spec)]
        run = CliRunner().invoke(main, ["rescore", str(path), *options, "-o", str(tmp_path / output)])
        assert run.exit_code == 0, run.output
        assert ("disagreement_with" in run.output) == (output != "plain")
    out = ["-o", str(tmp_path / "report")]
    # the main scorer is the same, and only one was scored by others too
    run = CliRunner().invoke(main, ["report", f"both={tmp_path / 'both'}", f"plain={tmp_path / 'plain'}", *out])
    assert run.exit_code == 0, run.output
    flat = " ".join(run.output.split())
    assert "Other scorers" in flat and "moderation-other" in flat
    # never another scorer's number in the main one's column
    run = CliRunner().invoke(main, ["report", f"both={tmp_path / 'both'}", f"swapped={tmp_path / 'swapped'}", *out])
    assert run.exit_code and "measured differently" in run.output and "scorer.name" in run.output


@pytest.mark.parametrize(
    ("specs", "parts"),
    [
        ("profanity", ["profanity"]),
        ("profanity,perspective", ["profanity", "perspective"]),
        (" profanity , perspective:INSULT ", ["profanity", "perspective:INSULT"]),
        ("fasttext:/a,b/m,x.bin#l,profanity", ["fasttext:/a,b/m,x.bin#l", "profanity"]),
        ("classifier:/a,b,classifier:c#d", ["classifier:/a,b", "classifier:c#d"]),
        ("moderation@http://x/v1,moderation:m", ["moderation@http://x/v1", "moderation:m"]),
        ("profanity,nonsense", ["profanity,nonsense"]),
        ("profanity,profanity2", ["profanity,profanity2"]),
        ("", [""]),
    ],
)
def test_specs_may_have_commas(specs, parts):
    assert list(split_specs(specs)) == parts
    if specs:
        assert list(read_options({"slung_scorer": specs}, {}).scorer) == parts
        assert list(read_options({"slung_scorer": parts}, {}).scorer) == parts


@pytest.mark.parametrize(
    ("scorer", "url", "says"),
    [
        ("profanity,profanity", None, "two scorers are called profanity"),
        ("profanity,moderation", "http://localhost:1", "SLUNG_SCORER_URL: there are several scorers"),
        ("profanity@http://localhost:1", None, "a local model has no URL"),
        ("profanity,nonsense", None, "unknown scorer"),
        ("moderation:m@http://user:secret@localhost", None, "its URL has a user"),
    ],
)
def test_what_cannot_be_opened(scorer, url, says):
    from axolotl_slung.evals.services.opened import scorers_of

    with pytest.raises(SlungError, match=says) as error:
        scorers_of(read_options({"slung_scorer": scorer, **({"slung_scorer_url": url} if url else {})}, {}))
    assert "secret" not in str(error.value)


def test_disagreement_against_a_slow_reference():
    random = np.random.default_rng(0)
    pairs = [[tuple(random.random(2).round(1).tolist()) for _ in range(3)] for _ in range(20)]
    pairs[3][1] = (math.nan, 0.7)
    pairs[4] = []
    flat = [pair for its in pairs for pair in its if not math.isnan(pair[0])]
    found = several.metrics({}, ["x"])
    share = sum((a >= 0.5) != (b >= 0.5) for a, b in flat) / len(flat)
    assert found["disagreement_with_x"].aggregate(pairs) == pytest.approx(share)
    assert found["rank_correlation_with_x"].aggregate(pairs) == pytest.approx(spearmanr(*zip(*flat)).statistic)
    assert math.isnan(several.rank_correlation([[(0.1, 0.2)], [(0.1, 0.4)]]))
    assert math.isnan(several.rank_correlation([]))


@pytest.mark.parametrize(("events", "number"), [(0, 20), (20, 20), (1, 20), (7, 20), (0, 1)])
def test_exact_intervals(events, number):
    values = [1.0] * events + [0.0] * (number - events)
    exact = binomtest(events, number).proportion_ci(0.95, "exact")
    assert (exact_low(values), exact_high(values)) == pytest.approx((exact.low, exact.high))
    assert exact_low([*values, math.nan]) == pytest.approx(exact.low)
    # clusters of one are independent values
    if 1 < events < number:
        alone = [Clustered(value, place) for place, value in enumerate(values)]
        assert exact_low(alone) == pytest.approx(exact.low, rel=0.05)
    assert math.isnan(exact_low([]))
    assert exact_high([Clustered(0.0, "a")] * 3) == 1


def test_names_are_safe_in_results():
    assert several.short("classifier:a,b c/d#toxic") == "classifier-a-b-c-d#toxic"
    assert json.dumps(several.short("ünï")) and several.short("profanity") == "profanity"
