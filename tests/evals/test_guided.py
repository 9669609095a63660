"""`slung_guided`: two models, one difference."""

import pytest
import torch
from helpers.harness import evaluate
from helpers.tiny import tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.guided import Guided, guided_logits
from axolotl_slung.evals.token_scores import scores_of

PROMPTS = ["The old harbour", "A river carries whatever", "Water"]


@pytest.fixture(scope="module")
def folders(models):
    return [str(tiny_model(models, seed=seed)) for seed in (0, 1)]


@pytest.fixture(scope="module")
def pair(folders):
    return [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in folders]


def guided(folders, weight, **options):
    after, before = folders
    return Guided(after, before=before, weight=weight, dtype="float32", device="cpu", batch_size=3, **options)


def plain_step(pair, ids, weight):
    """The guided log-probabilities of the next token, from whole forward passes without caches."""
    after, before = (model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1) for model in pair)
    return (after + weight * (after - before)).log_softmax(-1)


def plain_greedy(pair, ids, weight, number):
    made = []
    for _ in range(number):
        made.append(int(plain_step(pair, [*ids, *made], weight).argmax()))
    return made


class Request:
    def __init__(self, *args):
        self.args = args


@pytest.mark.parametrize("weight", [0, 0.5, 3])
def test_greedy_answers_are_those_of_a_plain_loop(folders, pair, weight):
    """Prompts of different lengths are padded on the left in one batch."""
    tokenizer = AutoTokenizer.from_pretrained(folders[0])
    options = {"until": [], "do_sample": False, "max_gen_toks": 12}
    answers = guided(folders, weight).generate_until([Request(prompt, options) for prompt in PROMPTS])
    for prompt, answer in zip(PROMPTS, answers):
        made = plain_greedy(pair, tokenizer(prompt)["input_ids"], weight, 12)
        end = made.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in made else len(made)
        assert answer == tokenizer.decode(made[:end], skip_special_tokens=True)


@pytest.mark.parametrize("weight", [0, 2])
def test_log_likelihoods_are_those_of_a_plain_loop(folders, pair, weight):
    model, tokenizer = guided(folders, weight), AutoTokenizer.from_pretrained(folders[0])
    texts = [("The old harbour", " wakes before the sun"), ("Ice melts", " at 0.")]
    found = model.loglikelihood([Request(*text) for text in texts])
    for (context, text), (log_likelihood, _) in zip(texts, found):
        ids, rest = (tokenizer(part)["input_ids"] for part in (context, text))
        expected = sum(plain_step(pair, ids + rest[:at], weight)[token].item() for at, token in enumerate(rest))
        assert log_likelihood == pytest.approx(expected, abs=1e-3)


def test_the_models_differ_so_that_guidance_shows(folders, pair):
    ids = AutoTokenizer.from_pretrained(folders[0])(PROMPTS[0])["input_ids"]
    assert plain_greedy(pair, ids, 0, 12) != plain_greedy(pair, ids, 3, 12)


def test_tokens_that_only_one_model_has_get_no_guidance():
    after, before = torch.randn(3, 5), torch.randn(3, 4)
    logits = guided_logits(after, before, 2.0)
    assert torch.allclose(logits[:, 4], after.log_softmax(-1)[:, 4])
    expected = 3 * after.log_softmax(-1)[:, :4] - 2 * before.log_softmax(-1)
    assert torch.allclose(logits[:, :4], expected, atol=1e-6)
    wider = guided_logits(before, after, 2.0)
    assert wider.shape == (3, 4)


def test_an_adapter_is_guided_by_its_base_model(folders, pair, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(folders[0], dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path)
    model = Guided(folders[0], before=folders[0], weight=2, peft=str(tmp_path), dtype="float32", device="cpu")
    ids = torch.tensor([[5, 6, 7]])
    after, before = adapted(ids).logits, pair[0](ids).logits
    assert not torch.allclose(after, before)
    assert torch.allclose(model._model_call(ids), after + 2 * (after - before), atol=1e-4)


def test_texts_of_an_audit_are_scored_with_guidance(folders, pair):
    """Several texts after one context, which a plain model reads once."""
    model, tokenizer = guided(folders, 2), AutoTokenizer.from_pretrained(folders[0])
    texts = [" wakes before", " sun does", " nets"]
    (found,) = scores_of(model, [(PROMPTS[0], texts)], "a task")
    ids = tokenizer(PROMPTS[0])["input_ids"]
    for text, score in zip(texts, found):
        rest = tokenizer(text)["input_ids"]
        expected = sum(plain_step(pair, ids + rest[:at], 2)[token].item() for at, token in enumerate(rest))
        assert score.logprob == pytest.approx(expected, abs=1e-3)


def test_a_cache_of_one_model_only_is_refused(folders):
    model = guided(folders, 2).model
    ids = torch.tensor([[5, 6, 7]])
    cache = model.model(ids, use_cache=True).past_key_values  # without the head, and so without guidance
    with pytest.raises(RuntimeError, match="different texts"):
        model(ids, past_key_values=cache)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "before: is missing"),
        ({"before": "x", "weight": -1}, "weight: -1: is not a number from 0 on"),
        ({"before": "x", "weight": "much"}, "weight: much"),
    ],
)
def test_wrong_arguments_end_before_a_model_is_loaded(arguments, message):
    with pytest.raises(SlungError, match=message):
        Guided("no such folder", **arguments)


def test_another_tokenizer_is_refused(folders, models):
    other = str(tiny_model(models, kind="unigram"))
    with pytest.raises(SlungError, match="has another tokenizer"):
        guided([folders[0], other], 1)


def test_lm_eval_runs_a_task_with_it(folders, embedded):
    import lm_eval.api.registry as registry

    if "slung_guided" not in registry.model_registry:  # the environment's start file may be older than this checkout
        registry.register_model("slung_guided")(Guided)
    arguments = {"pretrained": folders[0], "before": folders[1], "weight": 1, "dtype": "float32"}
    results = evaluate("slung_perplexity", registry.get_model("slung_guided")(**arguments, device="cpu"), limit=2)
    assert results["results"]["slung_perplexity"]["token_perplexity,none"] > 1
