"""Workers take turns with the GPUs of a machine. Seen without a GPU, by the environment of each worker."""

import json
import os
from pathlib import Path

import pytest
import torch

from axolotl_slung.config import SlungConfig
from axolotl_slung.corpus.gpus import visible_gpus
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job
from axolotl_slung.corpus.run import label_sources

SEEN = """
import os
from pathlib import Path

class Seen:
    def label(self, texts, rows):
        Path(rows[0]["where"], f"{os.getpid()}-{os.environ.get('CUDA_VISIBLE_DEVICES')}").touch()
        return [[] for _ in texts]
"""


@pytest.mark.parametrize(
    "given, gpus", [("0,1,2", {"0", "1", "2"}), ("5", {"5"}), ("", {""}), ("GPU-8a, MIG-1", {"GPU-8a", "MIG-1"})]
)
def test_worker_i_has_gpu_i_mod_n(tmp_path, monkeypatch, given, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    (tmp_path / "seen.py").write_text(SEEN)
    (tmp_path / "gpus").mkdir()
    line = json.dumps({"text": "word " * 20_000, "where": str(tmp_path / "gpus")})
    (tmp_path / "a.jsonl").write_text("\n".join([line] * 200))
    job = Job(SlungConfig(labelers=[{"type": "custom", "class_path": f"{tmp_path / 'seen.py'}:Seen"}]))
    label_sources(find_sources([str(tmp_path / "a.jsonl")]), tmp_path / "out", job, workers=3)
    seen = dict(path.name.split("-", 1) for path in (tmp_path / "gpus").iterdir())
    # a quick worker may take the chunks of a slow one
    assert set(seen.values()) <= gpus and (len(seen) < 3 or set(seen.values()) == gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == given and str(os.getpid()) not in seen


def test_gpus_are_counted_if_none_are_named(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert visible_gpus() == ["0", "1", "2", "3"]


def test_a_classifier_has_a_process_per_gpu(tmp_path, monkeypatch):
    from helpers.tiny import tiny_model
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from axolotl_slung.labeling.build import build

    base = tiny_model(tmp_path)
    config = AutoConfig.from_pretrained(base, num_labels=2, id2label={0: "fine", 1: "toxic"})
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "classifier")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "classifier")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    block = {"type": "classifier", "model": str(tmp_path / "classifier"), "label": "toxic", "cuts": [0.5, 0.9]}
    [labeler] = build(SlungConfig(labelers=[block]))
    assert labeler.most_processes == 8 and labeler.device == "cuda" and Path(labeler.folder).is_dir()
