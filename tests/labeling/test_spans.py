import math

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling import LabelerError, Span, SpansLabeler

KEY = "slung.labelers[2]"


def label(text, spans, **row):
    return SpansLabeler(KEY).label([text], [{"spans": spans, **row}])[0]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (None, []),
        ([], []),
        ([[0, 5, 0.5]], [Span(0, 5, 0.5)]),
        ([(6, 11)], [Span(6, 11, 1.0)]),
        ([{"start": 0, "end": 11, "score": 0}], [Span(0, 11, 0.0)]),
        ([{"start": 0, "end": 1, "score": None}, {"start": 1, "end": 2}], [Span(0, 1, 1.0), Span(1, 2, 1.0)]),
        ([[0, 5, 0.5, "email"], [6, 11, 1]], [Span(0, 5, 0.5, kind="email"), Span(6, 11, 1.0)]),
        ([{"start": 0, "end": 5, "kind": "email"}], [Span(0, 5, 1.0, kind="email")]),
        ([[6, 8, 1], [0.0, 5.0, 0.25]], [Span(0, 5, 0.25), Span(6, 8, 1.0)]),
    ],
)
def test_every_form(spans, expected):
    found = label("hello world", spans)
    assert found == expected
    assert all(type(span.start) is int and type(span.score) is float for span in found)


def test_a_column_of_a_real_data_set():
    rows = Dataset.from_list(
        [
            {"text": "hello", "spans": [[0, 5, 0.9]], "more": [{"start": 0, "end": 1}]},
            {"text": "you", "spans": [[0, 1, 0.5], [1, 3]], "more": [{"start": 1, "end": 2, "score": 0.5}]},
            {"text": "", "spans": None, "more": []},
        ]
    ).to_list()
    texts = [row["text"] for row in rows]
    assert SpansLabeler(KEY).label(texts, rows) == [[Span(0, 5, 0.9)], [Span(0, 1, 0.5), Span(1, 3, 1.0)], []]
    assert SpansLabeler(KEY, field="more").label(texts, rows) == [[Span(0, 1, 1.0)], [Span(1, 2, 0.5)], []]


@pytest.mark.parametrize(
    ("spans", "says"),
    [
        ([[0, 12, 1]], r"\[0, 12\) is empty or outside the text of 11 characters"),
        ([[-1, 2, 1]], r"\[-1, 2\) is empty or outside"),
        ([[5, 3, 1]], r"\[5, 3\) is empty or outside"),
        ([[3, 3, 1]], r"\[3, 3\) is empty or outside"),
        ([[0.5, 3, 1]], r"\[0\.5, 3\): expected integers"),
        ([[0, 3, 1.01]], r"score: expected a number in \[0, 1\], got 1\.01"),
        ([[0, 3, -0.1]], r"score: expected a number in \[0, 1\], got -0\.1"),
        ([[0, 3, math.nan]], r"score: expected a finite number, got nan"),
        ([[0, math.inf, 1]], r"end: expected a finite number, got inf"),
        ([[0, 10**400, 1]], r"end: expected a finite number, got a number"),
        ([[0, 3, 1, 7]], r"kind: expected text, got a number; write \[start, end, score, kind\]"),
        ([[0, 3, 1, "a", "b"]], r"span 0: expected \[start, end, score\]"),
        ([[0, 3, "1"]], r"score: expected a finite number, got a str"),
        ([[True, 3, 1]], r"start: expected a finite number, got true or false"),
        ([[0, None, 1]], r"end: expected a finite number, got null"),
        ([[0]], r"span 0: expected \[start, end, score\]"),
        ([0, 3], r"span 0: expected \[start, end, score\]"),
        (["ab"], r"span 0: expected \[start, end, score\]"),
        ([{"begin": 0, "end": 3}], r"start: expected a finite number, got null"),
        ("toxic", r"the string is not valid JSON"),
        ('"toxic"', r"expected a list of spans, got a string"),
        ("[[0, 3, 1", r"the string is not valid JSON"),
        ({"start": 0, "end": 3}, r"start: expected a list of spans, got a number"),
        (7, r"expected a list of spans, got a number"),
    ],
)
def test_broken_spans(spans, says):
    with pytest.raises(
        LabelerError, match=rf"^slung\.labelers\[2\]\.field: row 0 of the batch: 'spans'.*{says}"
    ) as caught:
        label("hello world", spans, id=7)
    assert "hello" not in str(caught.value)


def test_a_missing_column_and_a_row_without_id():
    labeler = SpansLabeler(KEY, field="risk")
    with pytest.raises(LabelerError, match=r"row 1 of the batch: has no 'risk'; choose one of text, spans"):
        labeler.label(["a", "b"], [{"risk": []}, {"text": "b", "spans": []}])


@given(st.text(min_size=1), st.data())
def test_any_span_within_any_text(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert label(text, [[start, end, 0.5]]) == [Span(start, end, 0.5)]
