"""What `slung label` says of hostile data and of a failing disk: one line, without data and without control characters."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from axolotl_slung.cli import main

# ESC, C1 control, bell, bidi override and isolate, line breaks of three kinds, a tag character, a forged line
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u2028\x85\r\nout.jsonl:1: forged\U000e0041 Jane Roe"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("Ada\n")
    return "{type: entities, path: names.txt}"


def label(*arguments):
    return CliRunner().invoke(main, ["label", *map(str, arguments), "-j", "1"])


def lists(folder="out"):
    return [path.read_text(encoding="utf-8") for path in Path(folder, ".slung").glob("*.bad_lines.txt")]


BAR = re.compile(r"\r *\d+%\|[^\r\n]*?documents/s\]|\r *\d+%\|[^\r\n]*?\[00:00<\?\]")


def check(*texts, lines):
    for text in texts:
        text = BAR.sub("", text)
        assert not RAW.search(text)
        assert "Jane" not in text and "Elm" not in text
        assert not any(line.lstrip().startswith("out.jsonl:1: forged") for line in text.split("\n"))
    assert all(len(text.splitlines()) == lines for text in texts[1:])


@pytest.mark.parametrize(
    "row",
    [
        {HOSTILE: 1},
        {"text": 7, HOSTILE: 1},
        {"text": "Ada", HOSTILE: 1},
        {"text": "Ada", "id": HOSTILE, "marks": 7},
        {"text": "Ada", "id": HOSTILE, "marks": [["12 Elm St, Jane Roe", 3, 1]]},
        {"text": "Ada", "marks": [[0, 3, "Jane Roe"]]},
        {"text": "Ada", "marks": {HOSTILE: [[0, 9, 1]]}},
        {"text": "Ada", "marks": {HOSTILE: "Jane Roe"}},
        {"text": "Ada", "marks": "Jane Roe 12 Elm St"},
        {"text": "Ada", "marks": [[49_170_123_456_789, 3, 1]]},
        ["Jane Roe"],
        "Jane Roe",
    ],
)  # fmt: skip
def test_hostile_columns_keys_values_and_ids(names, tmp_path, row):
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"text": "Ada", "marks": []}) + "\n")
    result = label("in.jsonl", "-o", "out", "-l", "{type: spans, field: marks}")
    assert result.exit_code == 0, result.output
    assert "1 lines could not be labeled" in result.output
    assert "170123" not in result.output
    check(result.output, *lists(), lines=1)


def test_at_most_five_columns_are_named(names, tmp_path):
    row = {"text": "Ada", **{f"column {n} of Jane {'x' * 200}": n for n in range(50)}}
    good = json.dumps({"text": "Ada", "marks": []})
    (tmp_path / "in.jsonl").write_text(json.dumps(row).replace("of Jane ", "") + f"\n{good}\n")
    result = label("in.jsonl", "-o", "out", "-l", "{type: spans, field: marks}")
    (listed,) = lists()
    assert "and 46 more" in listed and len(listed) < 500
    assert result.exit_code == 0


def test_hostile_broken_json(names, tmp_path):
    raw = b'{"text": "Jane Roe \xff"}\n{"text": "Jane\x1b[2J"}\n{"text": Jane}\n{"text": NaN, "Jane": 1}\n{"text": "Ada"}\n'
    (tmp_path / "in.jsonl").write_bytes(raw)
    result = label("in.jsonl", "-o", "out", "-l", names)
    check(result.output, *lists(), lines=4)


@pytest.mark.parametrize(
    "name", ["a\x1b[2J\x9b31m.jsonl", "a\nout.jsonl:1: forged\n.jsonl", "a\u202e.jsonl", "a\udcff.jsonl"]
)
def test_hostile_file_names(names, tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text('{"text": "Ada"}\n{"no": 1}\n')
    out = "out\x1b[1m\nout.jsonl:1: forged"
    result = label("in", "-o", out, "-l", names)
    assert result.exit_code == 0, result.output
    check(result.output, *lists(out), lines=1)
    for arguments in (
        (f"in/{name}x", "-o", "out2"),
        ("in", "-o", f"in/{name}"),
        (f"in/{name}", f"in/{name}", "-o", "o"),
    ):
        result = label(*arguments, "-l", names)
        assert result.exit_code, result.output
        check(result.output, lines=0)


LABELER = """
class Odd:
    def label(self, texts, rows):
        hostile = {hostile!r}
        {body}
"""


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError(hostile + texts[0])",
        "raise KeyError(hostile)",
        "raise OSError(2, hostile, hostile)",
        "raise ImportError(hostile)",
        "raise UnicodeError(hostile)",
        "return hostile",
        "return [hostile]",
        "return [[hostile]]",
        "return [[(0, hostile, 1)]]",
        "return [[(0, 1, hostile)]]",
        "return [[(0, 99, 1, hostile)]]",
        "return {hostile: 1}",
        "open(hostile.replace(chr(0), ''))",
        "int(hostile)",
    ],
)
def test_hostile_labelers(names, tmp_path, body):
    (tmp_path / "odd.py").write_text(LABELER.format(hostile=HOSTILE, body=body))
    (tmp_path / "in.jsonl").write_text('{"text": "Jane Roe, 12 Elm St"}\n')
    result = label("in.jsonl", "-o", "out", "-l", "{type: custom, class_path: 'odd.py:Odd'}")
    assert result.exit_code == 1
    check(result.output, *lists(), lines=1)


def test_a_hostile_name_of_a_labeler_is_not_written(names, tmp_path):
    (tmp_path / "odd.py").write_text(LABELER.format(hostile=HOSTILE, body="return [[(0, 1, 1, hostile)]]"))
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    result = label("in.jsonl", "-o", "out", "-l", "{type: custom, class_path: 'odd.py:Odd'}")
    assert result.exit_code == 1 and "its name: expected only letters, digits and _ . -" in result.output
    check(result.output, *lists(), lines=1)


# ---- the operating system


def one_line(result, *pieces, status=1):
    assert result.exit_code == status, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "Traceback" not in result.output
    for piece in pieces:
        assert piece in errors[0]
    assert "; " in errors[0]


def test_the_output_is_a_file(names, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    (tmp_path / "out").write_text("mine")
    one_line(label("in.jsonl", "-o", "out", "-l", names), "out")
    one_line(label("in.jsonl", "-o", "out/deeper", "-l", names), "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_disk_is_full(names, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n' * 100_000)
    program = (
        "import resource, sys; from axolotl_slung.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"main(['label', 'in.jsonl', '-o', 'out', '-j', '1', '-l', {names!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: out/in.jsonl: File too large; ")
    # the same command goes on when there is space again
    result = label("in.jsonl", "-o", "out", "-l", names)
    assert result.exit_code == 0
    assert len((tmp_path / "out" / "in.jsonl").read_bytes().splitlines()) == 100_000


def test_no_space_left(names, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "in.jsonl.part").symlink_to("/dev/full")
    one_line(label("in.jsonl", "-o", "out", "-l", names), "out/in.jsonl", "; ")


def test_a_name_that_is_too_long(names, tmp_path):
    name = "a" * 245 + ".jsonl"
    (tmp_path / name).write_text('{"text": "Ada"}\n')
    one_line(label(name, "-o", "out", "-l", names), "rename it")


def test_an_input_that_cannot_be_read(names, tmp_path):
    (tmp_path / "in.jsonl").symlink_to("/proc/self/mem")
    one_line(label("in.jsonl", "-o", "out", "-l", names), "Error: in.jsonl: Input/output error; check the disk")


def test_an_input_that_vanishes(names, tmp_path, monkeypatch):
    from axolotl_slung.corpus import job

    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    # after it was found, while the labelers open
    monkeypatch.setattr(job, "build", lambda *_, **__: (tmp_path / "in.jsonl").unlink() or [])
    result = label("in.jsonl", "-o", "out", "-l", names)
    assert "Traceback" not in result.output
    assert "in.jsonl: No such file or directory; check the path" in result.output


def test_a_damaged_journal(names, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    assert label("in.jsonl", "-o", "out", "-l", names).exit_code == 0
    (tmp_path / "out" / ".slung" / "in.jsonl.journal").write_text("Jane\n")
    one_line(label("in.jsonl", "-o", "out", "-l", names), "in.jsonl.journal: damaged; delete it")


@pytest.mark.parametrize("form", ["spans", "dolma"])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_nobody_reads_more_than_the_input(names, tmp_path, mode, form):
    (tmp_path / "in.jsonl").write_text('{"text": "Ada", "id": 1}\n{"no": 1}\n')
    (tmp_path / "in.jsonl").chmod(mode)
    before = os.umask(0)
    try:
        result = label("in.jsonl", "-o", "out", "-l", names, "--form", form)
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.output
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    records = {"job.json", "cuts.yml"}
    assert {path.name for path in written} - records == {"in.jsonl", "in.jsonl.journal", "in.jsonl.bad_lines.txt"}
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.name in records else mode | 0o600)
