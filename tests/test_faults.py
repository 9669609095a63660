"""Typing mistakes in the `slung:` block: each answer names the key, the value and what was meant."""

import copy
from datetime import date

import pytest

from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.faults import _repair, checked, faults

NAMES = {"type": "entities", "path": "names.txt"}
MODEL = {"type": "classifier", "model": "some/model"}
GLINER = {"type": "gliner", "model": "some/gliner", "labels": ["name"]}
PROFANITY = {"type": "profanity"}
SAFE = {"name": "safe", "below": 0.5, "action": "train"}
RISKY = {"name": "risky", "action": "mask"}


def of(*labelers, **keys):
    return {"labelers": list(labelers or (NAMES,)), **keys}


def buckets(*changes):
    return of(buckets=[{**bucket, **change} for bucket, change in zip((SAFE, RISKY), changes)])


EXAMPLE = "labelers:\n    - {type: entities, path: names.txt}"

MISTAKES = [
    # keys
    ({"labellers": [NAMES]}, "slung.labellers: unknown key; did you mean `labelers`?"),
    ({"labeler": [NAMES]}, "slung.labeler: unknown key; did you mean `labelers`?"),
    (of(metod="masked"), "slung.metod: unknown key; did you mean `method`?"),
    (of(Method="masked"), "slung.Method: unknown key; did you mean `method`?"),
    (of(bucket=[SAFE, RISKY]), "slung.bucket: unknown key; did you mean `buckets`?"),
    (of(normalise_by="loss_tokens"), "slung.normalise_by: unknown key; did you mean `normalize_by`?"),
    (of({**NAMES, "part": True}), "slung.labelers[0].part: unknown key; did you mean `parts`?"),
    (of({"type": "entities", "file": "n.txt"}), "slung.labelers[0].file: unknown key; did you mean `path`?"),
    (of({**MODEL, "batchtokens": 8}), "slung.labelers[0].batchtokens: unknown key; did you mean `batch_tokens`?"),
    (of(buckets=[SAFE, {"name": "risky", "acton": "mask"}]), "slung.buckets[1].acton: unknown key; did you mean `action`?"),
    (of(buckets=[{"name": "safe", "max": 0.5, "action": "train"}, RISKY]), "slung.buckets[0].max: unknown key; did you mean `below`?"),
    # values
    (of(method="mask"), "slung.method: mask: is not one of masked, unlikelihood, toxic_baseline, low_risk, control, drop_documents, control_token, replace; did you mean `masked`?"),
    (of(method="unlikelyhood"), "slung.method: unlikelyhood: is not one of .*; did you mean `unlikelihood`?"),
    (of({"type": "entity", "path": "n"}), "slung.labelers[0].type: entity: is not one of .*; did you mean `entities`?"),
    (of({"type": "fastext", "model": "m"}), "slung.labelers[0].type: fastext: is not one of .*; did you mean `fasttext`?"),
    (of({"type": "regex", "path": "p.yml"}), "slung.labelers[0].type: regex: is not one of .*; did you mean `patterns`?"),
    (of(NAMES, {"type": "pii"}), "slung.labelers[1].type: pii: is not one of .*; did you mean `presidio`?"),
    (buckets({}, {"action": "masked"}), "slung.buckets[1].action: masked: is not one of train, mask, .*; did you mean `mask`?"),
    (buckets({"action": "Train"}, {}), "slung.buckets[0].action: Train: is not one of .*; did you mean `train`?"),
    (buckets({}, {"action": "ignore"}), "slung.buckets[1].action: ignore: is not one of .*; did you mean `mask`?"),
    (of(eos="keep"), "slung.eos: keep: is not one of train, mask, inherit; did you mean `train`?"),
    (of(overlap="majorty"), "slung.overlap: majorty: is not one of any, majority, all; did you mean `majority`?"),
    (of({**MODEL, "unit": "sentences"}), "slung.labelers[0].unit: sentences: is not one of .*; did you mean `sentence`?"),
    (buckets({"below": 50}, {}), "slung.buckets[0].below: 50: expected a number at most 1; did you mean 0.5?"),
    (buckets({"below": "0,5"}, {}), "slung.buckets[0].below: 0,5: expected a number; did you mean 0.5?"),
    (of({"type": "custom", "class_path": "my_labelers.Shouting"}), "slung.labelers[0].class_path: my_labelers.Shouting: expected package.module:Class or folder/file.py:Class; did you mean my_labelers:Shouting?"),
    (of({**NAMES, "name": "my names"}), "slung.labelers[0].name: my names: expected only letters, digits and _ . -; did you mean my_names?"),
    (of({**NAMES, "parts": "maybe"}), "slung.labelers[0].parts: expected true or false, got maybe"),
    (of(cache="sometimes"), "slung.cache: expected true or false, got sometimes"),
    (of({**MODEL, "label": ["a", 3]}), "slung.labelers[0].label: expected a label, a list of labels, or a mapping of labels to factors; put labels in quotes"),
    (of({**MODEL, "label": {}}), "slung.labelers[0].label: expected a label, a list of labels, or a mapping"),
    (of({**MODEL, "label": {"a": 2}}), "slung.labelers[0].label: expected factors above 0 and at most 1"),
    (of({**MODEL, "floor": 0.1}), "slung.labelers[0]: `floor` has no effect with unit: sentence; remove it, or set `unit: token`"),
    (of({**MODEL, "unit": "token", "cuts": "any"}), "slung.labelers[0]: `cuts: any` makes everything risky that has a span; write `cuts: .*`, or set `floor`"),
    (of({**GLINER, "labels": []}), "slung.labelers[0].labels: 0: expected at least 1"),
    (of({**GLINER, "labels": ["name", " "]}), "slung.labelers[0]: `labels` has an empty label, or one twice; remove it"),
    (of({**GLINER, "cuts": "any"}), "slung.labelers[0]: `cuts: any` makes everything risky that has a span; "),
    (of({**MODEL, "window": 3}), "slung.labelers[0].window: 3: expected a number at least 16"),
    (of({**MODEL, "batch_tokens": 0}), "slung.labelers[0].batch_tokens: 0: expected a number at least 1"),
    (of(weight_warmup=-1), "slung.weight_warmup: -1: expected a number at least 0"),
    (of({"type": "fasttext", "model": "m", "sha256": "12"}), "slung.labelers[0].sha256: 12: expected 64 hexadecimal digits"),
    (buckets({"below": "50%"}, {}), "slung.buckets[0].below: 50%: expected a number; did you mean 0.5?"),
    (buckets({"below": True}, {}), "slung.buckets[0].below: expected a number, got true"),
    (of({**MODEL, "batch_tokens": True}), "slung.labelers[0].batch_tokens: expected a number, got true"),
    (of(method=""), "slung.method: '': is not one of .*; choose one of them"),
    (of({"type": None}), "slung.labelers[0].type: nothing: is not one of"),
    (of({"type": ["entities"]}), "slung.labelers[0].type: a list: is not one of"),
    (of(PROFANITY | {"cuts": [0.9, 0.2]}), "slung.labelers[0].cuts: [0.9, 0.2]: expected [low, high] with 0 < low < high < 1, or any; did you mean [0.2, 0.9]?"),
    (of(PROFANITY | {"cuts": [20, 90]}), "slung.labelers[0].cuts: [20, 90]: .*; did you mean [0.2, 0.9]?"),
    (of(PROFANITY | {"cuts": "[0.2, 0.9]"}), "slung.labelers[0].cuts: '[0.2, 0.9]': .*; did you mean [0.2, 0.9]?"),
    (of(PROFANITY | {"cuts": "Any"}), "slung.labelers[0].cuts: 'Any': .*; did you mean any?"),
    (of(PROFANITY | {"cuts": ["x" * 99]}), "slung.labelers[0].cuts: a list: expected [low, high]"),
    (of({"type": "spans", "cuts": {1: "any"}}), "slung.labelers[0].cuts: the name 1: expected text; put it in quotes"),
    (of({"type": "fasttext", "model": "m", "spaced_punctuation": ". ,"}), "slung.labelers[0].spaced_punctuation: . ,: expected characters without spaces between them, such as .!?,; did you mean .,?"),
    (of({"type": "custom", "class_path": "my:Class()"}), "slung.labelers[0].class_path: my:Class(): .*; did you mean my:Class?"),
    (of({"type": "custom", "class_path": "my.py/Class"}), "slung.labelers[0].class_path: my.py/Class: expected package.module:Class or folder/file.py:Class"),
    (of({"type": "custom", "class_path": "a:B", "options": {"since": date(2026, 1, 2)}}), "slung.labelers[0].options.since: a date cannot be used here; put it in quotes"),
    # what a word meant elsewhere
    (of({"type": "fasttext", "path": "m.bin"}), "slung.labelers[0].path: unknown key; did you mean `model`?"),
    (buckets({"threshold": 0.5}, {}), "slung.buckets[0]: `threshold` has no effect with action: train, only with hinge; the bound of the scores is `below`; remove it"),
    (of(buckets=[SAFE, {**RISKY, "above": 0.5}]), "slung.buckets[1].above: unknown key; a bucket begins where the one before it ends; remove it"),
    (of(color=42), "slung.color: unknown key; the keys of the block itself are labelers,"),
    (of(seed=42), "slung.seed: is a key of a bucket and label_noise, not of the block itself; move or remove it"),
    (of(cuts="any"), "slung.cuts: is a key of labelers, not of the block itself; move or remove it"),
    ({"labelers": [NAMES], True: 1}, "this key is not text in YAML; put it in quotes"),
    (of({"type": "entities", "names": ["Ada Example", False]}), "slung.labelers[0].names[1]: true or false: expected text; put it in quotes"),
    # forms
    ({"labelers": NAMES}, f"slung.labelers: expected a list, got a mapping; write\n  {EXAMPLE}"),
    ({"labelers": "profanity"}, "slung.labelers: expected a list, got profanity; write\n  labelers:\n    - {type: profanity}"),
    (of("profanity"), "slung.labelers[0]: expected a mapping, got profanity; write\n  labelers:\n    - {type: profanity}"),
    (of({"entities": {"path": "n"}}), "slung.labelers[0]: has no `type`; write\n  - {type: entities, ...}"),
    (of({"path": "names.txt"}), f"slung.labelers[0].type: missing; write\n  {EXAMPLE}"),
    (of({"typ": "entities", "path": "n"}), "slung.labelers[0].typ: unknown key; did you mean `type`?"),
    ({"labelers": []}, "slung.labelers: 0: expected at least 1"),
    ({"labelers": None}, f"slung.labelers: expected a list, got nothing; write\n  {EXAMPLE}"),
    ({}, f"slung.labelers: missing; write\n  {EXAMPLE}"),
    ([NAMES], "slung: expected a mapping, got a list; write\n  slung:\n    labelers:"),
    ("entities", "slung: expected a mapping, got entities; write\n  slung:"),
    (of(buckets={"safe": 0.5}), "slung.buckets: expected a list, got a mapping; write\n  buckets:\n    - {name: safe, below: 0.5, action: train}"),
    (of({"type": "patterns", "patterns": {"a": "b"}}), "slung.labelers[0].patterns: unknown key; patterns are in a file of their own; write\n  path: patterns.yml"),
    (of({**NAMES, "datasets": "a.jsonl"}), "slung.labelers[0].datasets: expected a list, got a.jsonl; write\n  datasets:\n    - train.jsonl"),
    (of({"type": "spans", "field": 5}), "slung.labelers[0].field: 5: expected text; put it in quotes"),
    (of({"type": "classifier"}), "slung.labelers[0].model: missing; add it (A folder, or the name of a model on the Hugging Face hub)"),
    # keys in the wrong place
    (of(weight=3), "slung.weight: is a key of a bucket, not of the block itself; move or remove it"),
    (of(path="names.txt"), "slung.path: is a key of labelers of the type entities or patterns or dolma, not of the block itself"),
    (of({**NAMES, "model": "m"}), "slung.labelers[0].model: is a key of labelers of the type fasttext or classifier or gliner or student, not of labelers of the type entities"),
    (of({**NAMES, "action": "mask"}), "slung.labelers[0].action: is a key of a bucket, not of labelers of the type entities"),
    # several values together
    (of({"type": "entities"}), "slung.labelers[0]: give either `path` (a file of names) or `names` (a list), not both"),
    (buckets({}, {"below": 0.9}), "slung.buckets: the last bucket takes all remaining scores; remove its `below`"),
    (of(buckets=[SAFE]), "slung.buckets: 1: expected at least 2"),
    (buckets({"weight": 2}, {}), "slung.buckets[0]: `weight` has no effect with action: train; remove it"),
]  # fmt: skip


def said(block) -> str:
    with pytest.raises(SlungError) as caught:
        checked(block)
    return str(caught.value)


@pytest.mark.parametrize(("block", "answer"), MISTAKES, ids=[answer[:40] for _, answer in MISTAKES])
def test_typing_mistakes(block, answer):
    answer_of = said(block)
    for piece in answer.split(".*"):
        assert piece in answer_of
    assert len(answer_of.split("slung.")) <= 3  # not a line for each consequence
    for word in ("Extra inputs", "Value error", "Input tag", "Input should", "Field required", "pydantic", "[type="):
        assert word not in answer_of


@pytest.mark.parametrize("block", [block for block, answer in MISTAKES if "did you mean" in answer])
def test_what_was_meant_is_valid(block):
    repaired = copy.deepcopy(block)
    for fault in faults(block):
        assert _repair(repaired, fault)
    SlungConfig.model_validate(repaired)


def test_all_faults_are_in_one_message():
    block = {
        "labellers": [{"type": "entity", "path": "n", "part": True}, {"type": "custom", "class_path": "a.B"}],
        "buckets": [{**SAFE, "below": 0.9, "action": "trian"}, {**SAFE, "name": "b"}, {**RISKY, "action": "masked"}],
        "eos": "keep",
        "cach": True,
    }
    lines = said(block).split("\n")
    assert [line.split(": ")[0] for line in lines] == [
        "slung.buckets[0].action", "slung.buckets[2].action", "slung.eos", "slung.labellers", "slung.cach",
        "slung.labelers[0].type", "slung.labelers[1].class_path", "slung.labelers[0].part",
        "slung.buckets",
    ]  # fmt: skip


def test_a_valid_block_has_no_faults():
    assert faults(of()) == []
    assert checked(of()) == SlungConfig.model_validate(of())


def test_names_and_hostile_keys_are_not_quoted_raw():
    hostile = "x\x1b[2J\x9b\u202e\nslung.method: forged"
    answer = said(
        {"labelers": [{"type": "entities", "names": [{"Jane Roe": 1}, 5, "Grace"]}], hostile: 1, "method": hostile}
    )
    assert "Jane" not in answer and "Grace" not in answer
    assert "\x1b" not in answer and "\x9b" not in answer and "\u202e" not in answer
    assert not any(line.startswith("slung.method: forged") for line in answer.split("\n"))
    assert "slung.labelers[0].names[0]: expected text, got a mapping" in answer
    assert "slung.labelers[0].names[1]: a number: expected text; put it in quotes" in answer
