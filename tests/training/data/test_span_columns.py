"""`slung label -c config.yml` writes spans from which training makes the labels that it makes with the labelers."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.axolotl_run import (
    as_if_fresh,
    base_config,
    prepare_in_process,
    write_config,
)
from helpers.chats import ENTRIES, INSULT, KINDS, LABELERS, NAME, OF_CONFIG
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.labels.codec import FIRST_CODE, decode

_FOLDER = Path(importlib.util.find_spec("axolotl").submodule_search_locations[0], "utils/chat_templates/templates")
TEXT = f"The teacher is {NAME}. They call it {INSULT}, and {NAME}'s house a mill."
SCORED = [{key: value for key, value in one.items() if key != "cuts"} for one in LABELERS]
BUCKETS = [{"name": "low", "below": 0.5, "action": "train"}, {"name": "high", "action": "mask"}]

FLAT = {
    "completion": ({"type": "completion"}, [{"text": TEXT, "id": 7}, {"text": f"{NAME} " * 30, "id": 8}]),
    "completion with a field": ({"type": "completion", "field": "body"}, [{"body": TEXT, "text": "x"}]),
    "alpaca": ({"type": "alpaca"}, [{"instruction": f"Who is {NAME}?", "input": "", "output": TEXT},
                                    {"instruction": "Who?", "input": f"It is {NAME}.", "output": INSULT}]),
    "input_output": ({"type": "input_output"}, [{"segments": [{"label": False, "text": f"Who? {NAME}? "}, {"label": True, "text": TEXT}]}]),
    "user-defined": (
        {"type": {"field_instruction": "q", "field_output": "a", "format": "[I] {instruction} [/I]", "no_input_format": "[I] {instruction} [/I]"}},
        [{"q": f"Who is {NAME}?", "a": TEXT}],
    ),
}  # fmt: skip


def config_of(folder, entry, rows, **keys):
    path = write_jsonl(folder / "rows.jsonl", rows)
    return base_config(
        folder,
        base_model=str(tiny_model(folder, kind="bytelevel_bos")),
        datasets=[{"path": str(path), "ds_type": "json", **entry}],
        sequence_len=4096,
        shuffle_merged_datasets=False,
        special_tokens={"eos_token": "<|im_end|>"},
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"labelers": SCORED, "buckets": BUCKETS},
        **keys,
    )


def label(folder, config, *options):
    """The output of `slung label -c config.yml`, and its result."""
    path = write_config(config, folder, "label.yml")
    with as_if_fresh(folder):
        result = CliRunner().invoke(
            main, ["label", "-c", str(path), "-o", str(folder / "labeled"), "-j", "1", *options]
        )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def labels(config, **changes):
    return prepare_in_process({**config, **changes}).train_dataset["labels"][:]


def trained_on_spans(folder, config):
    """The labels of training on what `slung label` wrote, with what it says to change in the config."""
    entry = {**config["datasets"][0], "path": str(folder / "labeled" / "datasets-0.jsonl")}
    return labels(
        config,
        datasets=[entry],
        slung={"labelers": [{"type": "spans"}], "buckets": BUCKETS},
        dataset_prepared_path=str(folder / "again"),
    )


@pytest.mark.parametrize("name", FLAT)
def test_rows_of_prompts(tmp_path, name):
    config = config_of(tmp_path, *FLAT[name])
    direct = labels(config)
    result = label(tmp_path, config)
    assert result.exit_code == 0, result.output
    assert any(label <= FIRST_CODE for row in direct for label in row)
    assert trained_on_spans(tmp_path, config) == direct
    written = [json.loads(line) for line in (tmp_path / "labeled" / "datasets-0.jsonl").read_text().splitlines()]
    assert [{key: value for key, value in row.items() if key != "spans"} for row in written] == FLAT[name][1]
    assert "datasets[0]: {path: " in result.output and "slung.labelers: [{type: spans}]" in result.output


OF_ENTRY = {entry: [kind for kind, one in KINDS.items() if one.entry == entry] for entry in ENTRIES}


@pytest.mark.parametrize("template", ["qwen3", "llama3"])
@pytest.mark.parametrize("entry", ["chat", "objects", "json", "parts", "other names", "strings", "system column"])
def test_chats_of_every_form(tmp_path, entry, template):
    source = _FOLDER / f"{template}.jinja"
    rows = [KINDS[kind].row for kind in OF_ENTRY[entry]]
    columns = dict.fromkeys(key for row in rows for key in row)
    rows = [{key: row.get(key) for key in columns} for row in rows]
    keys = {
        "type": "chat_template",
        "chat_template": "jinja",
        "chat_template_jinja": source.read_text(),
        **ENTRIES[entry],
    }
    config = config_of(tmp_path, keys, rows, **OF_CONFIG.get(entry, {}))
    direct = labels(config)
    result = label(tmp_path, config)
    assert result.exit_code == 0, result.output
    assert any(label <= FIRST_CODE for row in direct for label in row)
    assert trained_on_spans(tmp_path, config) == direct


def test_rows_that_a_labeler_rejects_are_listed_and_the_same_command_goes_on(tmp_path):
    def row(n, end):
        marks = [[0, end, 1.0]]
        return {
            "messages": [
                {"role": "user", "content": "abc", "marks": []},
                {"role": "assistant", "content": f"ab{n}", "marks": marks},
            ]
        }

    rows = [row(n, 99 if n in (1, 150) else 2) for n in range(160)]
    entry = {"type": "chat_template", "chat_template": "chatml"}
    config = config_of(tmp_path, entry, rows)
    config["slung"] = {"labelers": [{"type": "spans", "field": "marks"}, *SCORED], "buckets": BUCKETS}
    config["test_datasets"] = [{**config["datasets"][0], "split": "train"}]
    for _ in range(2):
        result = label(tmp_path, config)
        assert result.exit_code == 0 and "316 documents" in result.output, result.output
    listed = (tmp_path / "labeled/.slung/datasets-0.jsonl.bad_lines.txt").read_text().splitlines()
    says = "not labeled: slung.labelers[0].field: 'marks', span 0: [0, 99) is empty or outside the text of"
    assert [line.startswith(f"datasets[0]:{n}: {says}") for n, line in zip((2, 151), listed)] == [True, True]
    for name in ("datasets-0.jsonl", "test_datasets-0.jsonl"):
        written = [json.loads(line) for line in (tmp_path / "labeled" / name).read_text().splitlines()]
        assert [one["messages"][1]["content"] for one in written] == [f"ab{n}" for n in range(160) if n not in (1, 150)]
        assert all(json.loads(one["messages"][1]["spans"])["spans"] == [[0, 2, 1.0]] for one in written)


def test_what_only_the_prompt_format_says_is_told(tmp_path):
    entry, rows = FLAT["alpaca"]
    config = config_of(tmp_path, entry, rows, train_on_inputs=True)
    config["slung"] = {"labelers": [{"type": "entities", "names": ["Response", NAME]}], "buckets": BUCKETS}
    result = label(tmp_path, config)
    assert result.exit_code == 0 and "datasets[0]: the labelers also find something in text" in result.output
    (tmp_path / "labeled").rename(tmp_path / "before")
    config["slung"]["labelers"][0]["names"] = [NAME]
    assert "also find something" not in label(tmp_path, config).output


def test_an_output_inside_the_data_is_refused(tmp_path):
    config = config_of(tmp_path, *FLAT["completion"])
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "rows.jsonl", FLAT["completion"][1])
    config["datasets"] = [{"path": str(tmp_path / "data"), "type": "completion"}]
    path = write_config(config, tmp_path, "label.yml")
    with as_if_fresh(tmp_path):
        result = CliRunner().invoke(main, ["label", "-c", str(path), "-o", str(tmp_path / "data" / "out")])
    assert result.exit_code and "lies in datasets[0].path" in " ".join(result.output.split())
    assert not (tmp_path / "data" / "out").exists()


def test_columns_of_weights_stay(tmp_path):
    """Labels with weights are those of training on the files as the command says."""
    weights = [{"text": TEXT, "w": [[0, 11, 0.3], [12, 14, -1.0]]}, {"text": f"{NAME} is here.", "w": []}]
    config = config_of(tmp_path, {"type": "completion"}, weights)
    config["slung"]["labelers"] = [*SCORED, {"type": "spans", "weights_field": "w"}]
    expected = labels(config)
    assert any(decode(label).given for row in expected for label in row if label <= FIRST_CODE)
    result = label(tmp_path, config)
    assert result.exit_code == 0 and "the labelers also find something" not in result.output
    assert "slung.labelers: [{type: spans, field: spans, weights_field: w}]" in result.output
    [file] = (tmp_path / "labeled").glob("*.jsonl*")
    again = [{"type": "spans", "field": "spans", "weights_field": "w"}]
    entry = {**config["datasets"][0], "path": str(file)}
    assert labels(config, datasets=[entry], slung={**config["slung"], "labelers": again}) == expected
