"""A config's documents are labeled in batches, so that labelers see what they see in training."""

import pytest
from helpers.axolotl_run import as_if_fresh, base_config, write_config
from helpers.tiny import write_jsonl

from axolotl_slung.training.data.row_labels import SlungDataError


def documents(folder, labeler, rows, limit=None, **block):
    path = write_jsonl(folder / "rows.jsonl", rows)
    config = base_config(
        folder,
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"labelers": [labeler], **block},
    )
    with as_if_fresh(folder):
        from axolotl.cli.config import load_cfg
        from axolotl.loaders import load_tokenizer

        from axolotl_slung.training.data.look import data_sets

        cfg = load_cfg(str(write_config(config, folder)))
        [one] = data_sets(cfg, load_tokenizer(cfg))
        return list(one.documents(limit))


def test_attribute_files_of_another_order_are_refused(tmp_path):
    attributes = [{"id": n, "attributes": {"x": [[0, 3, 1.0]] if n % 2 else []}} for n in range(99, -1, -1)]
    write_jsonl(tmp_path / "attributes.jsonl", attributes)
    labeler = {"type": "dolma", "path": str(tmp_path / "attributes.jsonl"), "attribute": "x", "cuts": [0.1, 0.9]}
    rows = [{"id": n, "text": f"the mill {n}"} for n in range(100)]
    with pytest.raises(ValueError, match=r"the row with id \d+: is not in the order of"):
        documents(tmp_path, labeler, rows, limit=9)
    write_jsonl(tmp_path / "attributes.jsonl", attributes[::-1])
    found = documents(tmp_path, labeler, rows)
    assert [one.name for one in found] == [f"datasets[0], {n}" for n in range(100)]
    assert [bool(one.score.max()) for one in found] == [n % 2 == 1 for n in range(100)]


def test_errors_name_the_row_of_the_data_set(tmp_path):
    rows = [{"text": "the mill", "spans": [[0, 99 if n == 87 else 3]]} for n in range(100)]
    with pytest.raises(SlungDataError, match=r"slung.labelers\[0\].field: row 87 of the data set: 'spans', span 0"):
        documents(tmp_path, {"type": "spans"}, rows)


def test_what_training_cannot_edit_is_refused_before_it(tmp_path):
    """`slung inspect` shows texts before the actions on text, and still says what these refuse."""
    labeler = {"type": "spans", "field": "spans", "weights_field": "w"}
    rows = [{"text": "the mill burned", "spans": [[4, 8]], "w": w} for w in (0.5, [[0, 3, 0.5]])]
    drop = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "bad", "action": "drop_span"}]
    with pytest.raises(SlungDataError, match="row 1 of the batch: text: its weights count characters of a text that"):
        documents(tmp_path, labeler, rows, buckets=drop)
    [shown] = documents(tmp_path, labeler, rows[:1], buckets=drop)
    assert "mill" in "".join(shown.tokens)
