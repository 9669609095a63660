import gzip
import json
import pickle
import random

import pytest
import zstandard

from axolotl_slung.labeling import DolmaLabeler, LabelerError, RowError, Span
from axolotl_slung.labeling.dolma import in_order

KEY = "slung.labelers[3]"
TOXIC = "exp__jigsaw_hatespeech_sentence_v2____label__toxic"


def lines(*documents, attribute=TOXIC):
    """Attribute lines of documents (id, spans); spans of None leave the attribute out."""
    return "".join(
        json.dumps({"id": name, "attributes": {"exp__other": [[0, 1, 1.0]]} | ({attribute: spans} if spans else {})})
        + "\n"
        for name, spans in documents
    )


def label(labeler, *names, text="hello world"):
    return labeler.label([text] * len(names), [{"id": name} for name in names])


@pytest.fixture
def folder(tmp_path):
    """Five documents in four files of every kind."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.jsonl").write_text(lines(("1", [[0, 5, 0.5]]), ("2", None)))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(("3", [[6, 11, 1.0], [0, 5, 0.00012]])).encode()))
    # two frames in a file, as parallel compressors write them
    frames = [zstandard.compress(lines((name, [[0, 1, 0.25]])).encode()) for name in "45"]
    (tmp_path / "sub" / "c.jsonl.zst").write_bytes(b"".join(frames))
    (tmp_path / "sub" / "d.json.gz").write_bytes(gzip.compress(lines(("6", [[0, 2, 0]])).encode()))
    (tmp_path / "README.md").write_text("not one of them")
    return tmp_path


@pytest.mark.parametrize("attribute", [TOXIC, "__label__toxic", "jigsaw_hatespeech_sentence_v2____label__toxic"])
def test_spans_by_id_from_files_of_every_kind(folder, attribute):
    labeler = DolmaLabeler(KEY, str(folder), attribute)
    labeler.check()
    assert [path.name for path in labeler.files()] == ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.json.gz"]
    assert label(labeler, "1", "2", "3", "4", "5", "6") == [
        [Span(0, 5, 0.5)],
        [],
        [Span(0, 5, 0.00012), Span(6, 11, 1.0)],
        [Span(0, 1, 0.25)],
        [Span(0, 1, 0.25)],
        [Span(0, 2, 0.0)],
    ]
    assert label(labeler, "2", 5) == [[], [Span(0, 1, 0.25)]]


def test_one_file_another_id_column_and_a_copy(folder):
    labeler = DolmaLabeler(KEY, str(folder / "a.jsonl"), TOXIC, id_field="doc")
    labeler.check()
    copy = pickle.loads(pickle.dumps(labeler))
    assert copy._documents is None
    assert copy.label(["hello"], [{"doc": 1}]) == [[Span(0, 5, 0.5)]]


def test_the_key_in_full_goes_before_its_end(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1, "attributes": {"x": [[0, 1, 0.5]], "exp__x": [[0, 2, 1]]}}))
    assert label(DolmaLabeler(KEY, str(path), "x"), 1) == [[Span(0, 1, 0.5)]]


def test_rows_that_do_not_meet_the_files(folder):
    labeler = DolmaLabeler(KEY, str(folder), TOXIC)
    with pytest.raises(LabelerError, match=r"slung\.labelers\[3\]\.path: row 1 of the batch: is not in "):
        label(labeler, "1", "9")
    with pytest.raises(LabelerError, match=r"row 1 of the batch: is not in the order of .*do not shuffle"):
        label(labeler, "3", "1")
    with pytest.raises(LabelerError, match=r"row 0 of the batch.* is empty or outside the text of 7 characters"):
        label(labeler, "3", text="shorter")
    with pytest.raises(
        LabelerError, match=r"slung\.labelers\[3\]\.id_field: row 0 of the batch: has no 'id'; choose one of a"
    ):
        labeler.label(["a"], [{"a": 1}])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            lines(("1", [[0, 1, 1]]), attribute="exp__b__x"),
            r"attribute: 'y': is not in .*; available: exp__other, exp__b__x",
        ),
        (
            json.dumps({"id": 1, "attributes": {"a__y": [], "b__y": []}}),
            r"'y': matches several; choose one of a__y, b__y",
        ),
        (lines(("1", None)) + "{", r"a\.jsonl: cannot be read after line 2: JSONDecodeError"),
        ('{"id": 1}', r"line 1: expected \{\"id\": \.\.\., \"attributes\""),
        ('{"attributes": {}}', r"line 1: expected "),
        ('{"id": true, "attributes": {}}', r"line 1: expected "),
        ('{"id": 1.5, "attributes": {}}', r"line 1: expected "),
        ("[1]", r"line 1: expected "),
        ("", r"attribute: 'y': is not in .*; available: none"),
    ],
)
def test_broken_files(tmp_path, content, says):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[3\]\..*{says}"):
        DolmaLabeler(KEY, str(tmp_path), "y").check()


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl"])
@pytest.mark.parametrize("content", [b"\x80not this\n", gzip.compress(b"{}\n" * 9999, mtime=0)[:-20]])
def test_damaged_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        LabelerError, match=r"^slung\.labelers\[3\]\.path: .*(cannot be read|line 1: expected |its content is)"
    ):
        DolmaLabeler(KEY, str(tmp_path / name), "y").check()


def test_no_files(tmp_path):
    with pytest.raises(LabelerError, match=r"has no files with the endings \.jsonl"):
        DolmaLabeler(KEY, str(tmp_path), "y").check()
    with pytest.raises(LabelerError, match=r"none\.jsonl: cannot be read .*No such file"):
        DolmaLabeler(KEY, str(tmp_path / "none.jsonl"), "y").check()


def test_spans_broken_in_the_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "attributes": {"y": [[0, 1, NaN]]}}')
    with pytest.raises(
        LabelerError, match=r"row 0 of the batch: in .*, span 0: score: expected a finite number, got nan"
    ):
        label(DolmaLabeler(KEY, str(tmp_path), "y"), 1)


# ids that are in the files several times, as in Dolma 1.7


def test_the_second_x_is_the_second_x(tmp_path, caplog):
    spans = {"x": [[0, 1, 0.1]], "y": [[0, 2, 0.2]], "z": [[0, 3, 0.3]]}
    second = [[0, 4, 0.4]]
    (tmp_path / "a.jsonl").write_text(
        lines(("x", spans["x"]), ("y", spans["y"]), ("x", second), ("z", spans["z"]), attribute="y")
    )
    labeler = DolmaLabeler(KEY, str(tmp_path), "y")

    def ends(*names):
        return [[span.end for span in of_text] for of_text in label(labeler, *names)]

    assert ends("x", "y", "x", "z") == [[1], [2], [4], [3]]
    # a batch may begin or end between them
    assert ends("x", "y") == [[1], [2]] and ends("x", "z") == [[4], [3]] and ends("y", "x") == [[2], [4]]
    with pytest.raises(LabelerError, match="row 2 of the batch: is not in the order of"):
        ends("x", "x", "x")
    assert not caplog.records
    # nothing around it tells which one it is: it is as risky as both, and that is said
    assert ends("x") == ends("x") == [[1, 4]]
    assert len(caplog.records) == 1 and "it gets the spans of all its lines" in caplog.text


def test_places_of_repeated_ids_are_those_of_any_cut_of_the_files():
    draw = random.Random(3)
    for _ in range(300):
        ids = draw.choices("abc", k=12)
        places = {name: [n for n, other in enumerate(ids) if other == name] for name in ids}
        start = draw.randrange(12)
        end = draw.randint(start + 1, 12)
        chosen, wrong = in_order([places[name] for name in ids[start:end]])
        assert wrong is None and all(place in of_row for place, of_row in zip(range(start, end), chosen))
        if start == 0 and end == 12:
            assert chosen == [{place} for place in range(12)]


def test_all_rows_that_cannot_be_labeled_are_named_and_the_order_is_checked_first(folder):
    labeler = DolmaLabeler(KEY, str(folder), TOXIC)
    with pytest.raises(RowError) as caught:
        label(labeler, "7", "1", "8")
    assert list(caught.value.problems) == [0, 2]
    with pytest.raises(RowError, match="'id': expected a string or an integer, got bool"):
        label(labeler, True)
    with pytest.raises(RowError, match="'id': expected a string or an integer, got float"):
        label(labeler, 1.5)
    with pytest.raises(LabelerError, match="is not in the order of") as caught:
        label(labeler, "3", "7", "1")
    assert not isinstance(caught.value, RowError)
