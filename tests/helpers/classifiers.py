"""Tiny Hugging Face classifiers of sequences and of tokens."""

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from helpers.tiny import TEXT, tiny_tokenizer

LONGEST = 24
SEQUENCE = AutoModelForSequenceClassification
TOKEN = AutoModelForTokenClassification
TAGS = ["O", "S-PER", "S-LOC"]


def save(path, arch="bert", kind="wordpiece", auto=SEQUENCE, labels=("fine", "toxic", "spam"), pad=True, **config):
    """A tiny classifier with random weights, wide enough for scores that differ; gives its folder.

    A key of the config that is None is left out.
    """
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(path.parent, kind))
    if not pad:
        tokenizer.pad_token = None
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": LONGEST,
        "initializer_range": 0.5,
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    settings = {key: value for key, value in {**settings, **config}.items() if value is not None}
    auto.from_config(AutoConfig.for_model(arch, **settings)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def save_tagger(path, **settings):
    """A token classifier to which each of its tags is the most probable one now and then."""
    save(path, auto=TOKEN, labels=TAGS, **settings)
    tokenizer, model = AutoTokenizer.from_pretrained(path), TOKEN.from_pretrained(path)
    with torch.no_grad():
        read = [tokenizer(text, truncation=True, max_length=LONGEST, return_tensors="pt").input_ids for text in TEXT]
        model.classifier.bias -= torch.cat([model(input_ids=ids).logits[0] for ids in read]).mean(0)
    model.save_pretrained(path)
    return path
