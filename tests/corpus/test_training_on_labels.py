"""What `slung label` wrote, as a data set of Axolotl's: the labels of the labeler itself."""

import random

import yaml
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main


def test_labeled_files_train_as_the_labelers_would(tmp_path, slung):
    draw = random.Random(0)
    words = ["Maria Hernandez", "burned", "the", "old", "mill", "at", "dawn.", "😀"]
    # the first documents have no name in them: Arrow settles a column's type by its first megabytes
    rows = [{"text": "the old mill at dawn. " * 30}] * 20_000
    rows += [{"text": " ".join(draw.choices(words, k=20))} for _ in range(30)]
    (tmp_path / "raw").mkdir()
    write_jsonl(tmp_path / "raw" / "rows.jsonl", rows)
    keys = slung(("Maria Hernandez",))
    (tmp_path / "config.yml").write_text(yaml.safe_dump(keys))
    out = tmp_path / "labeled"
    result = CliRunner().invoke(main, ["label", f"{tmp_path}/raw", "-o", str(out), "-c", str(tmp_path / "config.yml")])
    assert result.exit_code == 0, result.output

    def labels(path, keys):
        dataset = {"path": str(path), "type": "completion", "split": "train[19990:]"}
        config = base_config(
            tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], sequence_len=512, **keys
        )
        return prepare_in_process(config).train_dataset["labels"][:]

    direct = labels(tmp_path / "raw", keys)
    assert any(label < -100 for row in direct for label in row)
    assert labels(out, {**keys, "slung": {**keys["slung"], "labelers": [{"type": "spans"}]}}) == direct
