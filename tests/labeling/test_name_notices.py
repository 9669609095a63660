"""What is said about odd lists of names before labeling starts, without their names."""

import pytest

from axolotl_slung.labeling import EntitiesLabeler

KEY = "slung.labelers[0]"


def said(tmp_path, caplog, lines, **options):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    caplog.clear()
    EntitiesLabeler(KEY, path=str(path), **options).check()
    assert all(record.getMessage().startswith(f"{KEY}.path: {path}: names ") for record in caplog.records)
    return [record.getMessage().partition(f"{path}: ")[2] for record in caplog.records]


@pytest.mark.parametrize(
    ("lines", "notice"),
    [
        (["Zoë Quill", "The", "I will", "Hope"], "ordinary words, which are found in any text: 2 of 4 (lines 2, 4)"),
        (["MAY", "# a comment", "may be", "will"], "ordinary words, which are found in any text: 2 of 3 (lines 1, 4)"),
        (["1,Zoë Quill,Oslo", "2,Bo Li,Rome"], "a row of a table or like several names: 2 of 2 (lines 1, 2)"),
        (["Zoë Quill, Bo Li"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (["Zoë Quill; Bo Li; Cy"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (["Zoë\tQuill"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (["Zoë Quill | Oslo"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (['{"name": "Zoë Quill"}', '["Bo Li"]'], "a row of a table or like several names: 2 of 2 (lines 1, 2)"),
        (["Zoë,Bo"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (["x" * 1000, "x 1. " * 200], "a row of a table or like several names: 2 of 2 (lines 1, 2)"),
        (["Zoë Quill,"], "a row of a table or like several names: 1 of 1 (line 1)"),
        (['"Zoë Quill"', "- Bo Li", "3. Cy Oz", "“Ann Ox”"], "quotation marks or behind list marks: 4 of 4 (lines 1, 2, 3, 4)"),
        (["X", "王", "Zoë Quill"], "a single letter, which is found wherever it stands by itself: 2 of 3 (lines 1, 2)"),
        (["---", "Zoë Quill"], "without a letter or digit, which are skipped: 1 of 2 (line 1)"),
        (["Zoë Quill", "Bo Li", "Zoe\u0308  Quill", "ＢＯ Li"], "listed before, perhaps in another spelling: 1 of 4 (line 3)"),
        (["Zoë Quill"] * 9, "listed before, perhaps in another spelling: 8 of 9 (lines 2, 3, 4, 5, 6, ...)"),
    ],
)  # fmt: skip
def test_one_notice_for_each_kind(tmp_path, caplog, lines, notice):
    found = said(tmp_path, caplog, lines)
    assert any(notice in one for one in found), found
    assert not any(name in "".join(found) for name in ("Quill", "Li;", "Oslo", "Hope"))


def test_parts_that_are_words(tmp_path, caplog):
    names = ["Will Young", "An Lee", "Zoë Quill", "Ludwig van Beethoven"]
    (notice,) = said(tmp_path, caplog, names, parts=True)
    assert "a part that is an ordinary word" in notice and "2 of 4 (lines 1, 2)" in notice
    assert said(tmp_path, caplog, names) == []


@pytest.mark.parametrize(
    "name",
    [
        "Zoë Quill",
        "O'Brien",
        "J. R. R. Tolkien",
        "Sammy Davis, Jr.",
        "Hernández, María José",
        "Jean-Luc",
        "田中",
        "Acme™",
        "3M",
        "AC/DC",
    ],
)
def test_nothing_is_said_of_ordinary_names(tmp_path, caplog, name):
    assert said(tmp_path, caplog, [name, "Bo Li", ""], parts=True) == []


def test_through_slung_label(tmp_path):
    """The notices stand in the terminal before anything is labeled."""
    import subprocess
    import sys

    (tmp_path / "names.txt").write_text("Zoë Quill\nThe\n", encoding="utf-8")
    (tmp_path / "in.jsonl").write_text('{"text": "Zoë Quill"}\n', encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "axolotl_slung.cli",
        "label",
        "in.jsonl",
        "-o",
        "out",
        "-l",
        "{type: entities, path: names.txt}",
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "slung.labelers[0].path: names.txt: names that are ordinary words" in run.stderr
    assert "Quill" not in run.stderr + run.stdout
