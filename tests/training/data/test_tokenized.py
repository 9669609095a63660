"""Data that comes as token ids, in every form that Arrow has for lists of whole numbers."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Value
from helpers.axolotl_run import base_config, prepare_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.labels.codec import IGNORE, decode, encode
from axolotl_slung.training.data.row_labels import SlungDataError

ROWS, LATE = 2100, 1600
"""The first span lies beyond the batches from which `datasets` guesses types."""


def prepared(folder, columns, keys, name="rows.parquet"):
    pq.write_table(pa.table(columns), folder / name)
    config = base_config(
        folder,
        base_model=str(tiny_model(folder)),
        datasets=[{"path": str(folder / name), "ds_type": "parquet", "type": "completion"}],
        shuffle_merged_datasets=False,
        **keys,
    )
    return prepare_in_process(config).train_dataset


def columns(kind, labels, **more):
    ids = pa.array([[40, 41, 42]] * len(labels), pa.list_(pa.int16()))
    mask = pa.array([[1, 1, 1]] * len(labels), pa.list_(pa.int8()))
    return {"input_ids": ids, "attention_mask": mask, "labels": pa.array(labels, kind), **more}


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int32()),
        pa.list_(pa.int16()),
        pa.list_(pa.uint32()),
        pa.list_(pa.uint8()),
        pa.large_list(pa.int32()),
        pa.list_(pa.int32(), 3),
        pa.large_list(pa.uint16()),
    ],
    ids=str,
)
def test_labels_of_every_width(tmp_path, slung, kind):
    spans = pa.array([[[1, 2, 1.0]] if row == LATE else [] for row in range(ROWS)], pa.list_(pa.list_(pa.float64())))
    extra = pa.array([7] * ROWS, pa.uint8())
    table = columns(kind, [[40, 41, 42]] * ROWS, spans=spans, extra=extra)
    rows = prepared(tmp_path, table, slung(labelers=[{"type": "spans"}]))
    late = rows[LATE]["labels"]
    assert decode(late[1])[:2] == (41, 2) and late[::2] == [40, 42] and rows[0]["labels"] == [40, 41, 42]
    assert rows.features["labels"].feature == Value("int64")
    assert rows.features["input_ids"].feature == Value("int16") and rows.features["extra"] == Value("uint8")


def test_labels_of_a_data_set_that_no_labeler_is_for_are_merged_with_others(tmp_path, slung):
    pq.write_table(pa.table(columns(pa.list_(pa.int32()), [[40, 41, IGNORE]] * 3)), tmp_path / "tokens.parquet")
    coded = [40, int(encode(41, 2, 1.0)), 42]
    path = write_jsonl(
        tmp_path / "coded.jsonl", [{"input_ids": [40, 41, 42], "attention_mask": [1, 1, 1], "labels": coded}] * 3
    )
    keys = slung()
    keys["slung"]["labelers"][0]["datasets"] = [str(path)]
    entries = [
        {"path": str(tmp_path / "tokens.parquet"), "ds_type": "parquet", "type": "completion"},
        {"path": str(path), "ds_type": "json", "type": "completion"},
    ]
    config = base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=entries, **keys)
    # `datasets` merges equal types only, and ids are the writer's own business
    table = pq.read_table(tmp_path / "tokens.parquet")
    for index, name in enumerate(["input_ids", "attention_mask"]):
        table = table.set_column(index, name, table[name].cast(pa.list_(pa.int64())))
    pq.write_table(table, tmp_path / "tokens.parquet")
    labels = prepare_in_process(config).train_dataset["labels"]
    assert sorted(map(tuple, labels)) == sorted([(40, 41, IGNORE)] * 3 + [tuple(coded)] * 3)


@pytest.mark.parametrize(
    "kind, labels",
    [(pa.list_(pa.string()), ["secret"] * 3), (pa.string(), "secret"), (pa.list_(pa.float32()), [0.5] * 3)],
    ids=str,
)
def test_labels_that_are_no_numbers(tmp_path, slung, kind, labels):
    with pytest.raises(
        SlungDataError, match=r"^datasets\[0\]: `labels` is a column of .* lists of whole numbers"
    ) as caught:
        prepared(tmp_path, columns(kind, [labels] * 3), slung())
    assert "secret" not in str(caught.value)


def test_codes_of_an_earlier_run_are_counted_in_the_shard_alone(tmp_path, slung, caplog):
    """A shard is a choice of rows: the table under it still holds all of them."""
    coded = [40, int(encode(41, 2, 1.0)), 42]
    pq.write_table(pa.table(columns(pa.list_(pa.int64()), [coded] * 8)), tmp_path / "rows.parquet")
    entry = {"path": str(tmp_path / "rows.parquet"), "ds_type": "parquet", "type": "completion", "shards": 4}
    prepare_in_process(base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[entry], **slung()))
    assert "slung: datasets[0]: 6 tokens: train 4" in caplog.text


def said(caplog):
    texts = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [text.removeprefix("slung: datasets[0]: ") for text in texts if text.startswith("slung: datasets[0]: ")]


def test_finds_that_are_trained_are_warned_of_as_for_text(tmp_path, slung, caplog):
    buckets = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "risky", "action": "mask"}]
    (tmp_path / ".slung").mkdir()
    (tmp_path / ".slung" / "cuts.yml").write_text("phones: any\nrude: [0.2, 0.9]\n")
    spans = ['{"phones": [[0, 2, 0.4], [2, 3, 0.4]], "rude": [[1, 2, 0.3]]}', '{"phones": [[0, 2, 0.9]]}']
    table = columns(pa.list_(pa.int64()), [[40, 41, IGNORE], [40, 41, 42]], spans=pa.array(spans))
    rows = prepared(tmp_path, table, slung(labelers=[{"type": "spans"}], buckets=buckets))
    assert sorted(rows.column_names) == ["attention_mask", "input_ids", "labels"]
    # 2 of 5 trainable tokens lose their loss, and 2 that were found are trained; the third is not trainable
    bucket = "2 tokens are in the bucket 'fine', whose action is train (2 with the score 0.4)"
    assert said(caplog) == [f"the model learns to say what phones found: {bucket}"]


@pytest.mark.parametrize("lost", [50, 51])
@pytest.mark.parametrize("coded", [False, True])
def test_a_lost_loss_is_warned_of_as_for_text(tmp_path, slung, caplog, lost, coded):
    labels = [[40, 41, IGNORE, 42] for _ in range(100 // 3)] + [[40, IGNORE, IGNORE, IGNORE]]
    spans, left = [], lost
    for row in labels:
        here = [n for n, label in enumerate(row) if label != IGNORE][:left]
        left -= len(here)
        spans.append([[n, n + 1, 1.0] for n in here])
        if coded:
            for n in here:
                row[n] = int(encode(row[n], 2, 1.0))
    table = {
        "input_ids": pa.array([[40, 41, 7, 42]] * len(labels)),
        "attention_mask": pa.array([[1] * 4] * len(labels)),
        "labels": pa.array(labels),
    }
    if not coded:
        table["spans"] = pa.array(spans)
    prepared(tmp_path, table, slung(labelers=[{"type": "profanity" if coded else "spans"}]))
    warning = (
        "51.0% of the 100 trainable tokens lose their loss; `slung sweep` shows what other cuts or buckets would do"
    )
    assert said(caplog) == ([warning] if lost == 51 else [])
