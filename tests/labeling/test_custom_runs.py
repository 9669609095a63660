"""Labelers of one's own: the page's example, and runs through Axolotl and `slung label`."""

import os
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from helpers import ROOT
from helpers.tiny import write_jsonl

from axolotl_slung.config import SlungConfig
from axolotl_slung.labeling.blocks import LabelerConfig
from axolotl_slung.labeling.build import build
from axolotl_slung.labels.codec import FIRST_CODE, decode

PAGE = (ROOT / "docs" / "labelers.md").read_text(encoding="utf-8")
OWN = PAGE[PAGE.index("```python") :]


def block(language):
    return re.findall(rf"^```{language}\n(.*?)^```", OWN, re.DOTALL | re.MULTILINE)[0]


@pytest.fixture
def documented(write):
    """The page's own class where the page says, and the page's own entry."""
    write(block("python"), "Shouting", "my_labelers.py")
    yield yaml.safe_load(block("yaml"))
    sys.modules.pop("my_labelers", None)


def test_the_example_of_the_page(documented):
    (scaled,) = build(SlungConfig(labelers=[documented]))
    assert scaled.annotate(["Now STOP SHOUTING!"], [{}]) == [[(9, 17, 1.0, "custom", "")]]
    (labeler,) = build(SlungConfig(labelers=[documented]), scaled=False)
    assert labeler.annotate(["Now STOP SHOUTING!"], [{}]) == [[(9, 17, 0.9, "custom", "")]]
    assert len(labeler.digest) == 64


def test_the_page_has_every_labeler_and_each_of_its_keys():
    rows = dict(
        re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|", PAGE.partition("|---")[2].partition("\n\n")[0], re.MULTILINE)
    )
    configs = get_args(get_args(LabelerConfig)[0])
    keys = {get_args(config.model_fields["type"].annotation)[0]: set(config.model_fields) for config in configs}
    assert rows.keys() == keys.keys()
    for kind, row in rows.items():
        for key in keys[kind] - {"type", "datasets", "name", "cuts"}:
            assert re.search(rf"`{key}\b", row), (kind, key)


def test_through_axolotl_with_another_labeler(documented, slung, tmp_path):
    """Own labels and alt-profanity-check's, by name and by the highest score, in data that Axolotl prepared."""
    from helpers.axolotl_run import base_config, prepare_in_process

    rows = [{"text": "The mill is old. You are a stupid idiot! They SHOUTED at the miller."}] * 3
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    buckets = [
        {"name": "fine", "below": 0.5, "action": "train"},
        {"name": "loud", "below": 0.95, "action": "mask"},
        {"name": "rude", "action": "unlikelihood"},
    ]
    config = base_config(
        tmp_path,
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        **slung(labelers=[{"type": "profanity"}, {**documented, "cuts": None}], buckets=buckets),
    )
    prepared = prepare_in_process(config)
    ids, labels = prepared.train_dataset[0]["input_ids"], prepared.train_dataset[0]["labels"]
    text = dict.fromkeys(range(3), "")
    for token, label in zip(ids, labels, strict=True):
        text[decode(label)[1] if label <= FIRST_CODE else 0] += prepared.tokenizer.decode([token])
    assert text[2].strip() == "You are a stupid idiot!"
    assert text[1].strip() == "SHOUTED"
    assert " ".join(text[0].split()) == "The mill is old. They at the miller.<|end_of_text|>"


def test_a_labeler_that_fits_one_process_stays_in_it(write, slung, tmp_path):
    from helpers.axolotl_run import base_config, prepare_in_process

    code = """
import os

class Alone:
    most_processes = 1

    def label(self, texts, rows):
        open("pids", "a").write(f"{os.getpid()}\\n")
        return [[] for _ in texts]
"""
    write(code, "Alone", "alone.py")
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"{n} mills"} for n in range(8)])
    config = base_config(
        tmp_path,
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        dataset_num_proc=2,
        **slung(labelers=[{"type": "custom", "class_path": "alone.py:Alone", "cuts": [1e-4, 0.99]}]),
    )
    prepare_in_process(config)
    assert set(Path("pids").read_text().split()) == {str(os.getpid())}


def test_what_slung_label_found_is_not_looked_for_again(write, slung, tmp_path, monkeypatch):
    """The cache, through `slung label` and Axolotl's preparing."""
    from click.testing import CliRunner
    from helpers.axolotl_run import base_config, prepare_in_process

    from axolotl_slung.cli import main

    code = """
class Slow:
    cached = True

    def label(self, texts, rows):
        open("asked", "a").write(f"{len(texts)}\\n")
        return [[(0, 1, 1.0)] for _ in texts]
"""
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    write(code, "Slow", "slow.py")
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"{n} mills"} for n in range(8)])
    keys = slung(labelers=[{"type": "custom", "class_path": "slow.py:Slow", "cuts": [1e-4, 0.99]}])
    (tmp_path / "config.yml").write_text(yaml.safe_dump(keys))
    result = CliRunner().invoke(main, ["label", str(path), "-o", "out", "-c", "config.yml", "-j", "1"])
    assert result.exit_code == 0, result.output
    assert Path("asked").read_text() == "8\n"

    def risky(keys):
        dataset = {"path": str(path), "ds_type": "json", "type": "completion"}
        labels = prepare_in_process(base_config(tmp_path, datasets=[dataset], **keys)).train_dataset["labels"]
        return sum(label <= FIRST_CODE for row in labels for label in row)

    assert risky(keys) > 0
    assert Path("asked").read_text() == "8\n"
    keys["slung"].update(cache=False, eos="mask")  # another fingerprint, so that the data is prepared again
    assert risky(keys) > 0
    assert sum(map(int, Path("asked").read_text().split())) == 16
