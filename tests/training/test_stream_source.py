"""Local forms of a stream: the one that trains can be looked at, and each other is refused with one that works."""

import gzip
import json
import re

import pytest
import yaml
from click.testing import CliRunner
from datasets import Dataset, DatasetDict
from helpers.axolotl_run import base_config, train_in_process, write_config
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.doctor.run import FAILED, examine
from axolotl_slung.labels.codec import FIRST_CODE

NAME = "Maria Hernandez"
ROWS = [{"text": f"{n}. {NAME if n % 3 == 0 else 'Somebody'} burned the old mill by the river."} for n in range(12)]
PACKED = {"sample_packing": True, "sequence_len": 64}


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with the same rows in every kind of file, as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    write_jsonl(tmp_path / "corpus" / "a.jsonl", ROWS[:5])
    write_jsonl(tmp_path / "corpus" / "b.jsonl", ROWS[5:])
    write_jsonl(tmp_path / "all.jsonl", ROWS)
    (tmp_path / "all.jsonl.gz").write_bytes(gzip.compress((tmp_path / "all.jsonl").read_bytes()))
    Dataset.from_list(ROWS).to_parquet(tmp_path / "all.parquet")
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    DatasetDict({"train": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "saved_dict")
    return tmp_path


def config_of(folder, slung, entry, key="pretraining_dataset", **overrides):
    """A config that streams an entry or several, as a file."""
    entries = entry if isinstance(entry, list) else [entry]
    keys = {"streaming": True, "datasets": None, key: entries, "streaming_multipack_buffer_size": 6, "max_steps": 2}
    keys |= {"base_model": str(tiny_model(folder)), **slung([NAME]), **overrides}
    return write_config(base_config(folder, **keys), folder)


def run(*arguments):
    """The exit status and all output of a command."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.output


def masked_by_training(path):
    """The number of masked tokens in the batches of two steps."""
    labels = []

    def record(trainer):
        step = trainer.training_step

        def training_step(model, inputs, *args, **kwargs):
            labels.append(inputs["labels"].clone())
            return step(model, inputs, *args, **kwargs)

        trainer.training_step = training_step

    train_in_process(yaml.safe_load(path.read_text()), on_trainer=record)
    return sum(int((of_batch <= FIRST_CODE).sum()) for of_batch in labels)


WORKS = [
    ({"path": "json", "data_files": "all.jsonl"}, {}),
    ({"path": "json", "data_files": "all.jsonl", "text_column": "text", "type": "pretrain"}, PACKED),
    ({"path": "json", "data_files": "corpus/*.jsonl"}, {}),
    ({"path": "json", "data_files": "all.jsonl.gz"}, {}),
    ({"path": "parquet", "data_files": "all.parquet"}, {}),
    ({"path": "corpus"}, PACKED),
    ({"path": "json", "data_files": "all.jsonl", "type": "completion", "key": "datasets"}, PACKED),
    ({"path": "all.jsonl", "ds_type": "json", "type": "completion", "key": "datasets"}, {}),
]


@pytest.mark.parametrize("entry, keys", WORKS, ids=str)
def test_what_trains_can_be_counted_and_shown(there, slung, entry, keys):
    entry = dict(entry)
    path = config_of(there, slung, entry, entry.pop("key", "pretraining_dataset"), **keys)
    assert masked_by_training(path) > 0

    status, output = run("stats", path, "--json", there / "s.json", "--no-words")
    figures = json.loads((there / "s.json").read_text())
    assert status == 0 and figures["documents"] == 12, output
    masked = figures["outcomes"]["mask"]
    status, output = run("inspect", path, "--terminal", "-n", 4)
    assert status == 0 and output.count("[mask:") == 2 and "burned the old mill" in output, output
    status, output = run("stats", path, "-n", 3, "--json", "-", "--no-words")
    # rows 0 to 2 of the stream: a third of the names' tokens would be drawn from anywhere
    assert status == 0 and 4 * json.loads(output)["outcomes"]["mask"] == masked


REFUSED = [
    ({"path": "all.jsonl"}, {}),
    ({"path": "all.jsonl", "ds_type": "json"}, {}),
    ({"path": "all.jsonl", "ds_type": "json", "type": "pretrain"}, PACKED),
    ({"path": "all.jsonl.gz", "ds_type": "json"}, {}),
    ({"path": "all.parquet"}, PACKED),
    ({"path": "saved"}, {}),
    ({"path": "saved_dict"}, PACKED),
    ({"path": "all.jsonl", "ds_type": "json", "type": "completion", "key": "datasets"}, PACKED),
    ({"path": "json", "data_files": "all.jsonl", "type": "completion", "key": "datasets"}, {}),
]


@pytest.mark.parametrize("entry, keys", REFUSED, ids=str)
def test_what_does_not_train_is_refused_with_what_does(there, slung, entry, keys):
    entry = dict(entry)
    key = entry.pop("key", "pretraining_dataset")
    path = config_of(there, slung, entry, key, **keys)
    for command in (("stats", path), ("inspect", path, "--terminal")):
        status, output = run(*command)
        assert status != 0 and f"{key}[0].path: {entry['path']}: " in output
    [finding] = examine(str(path), 1, lambda stage: None)
    assert finding.verdict == FAILED and f"{key}[0].path: {entry['path']}: " in finding.text
    with pytest.raises(ValueError, match=re.escape(f"{key}[0].path: {entry['path']}: ")):
        train_in_process(yaml.safe_load(path.read_text()))

    # the entry that the error shows
    shown = yaml.safe_load(re.search(r"write ({.*?})", " ".join(finding.text.split()))[1])
    path = config_of(there, slung, shown, key, **keys)
    assert masked_by_training(path) > 0
    status, output = run("stats", path, "--json", "-", "--no-words")
    assert status == 0 and json.loads(output)["documents"] == 12


def test_what_axolotl_would_ignore_is_refused(there, slung):
    """It streams the first of several entries, and says nothing of the others."""
    entries = [{"path": "json", "data_files": f"corpus/{name}.jsonl"} for name in "ab"]
    status, output = run("stats", config_of(there, slung, entries))
    assert status != 0 and "pretraining_dataset[1]: json: Axolotl streams only the first entry" in output
    status, output = run("stats", config_of(there, slung, {"path": "json"}))
    assert status != 0 and "pretraining_dataset[0].data_files: missing" in output
    status, output = run("stats", config_of(there, slung, {"path": "json", "data_files": "nosuch.jsonl"}))
    assert status != 0 and "nosuch.jsonl" in output and "Traceback" not in output


def test_doctor_trains_a_stream(there, slung):
    path = config_of(there, slung, {"path": "json", "data_files": "all.jsonl"})
    findings = {finding.check: finding for finding in examine(str(path), 2, lambda stage: None)}
    assert "streamed" in findings["labels"].text
    assert not [finding for finding in findings.values() if finding.verdict == FAILED]
    assert findings["gradients of masked targets"].text.startswith("exactly zero")
