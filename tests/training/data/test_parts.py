"""Parts of the training data in which nothing is left to train, and training data in which nothing is."""

import importlib
from pathlib import Path

import pytest
from helpers.axolotl_run import base_config, prepare_in_process, train_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.training.data.row_labels import SlungDataError

NAME = "Maria Hernandez"
TEXT = "The old mill burned down in 1847."
NOTE = "nothing in it is trained"


@pytest.fixture(scope="module", autouse=True)
def logging_is_configured():
    """Axolotl configures logging when it is first imported. In a test, that would remove the handler of `caplog`."""
    importlib.import_module("axolotl.cli")


@pytest.fixture
def config(tmp_path, slung):
    def config(texts, entry=None, method="masked", **keys):
        path = write_jsonl(tmp_path / "rows.jsonl", [{"text": text} for text in texts])
        entry = {"path": str(path), "ds_type": "json", "type": "completion", **(entry or {})}
        block = slung(method=method, eos="mask")
        return base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[entry], **{**block, **keys})

    return config


@pytest.mark.parametrize("method", ["masked", "unlikelihood", "low_risk", "control"])
def test_a_shard_without_a_trained_token(config, method, caplog):
    dataset = prepare_in_process(config([NAME, TEXT], {"preprocess_shards": 2}, method)).train_dataset
    assert any(label >= 0 for labels in dataset["labels"] for label in labels)
    assert (NOTE in caplog.text) == (method != "unlikelihood")


@pytest.mark.parametrize("monitor", [True, False])
def test_a_data_set_among_others(config, tmp_path, monitor, slung, caplog):
    made = config([NAME] * 3, **slung(eos="mask", monitor_masked=monitor))
    made["datasets"].append(
        {**made["datasets"][0], "path": str(write_jsonl(tmp_path / "more.jsonl", [{"text": TEXT}] * 3))}
    )
    assert len(prepare_in_process(made).train_dataset) == 6
    assert caplog.text.count(NOTE) == 1 and f"datasets[0]: {NOTE}" in caplog.text


def test_training_with_a_test_set_without_a_trained_token(config, tmp_path, caplog):
    made = config([TEXT] * 4, max_steps=1, eval_strategy="steps", eval_steps=1)
    made["test_datasets"] = [
        {
            **made["datasets"][0],
            "path": str(write_jsonl(tmp_path / "test.jsonl", [{"text": NAME}] * 2)),
            "split": "train",
        }
    ]
    run = train_in_process(made)
    assert len(run.losses) == 1 and f"test_datasets[0]: {NOTE}" in caplog.text
    assert [entry["eval_loss"] for entry in run.log_history if "eval_loss" in entry]


@pytest.mark.parametrize("entry", [{}, {"preprocess_shards": 2}])
@pytest.mark.parametrize(
    "block", [{"method": "masked"}, {"method": "masked", "monitor_masked": False}, {"method": "low_risk"}], ids=str
)
def test_nothing_at_all_is_an_error_before_the_model_and_leaves_nothing(config, slung, entry, block, tmp_path):
    made = config([NAME] * 4, entry, **slung(eos="mask", **block))
    for weights in Path(made["base_model"]).glob("*.safetensors"):
        weights.unlink()  # a model that is loaded fails
    for _ in range(2):
        with pytest.raises(SlungDataError, match=r"^datasets: nothing is left to train in \d+ tokens"):
            train_in_process(made)
    assert not list((tmp_path / "prepared").rglob("state.json"))


def test_a_part_for_validation_that_takes_all_that_is_trained(config):
    made = config([NAME] * 6 + [TEXT], val_set_size=2, shuffle_merged_datasets=False)
    for _ in range(2):
        with pytest.raises(SlungDataError, match="^datasets: nothing is left to train"):
            prepare_in_process(made)
