"""Bad input: an error that names the YAML key, the value and the fix, before any model is loaded."""

from unittest import mock

import pytest
import yaml
from helpers.axolotl_run import base_config, run_axolotl, train_in_process
from helpers.tiny import tiny_model, write_jsonl

TEXT = "The old mill of Maria Hernandez burned down."


@pytest.fixture
def start(tmp_path):
    """Starts a run that must not get as far as a model."""

    def run(slung, rows=None, entry=None, **overrides):
        path = write_jsonl(tmp_path / "rows.jsonl", rows or [{"text": TEXT, "id": "a", "spans": [[0, 3, 1.0]]}] * 2)
        config = base_config(
            tmp_path,
            base_model=str(tiny_model(tmp_path)),
            datasets=[{"path": str(path), "ds_type": "json", "type": "completion", **(entry or {})}],
            **{"plugins": ["axolotl_slung.SlungPlugin"], **overrides},
        )
        config["slung"] = slung
        loaded = AssertionError("a model was loaded")
        with mock.patch("axolotl.loaders.model.ModelLoader.load", side_effect=loaded):
            train_in_process(config)

    return run


def labelers(*entries, **block):
    return {"labelers": list(entries), **block}


def files(tmp_path):
    """A folder of files, each bad in its own way."""
    (tmp_path / "empty.txt").write_text("\n# nobody\n")
    (tmp_path / "broken.yml").write_text("phone: '(unclosed'\n")
    (tmp_path / "corrupt.bin").write_bytes(b"\x00" * 100)
    attributes = [{"id": i, "attributes": {"x": []}} for i in "ba"]
    write_jsonl(tmp_path / "reordered.jsonl", attributes)
    write_jsonl(tmp_path / "missing.jsonl", attributes[:1])


@pytest.mark.parametrize(
    "labeler, message",
    [
        ({"type": "fasttext", "model": "none.bin", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].model: 'none.bin': expected a file"),
        ({"type": "fasttext", "model": "corrupt.bin", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].model: .*corrupt.bin: is not a valid fastText"),
        ({"type": "fasttext", "model": "https://localhost:9/model.bin", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].sha256: missing"),
        ({"type": "entities", "path": "none.txt"}, r"slung.labelers\[0\].path: .*none.txt"),
        ({"type": "entities", "path": "empty.txt"}, r"slung.labelers\[0\].path: .*empty.txt: has no names"),
        ({"type": "patterns", "path": "broken.yml"}, r"slung.labelers\[0\].path: .*broken.yml.*phone"),
        ({"type": "dolma", "path": "missing.jsonl", "attribute": "x", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].path: row \d of the batch: is not in"),
        ({"type": "dolma", "path": "reordered.jsonl", "attribute": "x", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].path: row \d of the batch: is not in the order of"),
        ({"type": "dolma", "path": "missing.jsonl", "attribute": "y", "cuts": [1e-4, 0.99]}, r"slung.labelers\[0\].attribute: 'y': is not in"),
        ({"type": "spans", "field": "risky"}, r"slung.labelers\[0\].field: row \d of the batch: has no 'risky'"),
    ],
    ids=str,
)  # fmt: skip
def test_labelers_that_cannot_work(tmp_path, start, monkeypatch, labeler, message):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    rows = [{"text": TEXT, "id": "a"}, {"text": TEXT, "id": "b"}]
    with pytest.raises(ValueError, match=message):
        start(labelers(labeler), rows=rows)


def test_a_label_that_the_model_lacks(tmp_path, start):
    import fasttext

    (tmp_path / "train.txt").write_text("__label__rude you fool\n__label__fine the old mill\n" * 20)
    fasttext.train_supervised(str(tmp_path / "train.txt"), dim=10, thread=11, verbose=0).save_model(
        str(tmp_path / "m.bin")
    )
    with pytest.raises(
        ValueError, match=r"slung.labelers\[0\].label: '__label__toxic': is not in .*; choose one of __label__"
    ):
        start(labelers({"type": "fasttext", "model": str(tmp_path / "m.bin"), "cuts": [1e-4, 0.99]}))


@pytest.mark.parametrize(
    "span", [[0, 99, 1.0], [3, 1, 1.0], [-1, 2, 1.0], [0, 3, 1.5], [2, 2, 1.0], [0, 3, float("nan")]], ids=str
)
def test_spans_that_are_none(start, span):
    with pytest.raises(ValueError, match=r"slung.labelers\[0\].field: row \d of the batch: 'spans', span 0"):
        start(labelers({"type": "spans"}), rows=[{"text": TEXT, "id": "a", "spans": [span]}])


@pytest.mark.parametrize(
    "block, message",
    [
        (
            {"labelers": [{"type": "entities", "names": ["x"]}], "metod": "masked"},
            r"slung\.metod: unknown key; did you mean `method`",
        ),
        (
            {"labelers": [{"type": "entities", "names": ["x"]}], "method": "maskd"},
            r"slung\.method: maskd: .*did you mean `masked`",
        ),
        (
            {"labelers": [{"type": "names"}]},
            r"slung\.labelers\[0\]\.type: names: is not one of fasttext, .*did you mean `entities`",
        ),
        ({}, r"slung\.labelers: missing"),
    ],
    ids=str,
)
def test_blocks_that_are_none(start, block, message):
    with pytest.raises(ValueError, match=message):
        start(block)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"rl": "dpo"}, "rl: dpo: cannot be used with `slung:`"),
        ({"reward_model": True}, "reward_model: True: cannot"),
        ({"entry": {"type": "llama2_chat"}, "rows": [{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]}, r"datasets\[0\]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_supported(tmp_path, start, overrides, message):
    with pytest.raises(Exception, match=message) as raised:
        start(labelers({"type": "patterns", "path": str(patterns(tmp_path))}), **overrides)
    assert "a model was loaded" not in str(raised.value)


def patterns(tmp_path):
    path = tmp_path / "patterns.yml"
    path.write_text("mill: mill\n")
    return path


def test_a_pattern_over_its_budget_stops_the_preparation(tmp_path, start, monkeypatch):
    monkeypatch.setattr("axolotl_slung.labeling.patterns.ALLOWANCE", 0.2)
    (tmp_path / "patterns.yml").write_text("hungry: '(?:a|aa)+(?!a|b)c'\n")
    labeler = {"type": "patterns", "path": str(tmp_path / "patterns.yml")}
    with pytest.raises(Exception, match="pattern 'hungry': took more CPU time than its budget") as raised:
        start(labelers(labeler), rows=[{"text": "fine"}, {"text": "a" * 200}])
    assert "a model was loaded" not in str(raised.value) and "(?:a|aa)" not in str(raised.value)


def test_the_plugin_without_a_block(start):
    with pytest.raises(ValueError, match="plugins: axolotl_slung.SlungPlugin: the config has no `slung:` block"):
        start(None)


def test_a_block_without_the_plugin_through_the_command(tmp_path):
    """On Axolotl 0.21 the block alone is enough; before, it stops the run."""
    import axolotl.integrations.base as integrations

    config = base_config(tmp_path, slung=labelers({"type": "patterns", "path": str(patterns(tmp_path))}))
    run = run_axolotl(config, tmp_path, command="preprocess")
    if hasattr(integrations, "PLUGIN_ENTRY_POINT_GROUP") or "entry_points" in vars(integrations):
        assert run.check() and "slung: datasets[0]" in run.output
    else:
        assert run.returncode != 0
        assert (
            "slung: the config has this block, but its plugin is not loaded; add\nplugins:\n  - axolotl_slung.SlungPlugin"
            in run.output
        )


def test_names_never_reach_the_message_or_the_log(tmp_path, start, capfd):
    (tmp_path / "names.txt").write_text("Zebulon Quistgaard\n")
    with pytest.raises(ValueError):
        start(labelers({"type": "entities", "path": str(tmp_path / "names.txt")}, {"type": "spans", "field": "none"}))
    assert "Quistgaard" not in "".join(capfd.readouterr())


def test_yaml_without_the_block_is_none_of_our_business(tmp_path):
    """The guard reads configs of Axolotl's without a block, and other models, as if it were not there."""
    from pydantic import BaseModel

    class Other(BaseModel):
        model_config = {"extra": "allow"}

    assert Other.model_validate(yaml.safe_load("slung: {a: 1}")).slung == {"a": 1}
