"""Models that the `classifier` labeler refuses, and what it says."""

import json
import logging
import shutil

import pytest
import torch
from helpers.classifiers import SEQUENCE, save
from transformers import (
    AutoModel,
    AutoTokenizer,
)

from axolotl_slung.labeling import ClassifierLabeler, LabelerError

KEY = "slung.labelers[0]"


def changed(path, tmp_path, **config):
    """A copy of a model with another config."""
    copy = shutil.copytree(path, tmp_path / "changed")
    old = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**old, **config}))
    return copy


def refused(path, says, **options):
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]{says}"):
        ClassifierLabeler(KEY, str(path), **options).check()


def test_names_that_lead_nowhere(toxic, tmp_path):
    refused(
        "someone/nothing",
        r"\.model: 'someone/nothing': is not a folder here, and cannot be downloaded from the Hugging Face hub: ",
    )
    refused(tmp_path / "none", r"\.model: '.*none': is not a folder here")
    refused(tmp_path, r"\.model: .* cannot be loaded: ")
    refused(toxic, r"\.revision: 'main': .* is a folder without revisions; remove `revision`", revision="main")


def test_labels_and_units_that_do_not_fit(toxic, tagger):
    refused(toxic, r"\.label: 'rude': is not in .*; choose one of fine, toxic, spam", label="rude")
    refused(tagger, r"\.label: 'ORG': is not in .*; choose one of O, PER, LOC", label="ORG", unit="token")
    refused(toxic, r"\.unit: token: expected a model of the kind \.\.\.ForTokenClass.*, got Bert", unit="token")
    refused(tagger, r"\.unit: sentence: expected a model of the kind \.\.\.ForSequenceClassification", label="PER")


def test_models_that_are_no_classifiers(toxic, tmp_path):
    # transformers itself would fill in random weights
    headless = save(tmp_path / "headless", auto=AutoModel)
    refused(headless, r"\.unit: sentence: expected a model of the kind .*, got BertModel in ")
    refused(changed(headless, tmp_path, architectures=None), r"\.model: .*: has no weights for classifier\.bias")
    shutil.rmtree(tmp_path / "changed")
    refused(changed(toxic, tmp_path, problem_type="regression"), r"\.model: .* is a regression")


def test_folders_with_something_missing_or_too_much(toxic, tmp_path):
    path = shutil.copytree(toxic, tmp_path / "model")
    (path / "adapter_config.json").write_text("{}")
    refused(path, r"\.model: .* is an adapter; merge it")
    (path / "adapter_config.json").unlink()
    (path / "tokenizer.json").unlink()
    (path / "tokenizer_config.json").unlink()
    # transformers itself would make up an empty tokenizer
    refused(path, r"\.model: .* has no tokenizer files")
    path = shutil.copytree(toxic, tmp_path / "damaged")
    (path / "model.safetensors").write_bytes((toxic / "model.safetensors").read_bytes()[:-100])
    refused(path, r"\.model: .* cannot be loaded: ")


def test_a_tokenizer_with_more_tokens_than_the_model_knows(toxic, tmp_path):
    path = shutil.copytree(toxic, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_tokens(["additional"])
    tokenizer.save_pretrained(path)
    refused(path, r"\.model: .* has a tokenizer with (\d+) tokens but weights for (?!\1)\d+; ")


def test_code_that_comes_with_a_model_is_not_run(toxic, tmp_path):
    path = changed(toxic, tmp_path, model_type="odd", auto_map={"AutoConfig": "odd.OddConfig"})
    (path / "odd.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused(path, r"\.model: .* cannot be loaded: ")
    assert not (tmp_path / "ran").exists()


def test_damaged_weights_are_an_error_and_no_scores(toxic, tmp_path, caplog):
    path = shutil.copytree(toxic, tmp_path / "model")
    model = SEQUENCE.from_pretrained(path)
    with torch.no_grad():
        model.classifier.bias[1] = torch.nan
    model.save_pretrained(path)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(LabelerError, match=r"\.model: .* gives logits that are not finite") as caught:
        ClassifierLabeler(KEY, str(path)).label(["Maria Hernandez"], [{}])
    assert "Maria" not in str(caught.value) + caplog.text
