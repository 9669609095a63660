"""Scorers under their own names: label and activation of each, on tiny models of the same form."""

import hashlib

import numpy as np
import pytest
import torch
from helpers.tiny import tiny_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.services.hub_scorers import ALIASES
from axolotl_slung.evals.services.scorers import open_scorer

TEXTS = ["She read the letter twice.", "You are a fool!", "It rained."]
JIGSAW = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
UNBIASED = ["toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit", "male",
            "female", "homosexual_gay_or_lesbian", "christian", "jewish", "muslim", "black", "white",
            "psychiatric_or_mental_illness"]  # fmt: skip
FORMS = {
    "toxic-bert": ("bert", JIGSAW, "multi_label_classification"),
    # as models that were saved before configurations had a problem type
    "unbiased-toxic-roberta": ("roberta", UNBIASED, None),
    "roberta-toxicity": ("roberta", ["neutral", "toxic"], None),
    "deberta-perspective": ("deberta-v2", ["LABEL_0", "LABEL_1"], "single_label_classification"),
}
"""Of each alias: the kind of model, its labels and the problem type that its configuration states."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


def tiny(folder, name, **changes):
    kind, labels, problem = FORMS[name]
    torch.manual_seed(2)
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(folder, "wordpiece"))
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
        "problem_type": problem,
    }
    path = folder / f"tiny-{name}-{len(changes)}"
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **(settings | changes)))
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def logits(path, texts):
    """One text at a time, without this package: a slow reference."""
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForSequenceClassification.from_pretrained(path)
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0] for text in texts]
    return torch.stack(rows).double()


@pytest.mark.parametrize("name", ALIASES)
def test_each_alias_takes_its_label_and_activation(folder, name):
    path = tiny(folder, name)
    scorer = open_scorer(f"{name}:{path}")
    found = logits(path, TEXTS)
    # as the model cards do: Jigsaw's labels are independent, the others are two classes
    expected = found.sigmoid()[:, 0] if "toxic-" in name else found.softmax(-1)[:, 1]
    assert scorer.score([*TEXTS, " "]).tolist() == pytest.approx([*expected.tolist(), 0], abs=1e-5)
    assert len(set(expected.tolist())) == 3 and scorer.name == name and scorer.version.startswith("sha256 ")


def test_the_old_name_of_toxic_bert_is_the_same_scorer(folder):
    path = tiny(folder, "toxic-bert")
    same = open_scorer(f"classifier:{path}#toxic")
    assert np.array_equal(open_scorer(f"toxic-bert:{path}").score(TEXTS), same.score(TEXTS))


def test_another_model_under_an_aliass_name_is_refused(folder):
    path = tiny(folder, "roberta-toxicity")
    with pytest.raises(
        SlungError, match=r"^SLUNG_SCORER='toxic-bert:.*has 2 labels, and unitary/toxic-bert has 6; use"
    ):
        open_scorer(f"toxic-bert:{path}")
    (folder / "empty").mkdir()
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='roberta-toxicity:.*has no configuration of a classifier"):
        open_scorer(f"roberta-toxicity:{folder / 'empty'}")
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='roberta-toxicity:/no.*is not a folder here"):
        open_scorer("roberta-toxicity:/no/such/folder")


@pytest.fixture
def checkpoint(folder, monkeypatch):
    """The file that the library downloads for `unbiased`, as a tiny one in torch's cache."""
    library = pytest.importorskip("detoxify.detoxify", reason="detoxify is not installed: the extra detoxify brings it")
    path = tiny(folder, "unbiased-toxic-roberta")
    model = AutoModelForSequenceClassification.from_pretrained(path)
    how = {"model_type": str(path), "model_name": type(model).__name__, "tokenizer_name": "AutoTokenizer"}
    config = {"dataset": {"args": {"classes": UNBIASED}}, "arch": {"args": {**how, "num_classes": 16}}}
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    target = folder / "torch" / "hub" / "checkpoints"
    target.mkdir(parents=True, exist_ok=True)
    torch.save({"config": config, "state_dict": model.state_dict()}, target / "new")
    digest = hashlib.sha256((target / "new").read_bytes()).hexdigest()[:8]
    (target / "new").rename(target / f"toxic_debiased-{digest}.ckpt")
    url = f"https://localhost:1/toxic_debiased-{digest}.ckpt"
    monkeypatch.setitem(library.MODEL_URLS, "unbiased", url)
    return path, target / url.rpartition("/")[2]


def test_detoxify_by_its_library(checkpoint):
    path, file = checkpoint
    scorer = open_scorer("detoxify:unbiased")
    assert scorer.score([*TEXTS, ""]).tolist() == pytest.approx(
        [*logits(path, TEXTS).sigmoid()[:, 0].tolist(), 0], abs=1e-5
    )
    assert scorer.score(TEXTS[:1]).shape == (1,)
    assert scorer.name == "detoxify:unbiased" and file.name in scorer.version
    with pytest.raises(SlungError, match="unknown model of detoxify; expected one of original, unbiased"):
        open_scorer("detoxify:small")


def test_a_file_that_is_not_detoxifys_is_not_loaded(checkpoint):
    _, file = checkpoint
    file.write_bytes(b"something else")
    with pytest.raises(SlungError, match=r"is damaged, or is not detoxify's file; delete it"):
        open_scorer("detoxify:unbiased")


def test_detoxify_is_an_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "detoxify", None)
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='detoxify:unbiased': .*pip install detoxify"):
        open_scorer("detoxify:unbiased")
