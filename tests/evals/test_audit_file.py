"""The files of an audit: what they say is read, and what is wrong with them is said without quoting them."""

import json

import pytest

from axolotl_slung.errors import FileError
from axolotl_slung.evals.audit_file import (
    Entity,
    frequency_of,
    read_about,
    read_entities,
    read_spans,
    span_id,
)

SALT = "00" * 16
SPAN = {
    "id": span_id(SALT, "trained", "people", "person", "Ada Fenwick"),
    "set": "trained",
    "labeler": "people",
    "kind": "person",
    "bucket": 1,
    "action": "mask",
    "count": 2,
    "frequency": "few",
    "text": "Ada Fenwick",
    "before": "The letter is from ",
    "prefixes": {"25": 4, "whole": 0},
    "after": ", who",
    "decoys": ["Bela Kirkton", "Nils Ashby"],
    "decoys_made": 1,
}


def written(folder, *rows):
    (folder / "spans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_span_has_the_keys_of_its_line(tmp_path):
    (span,) = read_spans(written(tmp_path, SPAN))
    assert (span.id, span.text, span.count) == (SPAN["id"], "Ada Fenwick", 2)
    assert span.prefix("25") == "letter is from "
    assert span.prefix("whole") == SPAN["before"]
    assert span.prefix("50") is None
    assert span.decoys[-span.decoys_made :] == ("Nils Ashby",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"set": "Fenwick"}, "`set`"),
        ({"count": "Fenwick"}, "`count` is a string"),
        ({"count": True}, "`count` is true or false"),
        ({"frequency": "once"}, "`frequency`"),
        ({"text": ""}, "`text` is empty"),
        ({"prefixes": {"25": 4}}, "`prefixes`"),
        ({"prefixes": {"25": 99, "whole": 0}}, "outside `before`"),
        ({"prefixes": {"Fenwick": 1, "whole": 0}}, "`prefixes`"),
        ({"decoys": ["Ada Fenwick"]}, "`decoys`"),
        ({"decoys": [7]}, "`decoys`"),
        ({"decoys_made": 3}, "`decoys_made`"),
        ({"Fenwick": 1}, "1 keys too many"),
    ],
)
def test_what_is_wrong_is_said_without_the_text(tmp_path, change, said):
    with pytest.raises(FileError) as caught:
        read_spans(written(tmp_path, SPAN, {**SPAN, "id": "1" * 16, **change}))
    assert "spans.jsonl: line 2: " in str(caught.value)
    assert said in str(caught.value)
    assert "Fenwick" not in str(caught.value)


def test_a_missing_key_an_id_twice_and_a_broken_line_are_said(tmp_path):
    for rows, said in (
        ([{"id": "1"}], "no set, labeler"),
        ([SPAN, SPAN], "line 2: `id` of an earlier line"),
        ([], "no spans"),
    ):
        with pytest.raises(FileError, match=said):
            read_spans(written(tmp_path, *rows))
    (tmp_path / "spans.jsonl").write_text('{"text": "Ada Fenwick')
    with pytest.raises(FileError, match="line 1: is not a JSON object") as caught:
        read_spans(tmp_path)
    assert "Fenwick" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(FileError, match=r"audit\.json: No such file"):
        read_about(tmp_path)


def test_entities_and_the_description_are_read(tmp_path):
    entity = {"id": "2" * 16, "kind": "person", "before": "", "text": "Ada Fenwick", "after": "."}
    (tmp_path / "entities.jsonl").write_text(json.dumps(entity) + "\n")
    assert read_entities(tmp_path) == [Entity(**entity)]
    about = {"format": 1, "salt": SALT, "seed": 0, "provenance": {}, "counts": {}}
    (tmp_path / "audit.json").write_text(json.dumps(about))
    assert read_about(tmp_path) == about
    (tmp_path / "audit.json").write_text(json.dumps({**about, "format": 2}))
    with pytest.raises(FileError, match="format: is not 1"):
        read_about(tmp_path)


def test_ids_depend_on_the_salt_and_on_each_part():
    parts = [
        ("trained", "a", "b", "c"),
        ("heldout", "a", "b", "c"),
        ("trained", "ab", "", "c"),
        ("trained", "a", "bc", ""),
    ]
    assert len({span_id(SALT, *one) for one in parts} | {span_id("01" * 16, *parts[0])}) == 5


def test_frequencies():
    assert [frequency_of(n) for n in (1, 2, 9, 10, 500)] == ["once", "few", "few", "often", "often"]
