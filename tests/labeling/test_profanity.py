import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_slung.labeling import ProfanityLabeler
from axolotl_slung.labeling.profanity.model import probabilities

KEY = "slung.labelers[0]"
TABLE = Path(__file__).with_name("profanity_scores.jsonl")
"""Texts made up for this test, with the scores that alt-profanity-check 1.9.1 gives them."""

TEXT = "Have a lovely day. You are a stupid\nidiot! The weather is fine today."


@pytest.fixture(scope="module")
def labeler():
    return ProfanityLabeler(KEY)


def test_literal_text(labeler):
    labeler.check()
    (spans,) = labeler.label([TEXT], [{}])
    assert [TEXT[span.start : span.end] for span in spans] == [
        "Have a lovely day.",
        "You are a stupid\nidiot!",
        "The weather is fine today.",
    ]
    assert [span.score > 0.5 for span in spans] == [False, True, False]


def test_each_sentence_is_scored_by_itself(labeler):
    texts = ["", "you moron", " \n", TEXT, "\u2028", "idiot. " * 3, "zzyzx", "0"]
    labeled = labeler.label(texts, [{}] * len(texts))
    assert [len(spans) for spans in labeled][:4] == [0, 1, 0, 3]
    for text, spans in zip(texts, labeled):
        for span in spans:
            assert span.score == pytest.approx(probabilities([text[span.start : span.end]])[0], abs=1e-12)


def test_nothing_to_label(labeler):
    assert labeler.label([], []) == []
    assert labeler.label(["", "\n"], [{}, {}]) == [[], []]


@given(st.lists(st.text(st.characters()), max_size=3))
@example(["\ud800", "a\0b. \0", "\r\n", "👩\u200d👩\u200d👧! 漢字。e\u0301"])
def test_any_text(labeler, texts):
    for text, spans in zip(texts, labeler.label(texts, [{}] * len(texts)), strict=True):
        assert all(0 <= span.start < span.end <= len(text) and 0 <= span.score <= 1 for span in spans)


def test_it_is_small_when_pickled(labeler):
    labeler.check()
    pickled = pickle.dumps(labeler)
    assert len(pickled) < 500
    assert pickle.loads(pickled).label([TEXT], [{}]) == labeler.label([TEXT], [{}])


@pytest.fixture(scope="module")
def table():
    rows = [json.loads(line) for line in TABLE.open(encoding="utf-8")]
    return [row["text"] for row in rows], np.array([row["score"] for row in rows])


def test_scores_are_those_of_alt_profanity_check(table):
    texts, scores = table
    assert len(texts) > 300 and scores.min() < 0.01 and scores.max() > 0.99
    assert np.abs(probabilities(texts) - scores).max() < 1e-12
    # whatever they are scored together with
    assert np.abs(np.concatenate([probabilities([text]) for text in texts]) - scores).max() < 1e-12


def test_the_installed_original_agrees(table):
    original = pytest.importorskip(
        "profanity_check", reason="pip install alt-profanity-check (it pins scikit-learn) to compare with the original"
    )
    texts = [*table[0], *(left + right for left, right in zip(table[0], table[0][::-1])), "\ud800 idiot"]
    assert np.abs(probabilities(texts) - original.predict_prob(texts)).max() < 1e-6


def test_no_texts():
    assert probabilities([]).shape == (0,) and probabilities([]).dtype == np.float64


def test_neither_scikit_learn_nor_joblib_is_imported():
    script = (
        "import sys\n"
        "from axolotl_slung.labeling import ProfanityLabeler\n"
        "print(ProfanityLabeler('slung.labelers[0]').label(['You idiot!'], [{}])[0][0].score > 0.5)\n"
        "print([name for name in ('sklearn', 'joblib', 'profanity_check') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["True", "[]", ""]
