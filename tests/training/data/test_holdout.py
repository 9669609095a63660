"""`holdout_share`: which rows are left out of training, in data sets and in streams."""

import pytest
from datasets import Dataset
from helpers.axolotl_run import as_if_fresh, base_config, prepare_in_process, write_config
from helpers.tiny import write_jsonl
from transformers import AutoTokenizer

from axolotl_slung.training.data.holdout import held_out, selected

ROWS = [{"text": f"the mill number {n} burned", "n": n} for n in range(60)]
SHARE = 0.3


def test_the_share_is_about_as_asked_and_grows_with_it():
    rows = [{"text": str(n)} for n in range(4000)]
    held = [{row["text"] for row in rows if held_out(row, share)} for share in (0.1, 0.3)]
    assert [len(some) / 4000 for some in held] == pytest.approx([0.1, 0.3], abs=0.03)
    assert held[0] < held[1]


def test_a_row_is_held_out_wherever_it_is_and_however_its_columns_are_ordered():
    assert held_out({"a": 1, "b": "x"}, 0.5) == held_out({"b": "x", "a": 1}, 0.5)
    data = Dataset.from_list([*ROWS, *ROWS])
    held, trained = (selected(data, SHARE, rows)["n"] for rows in ("heldout", "trained"))
    assert sorted([*held, *trained]) == sorted([*range(60), *range(60)])
    assert len(held) == 2 * len({*held}) and not {*held} & {*trained}
    assert selected(data, 0.0) is data


@pytest.fixture
def config(tmp_path, slung):
    data = {"path": str(write_jsonl(tmp_path / "rows.jsonl", ROWS)), "ds_type": "json", "type": "completion"}
    test = {**data, "path": str(write_jsonl(tmp_path / "test.jsonl", ROWS[:20])), "split": "train"}
    return base_config(tmp_path, datasets=[data], test_datasets=[test], **slung(holdout_share=SHARE))


WANTED = {row["n"] for row in ROWS if not held_out(row, SHARE)}


def numbers(config, rows):
    tokenizer = AutoTokenizer.from_pretrained(config["base_model"])
    texts = [tokenizer.decode(list(row["input_ids"])) for row in rows]
    return {int(text.split("number ")[1].split()[0]) for text in texts}


def test_training_never_sees_rows_that_are_held_out(config):
    """The rows of `test_datasets` all stay."""
    run = prepare_in_process(config)
    assert 5 < len(WANTED) < 55
    assert numbers(config, run.train_dataset) == WANTED
    assert numbers(config, run.eval_dataset) == {*range(20)}


def test_a_stream_leaves_the_same_rows_out(config, tmp_path):
    path = config.pop("datasets")[0]["path"]
    config.pop("test_datasets")
    config["pretraining_dataset"] = [{"path": "json", "data_files": path, "type": "pretrain", "split": "train"}]
    stream = prepare_in_process(config).train_dataset
    assert numbers(config, [{"input_ids": row["input_ids"]} for row in stream]) == WANTED


@pytest.mark.parametrize("streamed", [False, True])
def test_a_command_opens_either_part(config, tmp_path, streamed):
    if streamed:
        path = config.pop("datasets")[0]["path"]
        config.pop("test_datasets")
        config["pretraining_dataset"] = [{"path": "json", "data_files": path, "type": "pretrain"}]
    with as_if_fresh(tmp_path):
        from axolotl.cli.config import load_cfg
        from axolotl.loaders import load_tokenizer

        from axolotl_slung.training.data.look import data_sets

        cfg = load_cfg(str(write_config(config, tmp_path)))
        found = {}
        for rows in ("trained", "heldout"):
            [one] = data_sets(cfg, load_tokenizer(cfg), rows=rows)
            found[rows] = {row["n"] for row in one.rows}
    assert found == {"trained": WANTED, "heldout": {*range(60)} - WANTED}
