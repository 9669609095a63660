"""Where the strings of a row come to stand in a prompt."""

from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.data.fields import Placed, marked, replaced, strings, surroundings, unmark

ROW = {
    "id": "x1",
    "messages": [{"role": "user", "content": " hi \n"}, {"role": "assistant", "content": "hi"}],
    "note": "n",
    "n": 3,
}


def test_strings_of_a_row_without_roles_and_ids():
    assert dict(strings(ROW)) == {("messages", 0, "content"): " hi \n", ("messages", 1, "content"): "hi", ("note",): "n"}


def test_the_same_text_twice_is_told_apart():
    fields = {path: text for path, text in strings(ROW) if path[0] == "messages"}
    row = marked(ROW, fields)
    prompt = "hi|".join(m["content"].strip() + "." for m in row["messages"])
    assert unmark(prompt, fields) == (
        "hi.hi|hi.",
        [Placed(0, 2, ("messages", 0, "content"), 1), Placed(6, 8, ("messages", 1, "content"), 0)],
    )


def test_white_space_that_the_template_keeps_belongs_to_the_field():
    fields = {("messages", 0, "content"): " hi \n"}
    prompt = "A:" + marked(ROW, fields)["messages"][0]["content"] + "B"
    assert unmark(prompt, fields) == ("A: hi \nB", [Placed(2, 7, ("messages", 0, "content"), 0)])


def test_a_template_that_cuts_into_a_field_is_not_believed():
    fields = {("note",): "one two"}
    prompt = marked({"note": "one two"}, fields)["note"]
    assert unmark(prompt[:-3], fields) is None
    assert unmark(prompt.replace("one", "1"), fields) is None
    assert unmark(prompt.split("o", 1)[1], fields) is None


def test_text_with_marks_of_its_own_is_not_marked():
    assert marked({"note": "a\ufdd0b"}, {("note",): "a\ufdd0b"}) is None


@given(st.lists(st.text(max_size=8), min_size=1, max_size=12), st.text("ab \n", max_size=4))
def test_marks_come_out_again(texts, glue):
    row = {"messages": [{"content": text} for text in texts]}
    fields = dict(strings(row))
    with_marks = marked(row, fields)
    if with_marks is None:
        assert any("\ufdd0" <= c <= "\ufddb" for text in texts for c in text)
        return
    prompt, placed = unmark(glue.join(m["content"] for m in with_marks["messages"]), fields)
    assert prompt == glue.join(texts)
    for place in placed:
        text = fields[place.path]
        assert prompt[place.start : place.end] == text[place.offset : place.offset + place.end - place.start]


def test_replacing_leaves_the_row_alone():
    changed = replaced(ROW, {("messages", 1, "content"): "ho"})
    assert changed["messages"][1]["content"] == "ho" and ROW["messages"][1]["content"] == "hi"
    assert surroundings(changed, ("messages", 1, "content"))["role"] == "assistant"
    assert surroundings(changed, ("note",))["id"] == "x1"
