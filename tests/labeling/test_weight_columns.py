"""Weights in the columns of rows, in every form that they may have."""

import json

import numpy as np
import pytest

from axolotl_slung.labeling.base import LabelerError, RowError
from axolotl_slung.labeling.rows.fields import Layout
from axolotl_slung.labeling.rows.weights import weights_in_columns
from axolotl_slung.labeling.spans import SpansLabeler
from axolotl_slung.labeling.weights import of_runs, parse_weights, runs

TEXT = "abcdef"


@pytest.mark.parametrize(
    "value, expected",
    [
        (0.3, [0.3] * 6),
        (0, [0] * 6),
        (-1, [-1] * 6),
        ([[1, 3, 7], [2, 4, 0.5]], [1, 7, 3.5, 0.5, 1, 1]),
        ([[0.0, 2.0, 0.0]], [0, 0, 1, 1, 1, 1]),
        ([{"start": 4, "end": 6, "weight": 1e-6}], [1, 1, 1, 1, 1e-6, 1e-6]),
        ([1, 1, 2, 1, 1, 0], [1, 1, 2, 1, 1, 0]),
    ],
)
def test_every_form(value, expected):
    assert parse_weights(value, TEXT, "x").tolist() == pytest.approx(expected)
    assert parse_weights(json.dumps(value), TEXT, "x").tolist() == pytest.approx(expected)
    weights = np.array(expected, float)
    assert of_runs(6, runs(weights)).tolist() == expected


@pytest.mark.parametrize("value", [None, 1, 1.0, [], [[0, 6, 1]], [1] * 6, "null", "1", {"/other": 0.5}])
def test_no_weights(value):
    assert parse_weights(value, TEXT, "x") is None


@pytest.mark.parametrize(
    "value, message",
    [
        (True, "expected a finite number, got true or false"),
        (float("nan"), "expected a finite number, got nan"),
        ("NaN", "expected a finite number, got nan"),
        (10**400, "expected 0 or a size from 1e-30 to 1e.30"),
        (1e-31, "expected 0 or a size"),
        ("half", "the string is not valid JSON"),
        ({"start": 0, "end": 1, "weight": 2}, "expected weights, got an object"),
        ([1, 2], "2 numbers for a text of 6 characters"),
        ([[0, 7, 2]], "span 0: it is empty or outside the text of 6 characters"),
        ([[3, 3, 2]], "span 0: it is empty or outside"),
        ([[0.5, 2, 2]], "span 0: start: expected an integer"),
        ([[0, 2]], r"span 0: expected \[start, end, weight\]"),
        ([[0, 2, None]], "span 0: weight: expected a finite number, got null"),
        ([[0, 2, "secret"]], "span 0: weight: expected a finite number, got a string"),
        ([[0, 2, 1], 3], "span 1: expected"),
    ],
)
def test_what_is_wrong_is_said(value, message):
    with pytest.raises(LabelerError, match=f"^x.*{message}") as raised:
        parse_weights(value, TEXT, "x")
    assert "secret" not in str(raised.value)


CHAT = Layout("messages", "role", "tools", "{{ message.content }}", {})


def read(row, field=None, text_field=None):
    labeler = SpansLabeler("slung.labelers[0]", field, weights_field="w")
    [found], [pointed] = weights_in_columns(labeler, [row], CHAT, text_field or "content")
    return {path: weights.tolist() for path, weights in found.items()}, pointed


def test_messages_parts_and_the_row_multiply():
    parts = [{"type": "text", "text": "ab", "w": 0.5}, {"type": "text", "text": "cd"}]
    row = {
        "w": 3,
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": parts, "w": [[1, 3, -1.0]]},
            {"role": "assistant", "content": "yes", "w": 0},
        ],
    }
    expected = {
        ("messages", 0, "content"): [3, 3],
        ("messages", 1, "content", 0, "text"): [1.5, -1.5],
        ("messages", 1, "content", 1, "text"): [-3, 3],
        ("messages", 2, "content"): [0, 0, 0],
    }
    assert read(row)[0] == expected
    assert read({**row, "messages": json.dumps(row["messages"])})[0] == expected


def test_pointers_weigh_other_texts():
    message = {"content": "a", "reasoning_content": "why", "w": {"/reasoning_content": 0}}
    assert read({"messages": [message]}) == (
        {("messages", 0, "reasoning_content"): [0, 0, 0]},
        {("messages", 0, "reasoning_content")},
    )


@pytest.mark.parametrize(
    "row, message",
    [
        ({"messages": [{"content": "a"}]}, "has no 'w'"),
        ({"messages": [{"content": None, "w": [[0, 1, 2]]}]}, r"messages\[0\].w: these weights have no text 'content'"),
        ({"messages": [{"content": "a"}], "w": [[0, 1, 2]]}, "expected one number for all its messages"),
        ({"messages": [{"content": "a", "w": 2, "spans": [[0, 1]]}]}, "has a column 'spans', which"),
        ({"messages": [{"content": "a", "w": {"/missing": 2}}]}, "a JSON pointer in it leads to no text"),
    ],
)
def test_rows_that_do_not_fit(row, message):
    with pytest.raises(RowError, match=message):
        read(row)


def test_a_number_of_a_message_weighs_all_its_texts():
    """Thoughts and arguments of calls too. A template need not write them."""
    call = {"function": {"name": "f", "arguments": '{"who": "me"}'}}
    message = {"role": "assistant", "content": None, "reasoning_content": "why", "tool_calls": [call], "w": 0.5}
    weights, pointed = read({"messages": [message, {"content": "a", "w": 1}]})
    arguments = ("messages", 0, "tool_calls", 0, "function", "arguments", "who")
    assert weights[arguments] == [0.5] * 2 and weights["messages", 0, "reasoning_content"] == [0.5] * 3
    assert {path[1] for path in weights} == {0} and pointed == weights.keys()
