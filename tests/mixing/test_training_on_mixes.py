"""Axolotl reads a mix as it is, and trains on it."""

import json

import pytest
from helpers.axolotl_run import base_config, prepare_in_process, train_in_process
from helpers.mixed import rows_of, run_mix, settings
from helpers.tiny import tiny_model


@pytest.mark.parametrize("form", ["jsonl.zst", "parquet"])
def test_a_mix_trains(made, tmp_path, form):
    out = made / "mix"
    if form == "parquet":
        out = made / "parquet_to_train"
        assert run_mix(settings(made, format=form), out).exit_code == 0
    files = sorted((out / "seed-0" / "large").iterdir())
    kind = "parquet" if form == "parquet" else "json"
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(made)),
        datasets=[{"path": str(file), "ds_type": kind, "type": "completion"} for file in files],
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"method": "masked", "labelers": [{"type": "spans", "cuts": [1e-4, 0.99]}]},
        max_steps=2,
        sequence_len=256,
    )
    run = train_in_process(config)
    assert len([loss for loss in run.losses if loss is not None]) == 2
    labels = [label for row in run.trainer.train_dataset["labels"] for label in row]
    masked = sum(label < -100 for label in labels)
    manifest = json.loads((out / "manifest.json").read_text())
    (stream,) = [one for one in manifest["streams"] if one["path"] == "seed-0/large"]
    assert masked == stream["risky_tokens"]["doubtful"] + stream["risky_tokens"]["risky"]


def test_a_folder_of_a_mix_is_a_data_set(made, tmp_path):
    """Its first file may have no risky document: Arrow settles a column's type by it."""
    folder = made / "mix" / "seed-0" / "small"
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(made)),
        datasets=[{"path": str(folder), "type": "completion"}],
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"method": "masked", "labelers": [{"type": "spans", "cuts": [1e-4, 0.99]}]},
        sequence_len=256,
    )
    prepared = prepare_in_process(config).train_dataset
    assert len(prepared) == len(rows_of(folder))
    assert any(label < -100 for row in prepared["labels"] for label in row)
