"""The group `slung` runs once, and every metric of every task is computed again from the saved samples."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.harness import evaluate
from helpers.plain_model import Plain
from helpers.recomputed import TASKS, statistics
from helpers.served import KEY, chat, moderation, serve
from helpers.tiny import tiny_model, write_jsonl
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.evals.documents import embedded

PROBE = (2, 40, 20)
"""Draws, and comments in each to train and to test on."""


def score(text):
    """What the scorer says of a text."""
    return sum(map(ord, text)) % 101 / 100 if text.strip() else 0.0


def judged(completion):
    """What the judge says of a completion that is nobody's reference: correct, and partially correct."""
    return float("e" in completion), float("a" in completion)


def questions():
    rows = embedded("SLUNG_TOFU")[:24]
    return [
        {
            **row,
            "paraphrased_answer": f"So it is: {row['answer']}",
            "perturbed_answer": [f"So it is: {rows[place - step]['answer']}" for step in (1, 2)],
        }
        for place, row in enumerate(rows)
    ]


def verdict(prompt, references):
    """A judge that is right about references and goes by a letter for all other answers."""
    reference, candidate = prompt.removesuffix(" Answer:").split("Correct answer: ")[1].split(" Candidate response: ")
    correct, partially = judged(candidate)
    if candidate in references:
        correct = partially = float(candidate == reference)
    words = ("yes", "no") if "yes or no" in prompt else ("correct", "incorrect")
    return words[0] if (partially if "yes" in words else correct) else words[1]


@pytest.fixture(scope="module")
def run(models, tmp_path_factory):
    """The results, and what the recomputation needs to know besides the samples."""
    folder, cwd = tiny_model(models), tmp_path_factory.mktemp("recomputed")
    references = {row["answer"] for row in questions()}
    with serve() as served, pytest.MonkeyPatch.context() as patch:
        served.answer = lambda text, _: (
            chat(verdict(text, references)) if "Candidate response" in text else moderation(score(text))
        )
        options = {
            **dict.fromkeys(("CIVILCOMMENTS", "PERPLEXITY_TEXT", "PERPLEXITY_REDDIT"), "embedded"),
            "TOXICITY_PROMPTS": write_jsonl(cwd / "prompts.jsonl", embedded("SLUNG_TOXICITY_PROMPTS")[:20]),
            "TOFU": write_jsonl(cwd / "tofu.jsonl", questions()),
            "TOXICITY_SAMPLES": 2,
            **dict(zip(("PROBE_DRAWS", "PROBE_TRAIN", "PROBE_TEST"), PROBE)),
            "SCORER": "moderation:m-1",
            "SCORER_URL": served.url,
            "JUDGE": "openai:j-1",
            "JUDGE_URL": served.url,
            "API_KEY": KEY,
        }
        for name, value in options.items():
            patch.setenv(f"SLUNG_{name}", str(value))
        patch.setenv("AXOLOTL_SLUNG_CACHE", str(cwd / "cache"))
        results = evaluate("slung", folder, batch_size=40, log_samples=True)
    # as they come from the file
    results["samples"] = json.loads(json.dumps(results["samples"], default=repr))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)

    @torch.inference_mode()
    def state(text):
        return model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[-1][0, -1].numpy()

    comments = embedded("SLUNG_CIVILCOMMENTS")
    known = SimpleNamespace(
        score=score, judged=judged, comments=comments, state=state, probe=PROBE, plain=Plain(folder)
    )
    return results, known


def test_every_task_of_the_group_is_recomputed(run):
    results, _ = run
    assert results["samples"].keys() == TASKS.keys()


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_follows_from_the_saved_samples(run, task):
    results, known = run
    values = results["results"][task].items()
    # lm_eval's own errors are "N/A", since it knows none of our metrics
    said = {name[:-5]: value for name, value in values if name.endswith(",none") and not isinstance(value, str)}
    slow = {}
    for name, figure in TASKS[task](results["samples"][task], known).items():
        slow |= statistics(name, figure)
    missing = said.keys() - slow.keys()
    assert not missing, f"metrics without a recomputation in tests/helpers/recomputed.py: {sorted(missing)}"
    assert slow.keys() <= said.keys()
    # the embedded comments are few, and one pair of them may change places
    tolerance = {"abs": 1.5 / (PROBE[2] // 2) ** 2} if task == "slung_civilcomments" else {"rel": 1e-6, "abs": 1e-9}
    for name, value in slow.items():
        assert said[name] == pytest.approx(value, **tolerance), name
    assert not any(math.isnan(value) for value in slow.values())


@pytest.mark.parametrize("task", [task for task in TASKS if task not in ("slung_toxicity", "slung_civilcomments")])
def test_every_log_likelihood_is_that_of_the_text_by_itself(run, task):
    results, known = run
    for sample in results["samples"][task][:6]:
        for arguments, response in zip(sample["arguments"], sample["resps"], strict=True):
            if task.startswith("slung_perplexity"):
                assert response[0] == pytest.approx(known.plain.rolling(arguments[0], 512), rel=1e-5)
            elif isinstance(arguments[1], str):
                assert response[0][0] == pytest.approx(known.plain.log_likelihood(*arguments), rel=1e-4)


def test_every_answer_is_what_the_model_finds_likeliest(run):
    results, known = run
    for sample in results["samples"]["slung_tofu"][:4]:
        said = known.plain.greedy(sample["arguments"][0][0], 100).split("\nQuestion:")[0].split("\nQ:")[0]
        assert sample["resps"][0][0] == said
