"""The package's own patterns: what they find in made-up rows, and the edges of each check."""

import random
from typing import get_args

import pytest
from helpers.made_up_pii import KINDS, quality, rows

from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.faults import checked
from axolotl_slung.labeling import LabelerError, PatternsLabeler
from axolotl_slung.labeling.blocks import Builtin
from axolotl_slung.labeling.build import build
from axolotl_slung.labeling.pattern_files import builtin_names


@pytest.fixture(scope="module")
def every():
    labeler = PatternsLabeler("slung.labelers[0]", builtin=builtin_names())
    labeler.check()
    return labeler


def found(labeler, text):
    return [text[span.start : span.end] for span in labeler.annotate([text], [{}])[0]]


def test_the_names_of_the_config_are_those_of_the_file():
    assert get_args(Builtin) == builtin_names()


def test_precision_and_recall_on_made_up_rows(every):
    made = rows(1500, seed=3)
    spans = every.label([text for text, _ in made], [{}] * len(made))
    precision, recall, wrong, missed = quality([[(s.start, s.end) for s in of_text] for of_text in spans], made)
    assert precision >= 0.99, wrong
    assert set(recall) == set(KINDS) and all(share >= 0.95 for share in recall.values()), missed


def test_quality_counts_what_was_missed_and_what_was_wrong():
    made = [("a 123 b", [(2, 5, "phone")]), ("nothing", [])]
    precision, recall, wrong, missed = quality([[(2, 5)], []], made)
    assert (precision, recall["phone"], wrong, missed) == (1.0, 1.0, [], [])
    precision, recall, wrong, missed = quality([[(2, 4)], [(0, 3)]], made)
    assert (precision, recall["phone"], wrong, missed) == (0.5, 0.0, ["not"], [("phone", "123")])


EDGES = {
    "zoë.müller+x@exämple.co.uk, a@b.io. not@home @me a@b": ["zoë.müller+x@exämple.co.uk", "a@b.io"],
    "https://user:s3cret@host.io/x": ["https://user:s3cret@"],
    "Tel. 4155552671; order 4155552671": ["4155552671"],
    "Tel.030 901820, Fax-415-555-2671; 1.030 901820": ["030 901820", "415-555-2671"],
    "415-555-2671 / (415) 555-2672, 415.555.2673": ["415-555-2671", "(415) 555-2672", "415.555.2673"],
    "+49 89 12345678, 0049 89 12345678; (+1 (415) 555-2671)": ["+49 89 12345678", "0049 89 12345678", "+1 (415) 555-2671"],
    "+999 12345678, +1 23, 12.10.2023 10:30, 555-2671": [],
    "192.168.10.12, v1.2.3.4, version 10.2.3.4, 1.2.3.4.5, 300.1.1.1, 01.2.3.4": ["192.168.10.12"],
    "8.8.8.8:53 and 10.0.0.1.": ["8.8.8.8", "10.0.0.1"],
    "2001:db8::8a2e:370:7334, std::abs, face::bad, 12:30:45, 00:1a:2b:3c:4d:5e": ["2001:db8::8a2e:370:7334"],
    "4111 1111 1111 1111 123, 4111111111111112, 4111-1111 1111-1111": ["4111 1111 1111 1111"],
    "3782-822463-10005 and 9111111111111111": ["3782-822463-10005"],
    "DE89 3704 0044 0532 0130 00 and DE88 3704 0044 0532 0130 00": ["DE89 3704 0044 0532 0130 00"],
    "gb82west12345698765432. XX82WEST12345698765432": ["gb82west12345698765432"],
    "123-45-6789; 123-45 6789; 666-12-1234; 900-12-1234; 123-00-1234; 1-123-45-6789": ["123-45-6789"],
    "SSN: 123456789, 123456789": ["123456789"],
    "tickets\n123-45-6789\n": ["123-45-6789"],
}  # fmt: skip


@pytest.mark.parametrize("text", EDGES)
def test_edges(every, text):
    assert found(every, text) == EDGES[text]


def test_a_table_of_numbers_is_not_full_of_telephone_numbers(every):
    draw = random.Random(0)
    lines = [" ".join(str(draw.randint(10, 99_999)) for _ in range(8)) for _ in range(1000)]
    assert len(found(every, "\n".join(lines))) < 30


HOSTILE = [
    "1",
    "1 ",
    "1-",
    "a@",
    "a.",
    "1.",
    "a:",
    "(1",
    "((((",
    "DE12 ",
    "eyJaaaaaaaa.",
    "-----BEGIN A ",
    "tel 1 ",
    "+1 ",
    "://",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_stay_within_the_budgets(every, piece):
    every.label([piece * (100_000 // len(piece))], [{}])
    assert [pattern.name for pattern in every.patterns if pattern.linear is None] == []


def test_builtin_and_a_file_together(tmp_path):
    (tmp_path / "own.yml").write_text("ticket: 'T-\\d+'\ncard: {pattern: '\\d{16}', check: credit_card}\n")
    labeler = PatternsLabeler("slung.labelers[0]", str(tmp_path / "own.yml"), ["email"])
    assert found(labeler, "T-12 a@b.io 4111111111111111 4111111111111112") == ["T-12", "a@b.io", "4111111111111111"]
    assert len(labeler.files()) == 2
    (tmp_path / "own.yml").write_text("card: {pattern: '\\d{16}', check: luhn}\n")
    with pytest.raises(
        LabelerError, match=r"own\.yml: pattern 'card': check: expected one of email, credit_card, iban"
    ):
        PatternsLabeler("slung.labelers[0]", str(tmp_path / "own.yml")).check()


def test_in_a_block():
    (labeler,) = build(SlungConfig.model_validate({"labelers": [{"type": "patterns", "builtin": ["email"]}]}))
    assert [span.score for span in labeler.annotate(["me@home.org"], [{}])[0]] == [1.0]
    for builtin, says in (
        ({}, r"slung\.labelers\[0\]: give `builtin` \(names of patterns\), `path` \(a file of patterns\), or both"),
        ({"builtin": ["emial"]}, r"slung\.labelers\[0\]\.builtin\[0\]: emial: is not one of .*did you mean `email`"),
        ({"builtin": []}, r"slung\.labelers\[0\]\.builtin: "),
        ({"builtin": "email"}, r"slung\.labelers\[0\]\.builtin: email: expected a list|expected a list"),
    ):
        with pytest.raises(SlungError, match=says):
            checked({"labelers": [{"type": "patterns", **builtin}]})
