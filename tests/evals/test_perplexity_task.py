"""slung_perplexity against a direct forward."""

import math

import pytest
import torch
from helpers.harness import about, evaluate, local, metrics_of
from helpers.tiny import TEXT, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def direct(folder, texts, context):
    """Log-likelihood and number of tokens of all texts: windows of the model's context, each after the last token before it."""
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64),
    )
    total, number = 0.0, 0
    for text in texts:
        ids = [tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id]
        ids += tokenizer(text, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids) - 1, context):
            window = torch.tensor([ids[start : start + context + 1]])
            log_p = model(window[:, :-1]).logits[0].log_softmax(-1)
            total += log_p.gather(1, window[0, 1:, None]).sum().item()
        number += len(ids) - 1
    return total, number


@pytest.mark.parametrize(("kind", "batch_size"), [("bytelevel", 1), ("bytelevel", 3), ("bytelevel_bos", 3)])
def test_equal_to_a_direct_forward(models, monkeypatch, tmp_path, kind, batch_size):
    # "bytelevel_bos" puts a token before texts by itself, which is no part of them
    folder = tiny_model(models, kind=kind)
    texts = [*TEXT[:6], "naïve café " * 40]
    local(monkeypatch, tmp_path, "SLUNG_PERPLEXITY_TEXT", [{"text": text} for text in texts])
    results = evaluate("slung_perplexity", folder, batch_size=batch_size)
    log_likelihood, tokens = direct(folder, texts, 512)
    said = metrics_of(results, "slung_perplexity")
    assert said["token_perplexity"] == pytest.approx(math.exp(-log_likelihood / tokens), rel=1e-5)
    assert math.log(said["byte_perplexity"]) == pytest.approx(
        -log_likelihood / sum(len(t.encode()) for t in texts), rel=1e-5
    )
    words = sum(len(text.split()) for text in texts[:6]) + len(texts[6].split(" "))
    assert math.log(said["word_perplexity"]) == pytest.approx(-log_likelihood / words, rel=1e-5)
    assert about(results, "slung_perplexity")["data"]["source"] == "slung_perplexity_text.jsonl"


def test_perplexity_may_be_beyond_all_numbers():
    from axolotl_slung.evals.tasks.perplexity import perplexity

    assert perplexity([(-3000.0, 1), (-1.0, 1)]) == math.inf
    assert perplexity([(-2.0, 1), (-4.0, 2)]) == pytest.approx(math.exp(2))


def test_longer_than_the_context_every_token_counts_once(models, monkeypatch, tmp_path):
    folder = tiny_model(models)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " ".join(TEXT * 3)
    number = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert number > 2 * 512
    local(monkeypatch, tmp_path, "SLUNG_PERPLEXITY_REDDIT", [{"text": text}, {"text": "  "}])
    said = metrics_of(evaluate("slung_perplexity_reddit", folder), "slung_perplexity_reddit")
    assert math.log(said["token_perplexity"]) * number == pytest.approx(
        math.log(said["byte_perplexity"]) * len(text.encode()), rel=1e-9
    )
