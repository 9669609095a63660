"""What a labeler says of a row leaves out that row; what it says of a batch stops the job."""

import json
import sys

import pytest
import yaml
from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.corpus.sources import Source
from axolotl_slung.labeling.entities import EntitiesLabeler


def lines(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def label(tmp_path, monkeypatch):
    """`slung label in -o out` for rows and labelers, with a few rows to a chunk."""
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 600)
    monkeypatch.chdir(tmp_path)

    def run(rows, *labelers, workers=1):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "a.jsonl").write_text(lines(rows), encoding="utf-8")
        given = [part for labeler in labelers for part in ("-l", yaml.safe_dump(labeler, default_flow_style=True))]
        result = CliRunner().invoke(main, ["label", "in", "-o", "out", "-j", str(workers), *given])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        out, bad = tmp_path / "out" / "a.jsonl", tmp_path / "out" / ".slung" / "a.jsonl.bad_lines.txt"
        written = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else None
        return result, written, bad.read_text().splitlines() if bad.exists() else []

    return run


def custom(tmp_path, body: str):
    """A class of the user's whose `label(texts, rows)` has this body."""
    (tmp_path / "own.py").write_text(
        "from axolotl_slung.labeling import RowError\n\nclass Own:\n    def label(self, texts, rows):\n        "
        + body.replace("\n", "\n        ")
        + "\n"
    )
    return {"type": "custom", "class_path": "own.py:Own"}


def test_another_data_set_with_like_ids_is_refused(tmp_path, label):
    """The order check of `dolma` sees the batch, even if half of its lines would not fit their texts."""
    (tmp_path / "attributes.jsonl").write_text(
        lines({"id": n, "attributes": {"x": [[0, 4, 0.9]] if n % 2 else []}} for n in range(499, -1, -1))
    )
    rows = [{"id": n, "text": "abcd" if n % 3 else ""} for n in range(500)]
    result, written, _ = label(rows, {"type": "dolma", "path": "attributes.jsonl", "attribute": "x"})
    assert result.exit_code == 1 and written is None
    assert "a.jsonl, lines 1 to " in result.output
    assert "the row with id 1: is not in the order of attributes.jsonl" in result.output


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "body, says",
    [
        ("return [[] for text in texts[1:]]", "expected one list of spans for each of"),
        ("return [[] for text in texts[: max(1, len(texts) - 1)]]", "expected one list of spans for each of"),
        ("raise KeyError(texts[0])", "label() failed: KeyError in own.py, line 5"),
        ("raise RowError('me', {len(texts): 'what'})", "a RowError about row"),
    ],
)
def test_a_class_that_fails_for_a_batch_stops_the_job(tmp_path, label, body, says, workers):
    result, written, bad = label([{"text": f"Maria {n}"} for n in range(60)], custom(tmp_path, body), workers=workers)
    assert result.exit_code == 1 and written is None and not bad
    assert "a.jsonl, lines 1 to " in result.output and says in result.output and "Maria" not in result.output


def test_rows_that_a_class_names_are_left_out_by_their_lines(tmp_path, label):
    """With a cached labeler, one that reads escapes, and one that had no problem with them."""
    body = (
        "Own.asked = [*getattr(Own, 'asked', []), len(texts)]\n"
        "bad = {n: 'has an odd number' for n, row in enumerate(rows) if row['n'] % 10 == 3}\n"
        "if bad:\n    raise RowError('own', bad)\n"
        "return [[(0, len(text), 0.5)] for text in texts]"
    )
    rows = [{"n": n, "text": f"a\\nb &eacute; {n}"} for n in range(45)]
    own = custom(tmp_path, body)
    source = (tmp_path / "own.py").read_text()
    (tmp_path / "own.py").write_text(source.replace("class Own:\n", "class Own:\n    reads_escapes = True\n"))
    labelers = [{"type": "entities", "names": ["b"]}, own]
    with_blank = rows[:7] + [{"n": 3, "text": ""}] + rows[7:]
    result, written, bad = label(with_blank, *labelers)
    assert result.exit_code == 0, result.output
    assert [row for row in with_blank if row["n"] % 10 != 3] == [
        {key: value for key, value in row.items() if key != "spans"} for row in written
    ]
    assert all("custom" in json.loads(row["spans"]) and "entities" in json.loads(row["spans"]) for row in written)
    places = [number for number, row in enumerate(with_blank, 1) if row["n"] % 10 == 3]
    assert bad == [f"in/a.jsonl:{place}: not labeled: own: has an odd number" for place in places]
    chunks = len(list(Source("a.jsonl", str(tmp_path / "in" / "a.jsonl"), "json").chunks()))
    # a batch is asked for again without its bad rows, not row by row
    assert 2 < chunks <= len(sys.modules["slung_labeler_own"].Own.asked) <= 2 * chunks


def test_lines_in_messages_are_those_of_the_file(tmp_path, label):
    """Blank and broken lines before a row count, as in an editor."""
    rows = [{"text": "abc", "spans": [[0, 1]]}] * 20 + [{"text": "abc", "spans": [[0, 9]]}]
    (tmp_path / "in").mkdir()
    text = "\n{broken\n" + lines(rows)
    (tmp_path / "in" / "a.jsonl").write_text(text)
    result = CliRunner().invoke(main, ["label", "in", "-o", "out", "-l", "spans"])
    assert result.exit_code == 0, result.output
    bad = (tmp_path / "out/.slung/a.jsonl.bad_lines.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in bad] == ["in/a.jsonl:2", "in/a.jsonl:23"]
    assert "[0, 9) is empty or outside the text of 3 characters" in bad[1] and "of the batch" not in bad[1]


def test_a_crash_in_one_text_is_that_text_and_does_not_quote_it(tmp_path, label, monkeypatch):
    right = EntitiesLabeler._spans

    def crash(self, text):
        if text.startswith("bad"):
            raise IndexError(text)
        return right(self, text)

    monkeypatch.setattr(EntitiesLabeler, "_spans", crash)
    rows = [{"text": "bad Maria" if n == 4 else "Maria"} for n in range(8)]
    result, written, bad = label(rows, {"type": "entities", "names": ["Maria"]})
    assert result.exit_code == 0 and len(written) == 7
    assert bad == [
        "in/a.jsonl:5: not labeled: slung.labelers[0]: IndexError on a text of 9 characters; remove the text"
    ]


def test_attribute_files_stay_line_for_line_with_their_documents(tmp_path, monkeypatch):
    """Bad documents with an id have a line without spans, repeated ids their own spans."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    documents = [
        '{"id": "x", "text": "Maria"}', '{"id": 7, "text": null}', '{"id": "x", "text": "no"}', "{broken",
        '{"id": true, "text": "Maria"}', '{"id": 1.5, "text": "Maria"}', '{"text": "Maria"}', "", '{"id": "y"}',
        '{"id": "x", "text": "Oh Maria", "marks": [[0, 99]]}', '{"id": "z", "text": "Maria z"}', '{"id": "x", "text": "to Maria"}',
    ]  # fmt: skip
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(documents) + "\n")
    names = "{type: entities, names: [Maria]}"
    result = CliRunner().invoke(main, ["label", "in", "-o", "attributes", "-l", names, "--form", "dolma"])
    assert result.exit_code == 0 and "5 documents labeled" in result.output, result.output
    lines = [json.loads(line) for line in (tmp_path / "attributes" / "a.jsonl").read_text().splitlines()]
    key = "slung__entities__score"
    found = [(line["id"], [span[:2] for span in line["attributes"][key]]) for line in lines]
    assert found == [
        ("x", [[0, 5]]), (7, []), ("x", []), ("y", []), ("x", [[3, 8]]), ("z", [[0, 5]]), ("x", [[3, 8]])
    ]  # fmt: skip
    bad = (tmp_path / "attributes/.slung/a.jsonl.bad_lines.txt").read_text().splitlines()
    assert [line.removeprefix("in/a.jsonl:") for line in bad] == [
        "2: 'text': expected a string, got null",
        "4: not valid JSON: Expecting property name enclosed in double quotes at character 1",
        "5: 'id': expected a string or an integer, got true or false",
        "6: 'id': expected a string or an integer, got a number that is not an integer",
        "7: no column 'id', which attribute files need; choose another --id-field",
        "9: no column 'text'",
    ]

    dolma = "{type: dolma, path: attributes, attribute: entities, name: entities}"
    for labeler, out in ((names, "direct"), (dolma, "read")):
        result = CliRunner().invoke(main, ["label", "in", "-o", out, "-l", labeler])
        assert result.exit_code == 0, result.output
    direct, read = (
        {line["text"]: line["spans"] for line in map(json.loads, (tmp_path / out / "a.jsonl").read_text().splitlines())}
        for out in ("direct", "read")
    )
    assert read == {text: spans for text, spans in direct.items() if text in read} and len(read) == 5


def test_a_labeler_that_rejects_a_row_leaves_its_attribute_line_empty(tmp_path, label):
    rows = [{"id": n, "text": "abc", "spans": [[0, n]]} for n in (1, 9, 3)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(lines(rows))
    result = CliRunner().invoke(main, ["label", "in", "-o", "out", "-l", "spans", "--form", "dolma"])
    assert result.exit_code == 0 and "2 documents labeled" in result.output
    attributes = [json.loads(line) for line in (tmp_path / "out" / "a.jsonl").read_text().splitlines()]
    assert [(one["id"], one["attributes"]["slung__spans__score"]) for one in attributes] == [
        (1, [[0, 1, 1.0]]), (9, []), (3, [[0, 3, 1.0]])
    ]  # fmt: skip
