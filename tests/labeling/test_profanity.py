import pickle
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_slung.labeling import LabelerError, ProfanityLabeler

KEY = "slung.labelers[0]"
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


def test_scores_are_the_packages_own_for_each_sentence_alone(labeler):
    from profanity_check import predict_prob

    texts = ["", "you moron", " \n", TEXT, "\u2028", "idiot. " * 3, "zzyzx", "0"]
    labelled = labeler.label(texts, [{}] * len(texts))
    assert [len(spans) for spans in labelled][:4] == [0, 1, 0, 3]
    for text, spans in zip(texts, labelled):
        for span in spans:
            assert span.score == pytest.approx(predict_prob([text[span.start : span.end]])[0], abs=1e-9)


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


def test_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "profanity_check", None)
    says = r"^slung\.labelers\[0\]: profanity: profanity_check cannot be imported; pip install axolotl-slung"
    with pytest.raises(LabelerError, match=says):
        ProfanityLabeler(KEY).check()


def test_a_model_made_with_another_scikit_learn():
    script = (
        "import sklearn.base; sklearn.base.__version__ = '0.1'\n"
        "from axolotl_slung.labeling import LabelerError, ProfanityLabeler\n"
        "try: ProfanityLabeler('slung.labelers[0]').check()\n"
        "except LabelerError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("slung.labelers[0]: the model of alt-profanity-check was made with another version")
