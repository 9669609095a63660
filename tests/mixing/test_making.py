"""Same bytes after kills and with several processes, other formats and sources, and mixes that do not match."""

import fcntl
import json
import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.mixed import (
    base_rows,
    corpora,
    few,
    files_of,
    killed,
    made_in,
    read_few,
    risky_rows,
    rows_of,
    run_mix,
    settings,
)
from helpers.tiny import put, write_jsonl
from pyarrow import parquet

from axolotl_slung.mixing.make import make
from axolotl_slung.mixing.scan import Scan


def test_killed_at_random_moments(small):
    whole = small / "whole"
    moments = killed(lambda *_: False, lambda: made_in(small, whole))
    assert moments > 50
    expected, draw = files_of(whole), random.Random(1)
    assert len(expected) > 6
    out = small / "out"
    for kill in range(10):
        moment = draw.randint(1, moments // 4)
        left = killed(lambda number, _: number == moment, lambda: made_in(small, out))
        if left < 0:
            # what looks whole is whole
            assert not (out / "manifest.json").exists()
            assert files_of(out).items() <= expected.items()
        if left >= 0 or kill == 9:
            made_in(small, out)
            assert files_of(out) == expected
            out = small / f"out{kill}"


def test_killed_between_rounds_of_the_base(small, monkeypatch):
    """Identical texts are held out together, so that the tokens that seem enough are not, several times."""
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 1_500)
    rows = base_rows(40, "copies")
    for name, first in (("a", 0), ("b", 7)):
        write_jsonl(small / "copies" / f"{name}.jsonl", [rows[(n // 12 + first) % 40] for n in range(2_000)])
    given = {"base": [{"path": str(small / "copies")}], "heldout": {"base": 1_000, "risky": 100}}
    noted, note = [], Scan.note

    def build(output, last=None):
        noted.clear()
        made_in(small, output, **given)

    def noting(self, following):
        noted.append(following)
        if len(noted) == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        note(self, following)

    kill = None
    monkeypatch.setattr(Scan, "note", noting)
    build(small / "whole")
    count = len(noted)
    assert count > 10
    for number in range(count - 3, count + 1):
        out = small / f"out{number}"
        kill = number
        assert killed(lambda *_: False, lambda: build(out)) == -1
        kill = None
        build(out)
        assert files_of(out) == files_of(small / "whole")


@pytest.mark.parametrize("last", ["out/seed-3", "out/manifest.json"])
def test_killed_at_the_end(small, last):
    made_in(small, small / "whole")
    assert killed(lambda _, path: path.endswith(last), lambda: made_in(small, small / "out")) == -1
    made_in(small, small / "out")
    assert files_of(small / "out") == files_of(small / "whole")
    assert not made_in(small, small / "out")
    assert not (small / "out" / ".slung" / "work").exists()


def test_the_number_of_processes_does_not_show(small):
    made_in(small, small / "one")
    made_in(small, small / "three", workers=3)
    assert files_of(small / "three") == files_of(small / "one")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_formats_hold_the_same_rows(made, form):
    assert run_mix(settings(made, format=form), made / form).exit_code == 0
    for name in ("seed-7/large", "heldout/base"):
        expected = made / "mix" / name
        expected = rows_of(expected if expected.is_dir() else expected.with_suffix(".jsonl.zst"))
        if form == "jsonl":
            found = made / form / name
            assert rows_of(found if found.is_dir() else found.with_suffix(".jsonl")) == expected
        else:
            found = made / form / name
            paths = sorted(found.iterdir()) if found.is_dir() else [found.with_suffix(".parquet")]
            assert [row for path in paths for row in parquet.read_table(path).to_pylist()] == expected


def test_verifying(made):
    result = run_mix(few(made), made / "verified")
    assert result.exit_code == 0
    again = run_mix(few(made), made / "verified", "--verify")
    assert again.exit_code == 0 and "equal to it" in again.output
    assert not (made / "verified" / ".slung" / "verify").exists()
    assert "nothing to do" in run_mix(few(made), made / "verified").output

    changed = run_mix(few(made, tokens=13_000, seeds=[4]), made / "verified", "--verify")
    assert changed.exit_code == 1
    assert "tokens: is not what the mix was built with" in changed.output and "seeds: is not" in changed.output
    path = made / "verified" / "seed-3" / "a" / "part-00000.jsonl.zst"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (path.parent / "part-00001.jsonl.zst").write_bytes(b"")
    told = run_mix(few(made), made / "verified", "--verify").output
    assert "seed-3/a/part-00000.jsonl.zst: is not the file of the manifest" in told
    assert "seed-3/a/part-00001.jsonl.zst: is not in the manifest" in told
    path.unlink()
    (path.parent / "part-00001.jsonl.zst").unlink()
    assert "part-00000.jsonl.zst: is not there" in run_mix(few(made), made / "verified", "--verify").output
    path.write_bytes(content)

    # a manifest that says other counts than the sources give
    manifest = json.loads((made / "verified" / "manifest.json").read_text())
    manifest["streams"][0]["tokens"]["risky"] += 1
    manifest["streams"][1]["files"][0]["rows_sha256"] = "0" * 64
    (made / "verified" / "manifest.json").write_text(json.dumps(manifest))
    told = run_mix(few(made), made / "verified", "--verify")
    assert told.exit_code == 1 and "streams: other counts of documents or tokens" in told.output
    assert "seed-3/b/part-00000.jsonl.zst: the sources give other rows" in told.output


def test_a_source_that_changed(small):
    made_in(small, small / "out")
    write_jsonl(small / "risky.jsonl", risky_rows(401))
    assert "is from other sources, or these have changed since" in run_mix(few(small), small / "out").output
    told = run_mix(few(small), small / "out", "--verify")
    assert told.exit_code == 1
    assert "risky[0]: risky.jsonl: is not the file that the mix was built from" in told.output


def test_a_folder_of_something_else(small):
    made_in(small, small / "out")
    for changed, says in (
        (few(small, seeds=[4]), "is from other settings (seeds)"),
        (few(small, tokens=12_001), "is from other settings (tokens)"),
    ):
        result = run_mix(changed, small / "out")
        assert result.exit_code == 1 and says in result.output
    put(small / "other" / "notes.txt", b"mine")
    result = run_mix(few(small), small / "other")
    assert "has other files; choose a folder that is empty" in result.output
    assert [path.name for path in (small / "other").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', "", "\ufffd" * 9])
def test_a_damaged_state_is_said(made, tmp_path, content):
    put(tmp_path / "out" / ".slung" / "mix.json", content.encode("utf-16"))
    result = run_mix(few(made), tmp_path / "out")
    assert result.exit_code == 1 and "its .slung/mix.json is damaged; choose another folder" in result.output


def test_the_state_of_another_command_stays(made, tmp_path):
    put(tmp_path / "out" / ".slung" / "manifest.json", b"{}")
    assert "has other files; choose a folder" in run_mix(few(made), tmp_path / "out").output
    assert [path.name for path in (tmp_path / "out" / ".slung").iterdir()] == ["manifest.json"]


def test_a_mix_without_some_of_its_files_is_not_complete(small):
    made_in(small, small / "out")
    whole, path = files_of(small / "out"), small / "out" / "seed-3" / "a" / "part-00000.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-1])
    assert (
        "part-00000.jsonl.zst: has another size than in the manifest; delete"
        in run_mix(few(small), small / "out").output
    )
    path.unlink()
    assert "seed-3/a/part-00000.jsonl.zst: is not there; delete the folder" in run_mix(few(small), small / "out").output
    # without its manifest it is built again, in place of what is there
    (small / "out" / "manifest.json").unlink()
    assert made_in(small, small / "out")
    assert files_of(small / "out") == whole


def test_a_second_run_waits_for_its_turn(small):
    put(small / "out" / ".slung" / "lock", b"")
    with open(small / "out" / ".slung" / "lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for arguments in ((), ("--verify",)):
            result = run_mix(few(small), small / "out", *arguments)
            said = "another run is writing to this folder; wait" if not arguments else "is not a complete mix"
            assert result.exit_code in (1, 2) and said in result.output
    assert made_in(small, small / "out")


@pytest.mark.parametrize("change", [{"streams": [1]}, {"sources": {"base": 1}}, {"settings": 1}, {"criteria": {}}])
def test_a_manifest_of_another_form_is_no_manifest(small, change):
    made_in(small, small / "out")
    path = small / "out" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for arguments in ((), ("--verify",)):
        result = run_mix(few(small), small / "out", *arguments)
        assert result.exit_code in (1, 2) and "manifest.json: is not what slung mix writes; build" in result.output


# ---- sources


def dolma(folder: Path, rows: list[dict], shift: int = 0) -> dict:
    """A Dolma folder with the rows' scores, and its entry in the YAML."""
    write_jsonl(folder / "documents" / "a" / "0.json", [{"id": row["id"], "text": row["text"]} for row in rows])
    moved = rows[shift:] + rows[:shift]
    sentences = [
        {"id": row["id"], "attributes": {"exp__toxic_sentence_v2____label__toxic": row["spans"]}} for row in moved
    ]
    whole = [
        {"id": row["id"], "attributes": {
            "exp__toxic_document_v2____label__toxic": [[0, len(row["text"]), row["toxic"]]],
            "exp__lang__en": [[0, len(row["text"]), row["english"]]], "exp__lang__de": [[0, 1, 0.1]],
        }} for row in rows
    ]  # fmt: skip
    write_jsonl(folder / "attributes" / "one" / "a" / "0.json", sentences)
    write_jsonl(folder / "attributes" / "two" / "a" / "0.json", whole)
    keys = {"score": "toxic_sentence_v2", "document": "toxic_document_v2", "language": "exp__lang__en"}
    return {"path": str(folder), "attributes": keys}


def test_dolma_attributes_give_what_columns_give(made):
    entry = dolma(made / "dolma", risky_rows(1200))
    assert run_mix(settings(made, risky=[entry]), made / "of_dolma").exit_code == 0
    assert rows_of(made / "of_dolma" / "seed-0" / "large") == rows_of(made / "mix" / "seed-0" / "large")


def test_attributes_in_another_order(tmp_path):
    corpora(tmp_path, 400)
    result = run_mix(few(tmp_path, risky=[dolma(tmp_path / "dolma", risky_rows(400), shift=1)]), tmp_path / "out")
    assert result.exit_code == 2
    assert "its line of attributes has another id: the files do not have the same order" in result.output


def test_a_hub_data_set_is_read_as_a_stream_until_there_is_enough(small, monkeypatch):
    """By `datasets`, to which a folder is as good as a hub's id."""
    monkeypatch.setattr("axolotl_slung.corpus.tables._HUB_ROWS", 7)
    write_jsonl(small / "hub" / "train.jsonl", base_rows(900, "hub"))
    output = small / "out"
    mix, inputs, tokenizer = read_few(small, output, base=[{"path": "somebody/corpus"}])
    inputs = [
        replace(one, source=replace(one.source, path=str(small / "hub"))) if one.role == "base" else one
        for one in inputs
    ]
    assert [one.source.kind for one in inputs] == ["json", "hub"]
    make(mix, inputs, tokenizer, output, 1, lambda *_: None)
    (file,) = json.loads((output / "manifest.json").read_text())["sources"]["base"][0]["files"]
    assert not file["whole"] and 100 < file["lines"] < 500
    assert {row["id"].partition("-")[0] for row in rows_of(output / "seed-3" / "a") if row["source"] == "base"} == {
        "hub"
    }


def test_patterns_and_parquet(made):
    import pyarrow

    rows = [{**row, "spans": json.dumps({"toxic": row["spans"]})} for row in risky_rows(1200)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), made / "risky.parquet")
    entry = {**settings(made)["risky"][0], "path": str(made / "*.parquet")}
    assert run_mix(settings(made, risky=[entry]), made / "of_parquet").exit_code == 0
    found, expected = (rows_of(made / name / "seed-0" / "large") for name in ("of_parquet", "mix"))
    # spans keep the name of their labeler
    named = [row if row["spans"] == "[]" else {**row, "spans": f'{{"toxic":{row["spans"]}}}'} for row in expected]
    assert found == named


def test_recorded_cuts_go_with_the_mix(made):
    rows = [{**row, "spans": {"toxic": row["spans"]}} for row in risky_rows(1200)]
    write_jsonl(made / "labeled" / "risky.jsonl", rows)
    put(made / "labeled" / ".slung" / "cuts.yml", b"toxic: any\n")
    entry = {**settings(made)["risky"][0], "path": str(made / "labeled")}
    assert run_mix(few(made, risky=[entry]), made / "of_labeled").exit_code == 0
    assert (made / "of_labeled" / ".slung" / "cuts.yml").read_text() == "toxic: any\n"
    manifest = json.loads((made / "of_labeled" / "manifest.json").read_text())
    # whatever it found is risky
    assert manifest["streams"][0]["risky_tokens"] == {
        "safe": 0,
        "doubtful": 0,
        "risky": manifest["streams"][0]["tokens"]["risky"],
    }
