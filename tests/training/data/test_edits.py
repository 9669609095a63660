"""Actions that change the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.training.data.edits import edit

DROP = preset("low_risk")
CONTROL = (Bucket("low", 0.5, Action.TRAIN), Bucket("bad", None, Action.CONTROL_TOKEN, token="<|bad|>"))
MIXED = (
    Bucket("low", 0.3, Action.TRAIN),
    Bucket("masked", 0.7, Action.MASK),
    Bucket("dropped", None, Action.DROP_SPAN),
)


def span(text, part, score=1.0):
    return Span(text.index(part), text.index(part) + len(part), score)


@pytest.mark.parametrize(
    "text, part, left",
    [
        ("Good day. You fool. Bye.", "You fool.", "Good day. Bye."),
        ("You fool. Bye.", "You fool.", "Bye."),
        ("Good day. You fool.", "You fool.", "Good day."),
        ("Good day.\n\nYou fool. Bye.", "You fool.", "Good day.\n\nBye."),
        ("Good day. You fool.\n\nBye.", "You fool.", "Good day.\n\nBye."),
        ("Good day.\r\nYou fool.\r\nBye.", "You fool.", "Good day.\r\nBye."),
        ("unbelievable", "believ", "unable"),
        ("(You fool.) Bye.", "You fool.", "() Bye."),
        ("You fool.", "You fool.", ""),
        ("  You fool.  ", "You fool.", ""),
        ("Good day.  You fool.", "  You fool.", "Good day."),
        ("a 👩‍👧 fool b", "fool", "a 👩‍👧 b"),
    ],
)
def test_drop_span(text, part, left):
    assert edit(text, [span(text, part)], DROP) == (left, [])


def test_drop_span_moves_the_spans_behind_it():
    text = "Fool. Hm, well. Ass. Fine."
    spans = [span(text, "Fool."), span(text, "Hm, well.", 0.5), span(text, "Ass.")]
    left, kept = edit(text, spans, MIXED)
    assert left == "Hm, well. Fine."
    assert [left[s.start : s.end] for s in kept] == ["Hm, well."] and kept[0].score == 0.5


@given(st.text(alphabet="ab \n", max_size=12), st.data())
def test_drop_span_loses_no_other_character_and_doubles_no_white_space(text, data):
    start = data.draw(st.integers(0, max(len(text) - 1, 0)))
    end = data.draw(st.integers(min(start + 1, len(text)), len(text)))
    if start == end:
        return
    left, _ = edit(text, [Span(start, end, 1.0)], DROP)
    assert "".join(left.split()) == "".join((text[:start] + text[end:]).split())
    before, after = text[:start], text[end:]
    if before.strip() and after.strip() and (before[-1:].isspace() and after[:1].isspace()):
        assert left in (before + after.lstrip(), before.rstrip() + after)


def test_drop_document():
    text = "Good day. You fool."
    assert edit(text, [span(text, "You fool.")], preset("control")) is None
    assert edit(text, [span(text, "You fool.", 0.0)], preset("control")) == (text, [])


def test_control_token_stands_before_each_span():
    text = "Good day. You fool. Bye. Ass."
    spans = [span(text, "You fool."), span(text, "Ass.")]
    left, kept = edit(text, spans, CONTROL)
    assert left == "Good day. <|bad|>You fool. Bye. <|bad|>Ass."
    assert [left[s.start : s.end] for s in kept] == ["You fool.", "Ass."]


def test_an_empty_text():
    assert edit("", [], DROP) == ("", [])


@pytest.mark.parametrize("action", [action for action in Action if action.traits.edits_text])
def test_every_action_on_text_changes_it(action):
    buckets = (Bucket("low", 0.5, Action.TRAIN), Bucket("bad", None, action, token="<|bad|>", text="<X>"))
    text = "One. You fool. Two."
    result = edit(text, [span(text, "You fool.")], buckets)
    assert result is None or result[0] != text
