import json
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.labeling import StudentLabeler, ToxicSpansLabeler
from axolotl_slung.labeling.build import build
from axolotl_slung.labeling.registry import LABELERS
from axolotl_slung.labeling.student import file
from axolotl_slung.labeling.student.labeler import BUNDLED
from axolotl_slung.storage import sha256_of

SHA256 = "bf5b9857708ffaff5bb4fa652db18658180fc77cca31d389418114b498e4b9e2"
"""Of the file that comes with the package. docs/students.md names it too."""

LOW, HIGH = LABELERS["toxic_spans"].cuts


@pytest.fixture(scope="module")
def labeler():
    return ToxicSpansLabeler("slung.labelers[0]")


def marked(labeler, text, cut=LOW):
    (spans,) = labeler.label([text], [{}])
    return [text[span.start : span.end] for span in spans if span.score >= cut]


@pytest.mark.parametrize(
    "text, rude",
    [
        ("You are a stupid idiot.", ["stupid", " ", "idiot"]),
        ("What a fucking moron you are.", ["fucking", " ", "moron"]),
        ("STUPID people everywhere, said the paper.", ["STUPID"]),
        ("You st*pid man!", ["st*pid"]),
        ("These scum should leave.", ["scum"]),
        ("He is an asshole, and his friend is nice.", ["asshole"]),
    ],
)
def test_rude_words_are_found(labeler, text, rude):
    assert marked(labeler, text) == rude


@pytest.mark.parametrize(
    "text",
    [
        "The weather is lovely today.",
        "I am gay and I love my family.",
        "She is a Black woman from Ohio.",
        "A disabled person crossed the street with two Jewish friends.",
        "The council approved the budget for the new library on Monday.",
        "def add(a, b):\n    return a + b",
        "Тридцать три коровы. 漢字。",
    ],
)
def test_other_words_are_not(labeler, text):
    assert marked(labeler, text) == []


def test_the_bundled_file_is_the_one_that_the_docs_describe():
    assert sha256_of(BUNDLED) == SHA256
    docs = Path(__file__).parents[3] / "docs" / "students.md"
    assert SHA256 in docs.read_text(encoding="utf-8")
    card = file.read("x", BUNDLED).card
    assert tuple(card["cuts"]) == (LOW, HIGH)
    assert BUNDLED.stat().st_size < 2_000_000
    assert "stupid" not in json.dumps(card)


@given(st.lists(st.text(st.characters()), max_size=3))
def test_any_text(labeler, texts):
    for text, spans in zip(texts, labeler.label(texts, [{}] * len(texts)), strict=True):
        assert all(0 <= span.start < span.end <= len(text) and 0.1 <= span.score <= 1 for span in spans)
        assert spans == sorted(spans)


def test_a_text_is_scored_by_itself(labeler):
    texts = ["you moron", "", "what a stupid thing", "you moron"]
    found = labeler.label(texts, [{}] * 4)
    assert found[0] == found[3] == labeler.label(["you moron"], [{}])[0] and found[1] == []


@pytest.mark.parametrize("text", ["a" * 2_000_000, "*'" * 500_000, "a*" * 500_000, "🙂" * 500_000, "a " * 500_000])
def test_hostile_texts_take_linear_time(labeler, text):
    labeler.label(["you"], [{}])
    start = time.process_time()
    labeler.label([text], [{}])
    assert time.process_time() - start < 60  # quadratic time would be hours


def test_it_is_small_when_pickled(labeler):
    labeler.check()
    assert len(pickle.dumps(labeler)) < 1000
    assert marked(pickle.loads(pickle.dumps(labeler)), "you idiot") == ["idiot"]


def test_cuts_come_from_the_file_unless_the_config_has_them(tmp_path):
    of_file = SlungConfig(labelers=[{"type": "student", "model": str(BUNDLED)}])
    assert of_file.scale() == (LOW, HIGH)
    given = SlungConfig(labelers=[{"type": "student", "model": str(BUNDLED), "cuts": [0.3, 0.6]}])
    assert given.scale() == (0.3, 0.6)
    assert SlungConfig(labelers=[{"type": "toxic_spans"}]).scale() == (LOW, HIGH)


def test_the_digest_is_that_of_the_content(tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(BUNDLED.read_bytes())
    here, there = (
        build(SlungConfig(labelers=[{"type": "student", "model": str(path)}]))[0] for path in (BUNDLED, copy)
    )
    assert here.digest == there.digest
    student = file.read("x", copy)
    file.write(copy, student._replace(context=student.context * 2))
    assert build(SlungConfig(labelers=[{"type": "student", "model": str(copy)}]))[0].digest != here.digest


def test_a_missing_file_is_named(tmp_path):
    block = SlungConfig(labelers=[{"type": "student", "model": str(tmp_path / "none.npz")}])
    with pytest.raises(SlungError, match="^slung.labelers, type: student, model: cannot read .*none.npz"):
        build(block)
    with pytest.raises(SlungError, match=r"^slung.labelers\[0\].model: cannot read .*none.npz"):
        build(block, scaled=False)
    assert StudentLabeler("x", "a").files() == [Path("a")]
