"""The strings of a row, and what moves with them into a prompt."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling.base import Span
from axolotl_slung.labeling.rows.columns import described, within, without_text
from axolotl_slung.labeling.rows.fields import (
    Key,
    Layout,
    get,
    replaced,
    strings,
    surroundings,
)
from axolotl_slung.training.data.places import Placed, moved, uncovered

CHAT = Layout("messages", "role", "tools")
ROW = {
    "id": "x1",
    "messages": [
        {"role": "user", "content": " hi \n"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"role": "hi"}}}]},
    ],
    "note": None,
    "n": 3,
}


def test_strings_of_a_row_are_all_but_the_roles_of_messages():
    call = ("messages", 1, "tool_calls", 0)
    assert strings(ROW, CHAT) == {
        ("id",): "x1",
        ("messages", 0, "content"): " hi \n",
        (*call, Key("function")): "function",
        (*call, "function", Key("name")): "name",
        (*call, "function", "name"): "f",
        (*call, "function", Key("arguments")): "arguments",
        (*call, "function", "arguments", Key("role")): "role",
        (*call, "function", "arguments", "role"): "hi",
    }
    assert ("messages", 0, "role") in strings(ROW)


def test_a_string_a_key_and_its_surroundings():
    path = ("messages", 1, "tool_calls", 0, "function", "arguments", Key("role"))
    assert (
        get(ROW, path) == "role" and surroundings(ROW, path)["role"] == "hi" and surroundings(ROW, path)["id"] == "x1"
    )
    assert replaced(ROW, {path: "part", path[:-1] + ("role",): "ho"})["messages"][1]["tool_calls"][0]["function"][
        "arguments"
    ] == {"part": "ho"}
    assert surroundings(ROW, ("messages", 0, "content")) == {**ROW, **ROW["messages"][0]}


def test_json_is_read_where_axolotl_reads_it():
    call = {"function": {"name": "f", "arguments": '{"to": "a\\nb"}'}}
    tools = [{"function": {"name": "f", "parameters": '{"type": "object"}'}}]
    row = {
        "messages": json.dumps([{"role": "assistant", "content": '{"a": 1}', "tool_calls": [call]}]),
        "tools": json.dumps(tools),
        "other": "[1]",
    }
    read = CHAT.parsed(row)
    assert read["messages"][0]["tool_calls"][0]["function"]["arguments"] == {"to": "a\nb"}
    assert read["messages"][0]["content"] == '{"a": 1}' and read["other"] == "[1]"
    assert read["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert Layout().parsed(row) == row and CHAT.parsed({"messages": "no [JSON"}) == {"messages": "no [JSON"}


@given(st.text("ab", min_size=1, max_size=9), st.data())
def test_spans_move_as_far_as_their_characters_stand_there(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    offset = data.draw(st.integers(0, len(text)))
    shown = text[offset:]
    place = Placed(3, 3 + len(shown), ("text",), offset)
    there = [
        i - 3 + offset
        for span in moved([Span(start, end, 1.0)], [place], "   " + shown)
        for i in range(span.start, span.end)
    ]
    assert there == [i for i in range(start, end) if i >= offset]

    # the same, each character written as two
    bounds = np.stack([3 + 2 * np.arange(len(shown)), 5 + 2 * np.arange(len(shown))], axis=1)
    place = Placed(3, 3 + 2 * len(shown), ("text",), offset, bounds)
    twice = moved([Span(start, end, 1.0)], [place], "   " + shown * 2)
    assert [i for span in twice for i in range(span.start, span.end)] == [
        3 + 2 * (i - offset) + k for i in range(start, end) if i >= offset for k in (0, 1)
    ]


def test_a_span_over_parts_that_stand_apart():
    text = "  one\n  two, one"
    places = [Placed(2, 5, ("t",), 0), Placed(8, 11, ("t",), 4), Placed(13, 16, ("t",), 0)]
    found = [text[s.start : s.end] for s in moved([Span(0, 7, 1.0)], places, text)]
    assert found == ["one", "\n  two", "one"]  # the second copy of "one" is no continuation
    assert uncovered(9, places) == [(3, 4), (7, 9)]


def test_which_texts_a_column_describes():
    part = {"type": "text", "text": "ab", "spans": [[0, 1]]}
    row = {
        "spans": None,
        "messages": [
            {"role": "user", "content": "cd", "spans": [[0, 2]]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "ef"}, {"type": "text", "text": "gh"}],
                "spans": [[1, 3]],
            },
            {"role": "assistant", "content": [part, {"type": "text", "text": "ij", "spans": None}]},
            {"role": "assistant", "content": None, "reasoning": "kl", "spans": [[0, 1]]},
        ],
    }
    found = list(described(row, "content", "spans", CHAT, anywhere=False))
    assert [(one.text, one.row["spans"], [int(bounds[0, 0]) for _, bounds in one.fields]) for one in found] == [
        ("cd", [[0, 2]], [0]),
        ("efgh", [[1, 3]], [0, 2]),
        ("ab", [[0, 1]], [0]),
    ]
    assert without_text(row, "spans", found) == ("messages", 3, "spans")
    [thought] = described(row, "reasoning", "spans", CHAT, anywhere=True)
    assert thought.text == "kl" and [path for path, _ in thought.fields] == [("messages", 3, "reasoning")]


def test_a_column_beside_arguments_in_json_counts_characters_of_the_json():
    source = ' {"to": "Ann", "list": ["x", {"body": "a\\n\\u00e9 b"}], "n": 1}'
    row = {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": source, "spans": [[0, 1]]}}]}]}
    [one] = described(row, "arguments", "spans", CHAT, anywhere=True)
    base = ("messages", 0, "tool_calls", 0, "function", "arguments")
    assert one.text == source
    texts = {path[len(base) :]: [source[a:b] for a, b in bounds] for path, bounds in one.fields}
    assert texts == {
        (Key("to"),): ["t", "o"],
        ("to",): ["A", "n", "n"],
        (Key("list"),): ["l", "i", "s", "t"],
        ("list", 0): ["x"],
        ("list", 1, Key("body")): ["b", "o", "d", "y"],
        ("list", 1, "body"): ["a", "\\n", "\\u00e9", " ", "b"],
        (Key("n"),): ["n"],
    }
    body = dict(one.fields)[(*base, "list", 1, "body")]
    start = source.index("u00e9")
    assert within(body, [Span(start, start + 1, 1.0)]) == [Span(2, 3, 1.0)]


def test_a_column_of_the_row_describes_the_text_beside_it():
    row = {"text": "ab", "spans": [[0, 1]]}
    found = list(described(row, "text", "spans", Layout(), anywhere=False))
    assert [one.text for one in found] == ["ab"] and without_text(row, "spans", found) is None
    assert without_text({"other": "ab", "spans": [[0, 1]]}, "spans", []) == ("spans",)
