"""slung_toxicity: the prompts' own toxicity, and several completions per prompt."""

import json
import math
import re

import pytest
from helpers.harness import evaluate, local, metrics_of, saying
from helpers.served import moderation

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import intervals
from axolotl_slung.evals.rescore import rescore
from axolotl_slung.evals.services.options import read_options

pytestmark = pytest.mark.usefixtures("quick")

NESTED = [
    {"prompt": {"text": "a", "toxicity": 0.5}},
    {"prompt": {"text": "b", "toxicity": 0.4999}},
    {"prompt": {"text": "c", "toxicity": 0.9}},
    {"prompt": {"text": "d", "toxicity": None}},
    {"prompt": {"text": "e", "toxicity": 0}},
]
FLAT = [{"prompt": row["prompt"]["text"], "toxicity": row["prompt"]["toxicity"]} for row in NESTED]
SAYS = {"a": " 0.6", "b": " 0.1", "c": " 0.2", "d": " 0.9", "e": " 0.3"}


@pytest.fixture
def service(served, monkeypatch):
    """The score of a text stands in it: `... 0.7` has 0.7."""
    served.answer = lambda text, nth: moderation(float(re.search("[0-9.]+", text)[0]))
    monkeypatch.setenv("SLUNG_SCORER", "moderation:pinned-1")
    monkeypatch.setenv("SLUNG_SCORER_URL", served.url)
    return served


def measured(monkeypatch, tmp_path, rows, says, **metadata):
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", rows)
    return metrics_of(evaluate("slung_toxicity", saying(says), metadata), "slung_toxicity")


@pytest.mark.parametrize("rows", [NESTED, FLAT], ids=["nested", "flat"])
def test_toxic_and_harmless_prompts_apart(monkeypatch, tmp_path, service, rows):
    said = measured(monkeypatch, tmp_path, rows, SAYS.get)
    # from 0.5 on a prompt is toxic; that of `d` is not known, and counts only in the whole
    assert (said["toxic_prompts"], said["harmless_prompts"]) == (2, 2)
    assert said["toxicity"] == pytest.approx((0.6 + 0.1 + 0.2 + 0.9 + 0.3) / 5)
    assert said["toxicity_toxic_prompts"] == pytest.approx(0.4)
    assert said["toxicity_harmless_prompts"] == pytest.approx(0.2)
    assert (said["toxic_rate_toxic_prompts"], said["toxic_rate_harmless_prompts"]) == (0.5, 0)
    assert said["toxicity_toxic_prompts_stderr"] == pytest.approx(intervals.stderr([0.6, 0.2]))
    # none of two is no certainty
    assert said["toxic_rate_harmless_prompts_ci_high"] == pytest.approx(intervals.rate_high([0.0, 0.0]))
    assert said["toxic_rate_harmless_prompts_ci_high"] > 0.6
    assert not any("expected_maximum" in name for name in said)


def test_expected_maximum_and_probability_over_samples(monkeypatch, tmp_path, service):
    replies = iter(
        ["0.1", "0.7", "0.2", "0.3", "0.5", "0.1", "0.4", "0.1", "0.2", "0.9", "0.1", "0.1", "0.2", "0.3", "0.1"]
    )
    said = measured(monkeypatch, tmp_path, NESTED, lambda prompt: f" {next(replies)}", slung_toxicity_samples=3)
    # in lm_eval's order, each prompt's three samples stand together: highest 0.7, 0.5, 0.4, 0.9, 0.3
    assert said["expected_maximum"] == pytest.approx((0.7 + 0.5 + 0.4 + 0.9 + 0.3) / 5)
    assert said["toxic_rate"] == pytest.approx(3 / 5)
    assert said["expected_maximum_toxic_prompts"] == pytest.approx((0.7 + 0.4) / 2)
    assert said["expected_maximum_harmless_prompts"] == pytest.approx((0.5 + 0.3) / 2)
    assert (said["toxic_rate_toxic_prompts"], said["toxic_rate_harmless_prompts"]) == (0.5, 0.5)


def test_data_without_toxicity_of_prompts_says_so(monkeypatch, tmp_path, service, caplog):
    said = measured(monkeypatch, tmp_path, [{"prompt": row["prompt"]} for row in FLAT], SAYS.get)
    assert "does not say how toxic its prompts are" in caplog.text
    assert not any("_prompts" in name for name in said)


@pytest.mark.parametrize("one", [-0.1, 1.5, "0.5", True])
def test_toxicity_that_is_none_is_refused(monkeypatch, tmp_path, service, one):
    with pytest.raises(SlungError, match="^SLUNG_TOXICITY_PROMPTS: .*toxicity"):
        measured(monkeypatch, tmp_path, [*FLAT, {"prompt": "f", "toxicity": one}], SAYS.get)


@pytest.mark.parametrize(
    "off", ["do_sample=False", "temperature=0", "temperature=0.0,do_sample=True", "top_k=1", "do_sample=false"]
)
def test_samples_without_sampling_are_refused(monkeypatch, tmp_path, service, off):
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", FLAT)
    model = saying(SAYS.get)
    with pytest.raises(SlungError, match="^SLUNG_TOXICITY_SAMPLES=3: --gen_kwargs turn sampling off"):
        evaluate("slung_toxicity", model, {"slung_toxicity_samples": 3}, gen_kwargs=off)
    assert not model.asked
    # one greedy completion is as always
    evaluate("slung_toxicity", model, gen_kwargs=off)


def test_samples_that_are_all_alike_are_refused(monkeypatch, tmp_path, service):
    rows = [{"prompt": f"{number} "} for number in range(10, 20)]
    with pytest.raises(SlungError, match="^SLUNG_TOXICITY_SAMPLES=2: all samples of each prompt are the same"):
        measured(monkeypatch, tmp_path, rows, lambda prompt: " 0.1", slung_toxicity_samples=2)


def test_rescored_apart(monkeypatch, tmp_path, service):
    """The answers are kept with their prompts' toxicity, and rescoring gives the same metrics."""
    service.answer = lambda text, nth: moderation("garbage")
    with pytest.raises(SlungError, match="slung rescore"):
        measured(monkeypatch, tmp_path, NESTED, SAYS.get)
    (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
    service.answer = lambda text, nth: moderation(float(re.search("[0-9.]+", text)[0]))
    new = json.loads(rescore(samples, read_options(), tmp_path / "new").read_text())
    again = metrics_of(new, "slung_toxicity")
    said = measured(monkeypatch, tmp_path, NESTED, SAYS.get)
    said.pop("alias"), again.pop("alias")
    # lm_eval adds an error to each metric
    assert again.keys() <= said.keys() and "toxicity_toxic_prompts" in again
    assert all(again[name] == said[name] or math.isnan(again[name]) for name in again)
