"""Following ids without tags gives what following them with tags gives."""

import random

import pytest
from axolotl.prompt_strategies.completion import CompletionPrompter, CompletionPromptTokenizingStrategy
from axolotl.prompt_tokenizers import AlpacaPromptTokenizingStrategy
from axolotl.prompters import AlpacaPrompter
from helpers.tiny import tiny_tokenizer
from transformers import AutoTokenizer

from axolotl_slung.labeling import PatternsLabeler
from axolotl_slung.labels.buckets import preset
from axolotl_slung.training.data.policy import Policy
from axolotl_slung.training.data.strategy import SlungStrategy
from axolotl_slung.training.data.tagging import TaggingTokenizer

WORDS = ["Maria", " Hernandez", " burned", "\n", "😀", " é", "  ", "<|end_of_text|>", " 1847", ".", " zz"]


def strategy(tokenizer, labeler, kind, **options):
    tagging = TaggingTokenizer(tokenizer, preset("unlikelihood"), "any", True)
    if kind == "completion":
        inner = CompletionPromptTokenizingStrategy(CompletionPrompter(), tagging, False, 16)
    else:
        inner = AlpacaPromptTokenizingStrategy(AlpacaPrompter(), tagging, True, 64)
    options = {"eos": "train", "mask_document_starts": False, **options}
    policy = Policy(
        labelers=(labeler,),
        buckets=preset("unlikelihood"),
        where="datasets[0]",
        text_field="text",
        fingerprint="",
        **options,
    )
    return SlungStrategy(inner, policy)


@pytest.mark.parametrize("kind", ["completion", "alpaca"])
@pytest.mark.parametrize("tokenizer", ["bytelevel", "bytelevel_bos", "unigram", "wordpiece"])
@pytest.mark.parametrize("starts", [False, True])
def test_with_and_without_tags(tmp_path, tokenizer, kind, starts):
    (tmp_path / "patterns.yml").write_text(
        "name: {pattern: 'Mar|nandez b|é', score: 0.995}\nyear: {pattern: '\\d+', score: 0.5}"
    )
    labeler = PatternsLabeler("slung.labelers[0]", str(tmp_path / "patterns.yml"))
    loaded = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path, tokenizer))
    draw = random.Random(0)
    texts = ["", " ", *("".join(draw.choices(WORDS, k=draw.randint(1, 60))) for _ in range(40))]
    batch = (
        {"text": texts}
        if kind == "completion"
        else {"instruction": texts, "input": [""] * len(texts), "output": texts[::-1]}
    )
    plain, tagged = (strategy(loaded, labeler, kind, mask_document_starts=starts) for _ in range(2))
    tagged._in_order = False

    found = plain.tokenize_prompt(batch)

    assert found == tagged.tokenize_prompt(batch)
    assert plain._in_order == (kind == "completion")
    assert any(label < -100 for row in found["labels"] for label in row)
