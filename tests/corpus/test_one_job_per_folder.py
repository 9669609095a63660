"""What a job may write into a folder, and when an earlier job is resumed."""

import json
import os
import shutil
import subprocess
import sys

from helpers.tiny import put

PATTERNS = "word: '[a-z]+'"
LINES = b"".join(json.dumps({"text": f"ab {n}"}).encode() + b"\n" for n in range(50))


def test_another_job_does_not_write_into_the_folder(tmp_path, label, labeler):
    put(tmp_path / "in" / "a.jsonl", LINES)
    put(tmp_path / "b" / "b.jsonl", LINES)
    assert label(tmp_path / "in").exit_code == 0
    assert label(tmp_path / "b").exit_code == 0  # the same job, more files
    (tmp_path / "patterns.yml").write_text("word: '[A-Z]+'")
    put(tmp_path / "b" / "c.jsonl", LINES)
    before = sorted(tmp_path.rglob("*"))
    result = label(tmp_path / "b")
    assert result.exit_code == 1 and "was labeled with other settings, files or versions of patterns" in result.output
    (tmp_path / "patterns.yml").write_text(PATTERNS)
    result = label(tmp_path / "b", "-l", labeler)
    assert result.exit_code == 1 and "was labeled with other labelers (patterns)" in result.output
    result = label(tmp_path / "b", "--spans-field", "marks")
    assert result.exit_code == 1 and "was labeled with other --...-field options" in result.output
    assert sorted(tmp_path.rglob("*")) == before
    assert label(tmp_path / "b").exit_code == 0 and (tmp_path / "out" / "c.jsonl").exists()


def test_all_outputs_are_checked_before_the_first_chunk(tmp_path, label):
    for name in ("a.jsonl", "b.jsonl"):
        put(tmp_path / "in" / name, LINES)
    put(tmp_path / "out" / "b.jsonl", b"mine")
    result = label(tmp_path / "in")
    assert result.exit_code == 1 and "b.jsonl: exists, but not from this command" in result.output
    assert not (tmp_path / "out" / "a.jsonl").exists()
    put(tmp_path / "long" / f"{'x' * 240}.jsonl", LINES)
    assert "its name is too long for " in label(tmp_path / "long", out="other").output


def test_an_input_that_may_have_changed_is_not_resumed(tmp_path, label):
    path = put(tmp_path / "a.jsonl", LINES)
    assert label(path).exit_code == 0
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    result = label(path)
    assert result.exit_code == 1 and "may have changed since: its modification time has" in result.output
    command = result.output.split("`")[1].replace("FILE", str(path))
    subprocess.run(command, shell=True, check=True)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert label(path).exit_code == 0


def test_a_run_with_nothing_to_do_says_so_and_opens_no_labeler(tmp_path, label, monkeypatch):
    path = put(tmp_path / "a.jsonl", LINES)
    assert "50 documents labeled into" in label(path).output

    def fail(block):
        raise AssertionError("the labelers are opened")

    with monkeypatch.context() as patch:
        patch.setattr("axolotl_slung.corpus.job.build", fail)
        result = label(path)
        assert result.exit_code == 0, result.output
        assert "nothing to do: " in result.output and "the labels of all 1 sources (50 documents)" in result.output
    shutil.copy(path, tmp_path / "b.jsonl")
    assert "100 documents labeled" in label(path, tmp_path / "b.jsonl").output
    (tmp_path / "patterns.yml").write_text("word: '[A-Z]+'")  # what decides the labels has changed
    assert "was labeled with other settings" in label(path).output


SCRIPT = """
from pathlib import Path
from axolotl_slung.config import SlungConfig
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job
from axolotl_slung.corpus.run import label_sources
block = SlungConfig(labelers=[{"type": "patterns", "path": "patterns.yml"}])
label_sources(find_sources(["a.jsonl"]), Path("out"), Job(block), workers=2)
"""


def test_a_script_without_a_guard_is_told_so(tmp_path):
    put(tmp_path / "a.jsonl", LINES)
    (tmp_path / "patterns.yml").write_text(PATTERNS)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "if this is a script, call label_sources below `if __name__ == '__main__':`" in last
    assert "label_sources: called by a worker process while it starts" in done.stderr
