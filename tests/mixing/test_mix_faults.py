"""What is wrong with a mix is said before anything long starts, and quotes no data."""

import json

import pyarrow
import pytest
from helpers.mixed import CRITERIA, base_rows, corpora, risky_rows, rows_of, run_mix, settings
from helpers.tiny import put, write_jsonl
from pyarrow import parquet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    corpora(folder)
    write_jsonl(folder / "bare.jsonl", [{"id": 1, "text": "She is a secret."}] * 30)
    write_jsonl(folder / "numbers.jsonl", [{"id": 1, "text": 5, "spans": []}] * 30)
    write_jsonl(folder / "outside.jsonl", [{"text": "secret", "spans": [[0, 99, 0.5]], "toxic": 1, "english": 1}] * 30)
    put(folder / "damaged.jsonl.gz", b"no gzip")
    texts = pyarrow.array([b"secret"] * 30)
    parquet.write_table(pyarrow.table({"text": texts}), folder / "bytes.parquet")
    parquet.write_table(pyarrow.Table.from_arrays([texts, texts], names=["text", "text"]), folder / "twice.parquet")
    (folder / "empty").mkdir()
    (folder / "dolma" / "attributes" / "x").mkdir(parents=True)
    write_jsonl(folder / "dolma" / "documents" / "0.json", [{"id": "1", "text": "a"}])
    write_jsonl(
        folder / "dolma" / "attributes" / "x" / "0.json", [{"id": "1", "attributes": {"e__a__t": [], "e__b__t": []}}]
    )
    return folder


def risky(folder, path, **keys):
    return {"risky": [{"path": str(folder / path), "document_field": "toxic", "language_field": "english", **keys}]}


FAULTS = {
    # the YAML
    "budget: unknown key": {"budget": {"a": 5}},
    "tokens: missing": {"tokens": None},
    "tokens: 0: expected": {"tokens": 0},
    "budgets: large: is larger than `tokens` (30000)": {"budgets": {"large": 30_001}},
    "budgets: 500 is there twice": {"budgets": {"a": 500, "b": 500}},
    "budgets: a name is a number; write {20M: 20_000_000}": {"budgets": {20: 500}},
    "budgets: ../up: expected up to 60 letters": {"budgets": {"../up": 500}},
    "budgets: -x: expected up to 60 letters": {"budgets": {"-x": 500}},
    "…: expected up to 60 letters": {"budgets": {"a" * 300: 500}},
    "budgets: a: is there twice, in capitals and small letters": {"budgets": {"a": 500, "A": 600}},
    "tokens: 4e9: expected a whole number; did you mean 4_000_000_000?": {"tokens": "4e9"},
    "seeds: 9223372036854775808: expected a whole number from 0 to 9223372036854775807": {"seeds": [2**63]},
    "criteria: a list: expected `paper` or a mapping": {"criteria": ["paper"]},
    "criteria.min_highest: 1.5: expected a number at most 1": {"criteria": {"min_highest": 1.5}},
    "budgets: a: -1: expected a number at least 0": {"budgets": {"a": -1}},
    "seeds: 3 is there twice": {"seeds": [3, 3]},
    "seeds: -1: expected a whole number from 0 to": {"seeds": [-1]},
    "criteria: papers: expected `paper` or a mapping; did you mean 'paper'?": {"criteria": "papers"},
    "min_score: unknown key": {"criteria": {"min_score": 0.5}},
    "criteria: min_characters is larger than max_characters": {"criteria": {"min_characters": 9, "max_characters": 8}},
    "format: ": {"format": "csv"},
    "tokenizer: 'nowhere': no tokenizer in this folder or on the hub": {"tokenizer": "nowhere"},
    # sources
    "base[0].path: nothing.jsonl: no such file or folder": {"base": [{"path": "nothing.jsonl"}]},
    "base[0].path: no*.jsonl: no file has such a name": {"base": [{"path": "no*.jsonl"}]},
    "no files in this folder end in": lambda folder: {"base": [{"path": str(folder / "empty")}]},
    "is also in risky[0]; name each file once": lambda folder: {"base": [{"path": str(folder / "risky.jsonl")}]},
    "but its content is not gzip": lambda folder: {"base": [{"path": str(folder / "damaged.jsonl.gz")}]},
    "no column 'content'; it has id, text": lambda folder: {"base": [{"path": str(folder / "bare.jsonl"), "text_field": "content"}]},
    "no column 'spans'; it has id, text; run slung label": lambda folder: risky(folder, "bare.jsonl"),
    "'text': expected a string, got a number": lambda folder: risky(folder, "numbers.jsonl"),
    "[0, 99) is empty or outside the text": lambda folder: risky(folder, "outside.jsonl"),
    "no column 'rating'": lambda folder: risky(folder, "risky.jsonl", document_field="rating"),
    "risky[0].document_field: not set, but criteria.min_document needs it": lambda folder: risky(
        folder, "risky.jsonl", document_field=None
    ),
    "risky[0].attributes.language: not set, but criteria.min_language needs it": lambda folder: {
        "criteria": "paper", "risky": [{"path": str(folder / "dolma"), "attributes": {"score": "e__a__t", "document": "b"}}],
    },
    "risky[0].spans_field: does nothing beside `attributes`": lambda folder: {
        "risky": [{"path": str(folder / "dolma"), "attributes": {"score": "a"}, "spans_field": "x"}],
    },
    "has no folder `documents`": lambda folder: {
        "criteria": {}, "risky": [{"path": str(folder / "base"), "attributes": {"score": "a"}}],
    },
    "attributes: t: ": lambda folder: {
        "criteria": {}, "risky": [{"path": str(folder / "dolma"), "attributes": {"score": "t"}}],
    },
    "matches several attributes: e__a__t, e__b__t": lambda folder: {
        "criteria": {}, "risky": [{"path": str(folder / "dolma"), "attributes": {"score": "e"}}],
    },
    "base[0].text_field: 'text': expected a string in": lambda folder: {"base": [{"path": str(folder / "bytes.parquet")}]},
    "'text' is there 2 times; rename them": lambda folder: {"base": [{"path": str(folder / "twice.parquet")}]},
    "base[0].path: somebody/nothing: cannot open this data set": {"base": [{"path": "somebody/nothing"}]},
    "check its id, subset and split": {"base": [{"path": "somebody/nothing"}]},
    # more than the data
    "budgets.large and heldout.risky: 900,500 tokens, but the files of `risky` have only": {"tokens": 10**6, "budgets": {"large": 900_000}},
    "tokens and heldout.base: 9,002,000 tokens, but the files of `base` have only": {"tokens": 9_000_000},
}  # fmt: skip


@pytest.mark.parametrize("says", FAULTS)
def test_faults_that_are_found_at_once(folder, tmp_path, monkeypatch, says):
    monkeypatch.chdir(tmp_path)
    changes = FAULTS[says](folder) if callable(FAULTS[says]) else FAULTS[says]
    given = {key: value for key, value in settings(folder, **changes).items() if value is not None}
    given["risky"] = [{k: v for k, v in one.items() if v is not None} for one in given["risky"]]
    result = run_mix(given, tmp_path / "out")
    assert (result.exit_code, says in result.output) == (2, True), result.output
    assert "Error: ." not in result.output and "literal[" not in result.output
    assert "secret" not in result.output and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "says, changes",
    [
        ("criteria: none of 1,200 risky documents meets them; left out by min_language", {"criteria": {"min_language": 1.0}}),
        ("budgets.large: 20,000: the risky documents that are not held out and meet the criteria have", {"budgets": {"large": 20_000}}),
        ("heldout.risky: 15,000: the risky documents", {"heldout": {"risky": 15_000}}),
        ("tokens: 62,000: the base documents that are not held out have", {"tokens": 62_000}),
        ("budgets.a: 11: no choice of risky documents has as many tokens within 0.1 %", {"budgets": {"a": 11}}),
    ],
)  # fmt: skip
def test_faults_that_the_documents_show(folder, tmp_path, says, changes):
    result = run_mix(settings(folder, **changes), tmp_path / "out")
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert not (tmp_path / "out" / "manifest.json").exists() and not list((tmp_path / "out").glob("seed-*"))


def test_lines_that_are_no_documents_are_listed_and_left_out(folder, tmp_path):
    lines = [json.dumps(row) for row in base_rows(600, "three")]
    lines[3], lines[4], lines[5] = "{secret", '{"text": 7}', "  "
    put(tmp_path / "base.jsonl", "\n".join(lines).encode())
    rows = risky_rows(1200)
    rows[9]["english"] = "secret"
    rows[10]["toxic"] = 10**400  # JSON has integers of any size
    rows[11]["spans"] = [[0, 10**400, 1.0]]
    write_jsonl(tmp_path / "risky.jsonl", rows)
    given = settings(folder, **risky(tmp_path, "risky.jsonl"), base=[{"path": str(tmp_path / "base.jsonl")}])
    result = run_mix(given, tmp_path / "out")
    assert result.exit_code == 0 and "5 lines are not documents" in result.output
    listed = (tmp_path / "out" / ".slung" / "bad_lines.txt").read_text()
    assert [line.removeprefix(str(tmp_path)).partition(":")[2].partition(":")[0] for line in listed.splitlines()] == [
        "10",
        "11",
        "12",
        "4",
        "5",
    ]
    assert "'english': expected a number, got a string" in listed and "secret" not in listed + result.output


def test_a_base_document_with_a_risky_text_is_left_out(folder, tmp_path):
    """Its text would be trained without its spans."""
    write_jsonl(tmp_path / "base.jsonl", base_rows(600, "three") + [{"text": row["text"]} for row in risky_rows(1200)])
    given = settings(folder, base=[{"path": str(tmp_path / "base.jsonl")}], criteria={**CRITERIA, "min_sentences": 1})
    result = run_mix(given, tmp_path / "out")
    assert "base documents have the text of a risky document and were left out" in result.output
    for row in rows_of(tmp_path / "out" / "seed-0" / "large"):
        assert (row["source"] == "risky") == ("fool number" in row["text"]) or row["spans"] == "[]"
    chosen = json.loads((tmp_path / "out" / "manifest.json").read_text())["criteria"]["chosen"]
    assert sum(file["also_risky"] for file in _base_files(tmp_path)) == chosen


def _base_files(folder):
    return json.loads((folder / "out" / "manifest.json").read_text())["sources"]["base"][0]["files"]


def test_who_may_not_read_an_input_may_not_read_the_mix(folder, tmp_path):
    write_jsonl(tmp_path / "risky.jsonl", risky_rows(1200))
    (tmp_path / "risky.jsonl").chmod(0o600)
    assert run_mix(settings(folder, **risky(tmp_path, "risky.jsonl")), tmp_path / "out").exit_code == 0
    data = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".zst", ".txt")]
    assert data and all(path.stat().st_mode & 0o077 == 0 for path in data)
