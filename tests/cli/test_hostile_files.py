"""Commands that read files of others: no byte of data reaches the terminal raw, and none is quoted."""

import json
import re

import pytest
from click.testing import CliRunner
from helpers.tiny import tiny_model

from axolotl_slung.cli import main

HOSTILE = "\x1b[2J\x9b31m\u202e\u2028\x85\r\nError: forged"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

ROWS = [
    {HOSTILE: 1},
    {"text": 7, "spans": "{}", HOSTILE: 2},
    {"text": "Ada", "spans": "Jane Roe"},
    {"text": "Ada", "spans": [["Jane Roe", 3, 1]], "id": HOSTILE + "Jane"},
    {"text": "Ada", "spans": {HOSTILE: [[0, 99, 1]]}},
    {"text": "Ada", "spans": {HOSTILE: 5}},
    ["Jane Roe"],
]
LINES = [json.dumps(row) for row in ROWS] + ["{Jane Roe", '{"text": "Jane \x1b[2J"}', "\udcff"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("command", ["qa", "sweep", "inspect"])
@pytest.mark.parametrize("line", LINES)
def test_rows_that_cannot_be_read(tmp_path, monkeypatch, model, command, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(line.encode("utf-8", "surrogateescape") + b"\n")
    arguments = {
        "qa": ["in.jsonl", "--gold", "spans", "-l", "{type: entities, names: [Ada]}"],
        "sweep": ["in.jsonl", "--tokenizer", str(model)],
        "inspect": ["in.jsonl", "--tokenizer", str(model), "--terminal"],
    }[command]
    result = CliRunner().invoke(main, [command, *arguments])
    assert result.exit_code == 1, result.output
    said = [line for line in result.output.splitlines() if line]
    assert not RAW.search(result.output) and "Jane" not in result.output and "Traceback" not in result.output
    assert sum(line.startswith("Error: ") for line in said) == 1
    assert "in.jsonl, line 1" in said[-1]
