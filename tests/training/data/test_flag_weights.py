"""Weights of messages, content parts and ranges multiply what Axolotl trains by its own flags."""

import json

import pytest
from axolotl.utils.chat_templates import get_chat_template
from datasets import Dataset
from helpers.chats import INSULT, LABELERS, NAME, Stage, call, chat
from helpers.rendered import runs

from axolotl_slung.labels.codec import FIRST_CODE, decode

QWEN = get_chat_template("qwen3")
FLAG, RANGES = {"message_field_training": "weight"}, {"message_field_training_detail": "ranges"}
END = "<|im_end|>"


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    folder, weights = tmp_path_factory.mktemp("weights"), {"type": "spans", "weights_field": "weight"}
    return Stage(folder, "bytelevel_bos"), Stage(folder, "bytelevel_bos", {"labelers": [*LABELERS, weights]})


def text(value, **keys):
    return {"type": "text", "text": value, **keys}


def span(begin, end, train=True, **keys):
    return {"begin_offset": begin, "end_offset": end, "train": train, **keys}


def value(label):
    """The factor of a label's loss. None without a loss."""
    _, bucket, weight, given = decode(label)
    return 1.0 if label >= 0 else None if label > FIRST_CODE or bucket or not weight else round(float(weight), 6)


ANSWER = f"Yes, it is {NAME}, she said."
CASES = {
    "messages": (
        [("user", "Who is it?", {"weight": 2}), ("assistant", ANSWER, {"weight": 0.5}), ("user", "So?", {"weight": 0}), ("assistant", "No.", {"weight": 1})],
        FLAG, {2.0: ["Who is it?"], 0.5: ["Yes, it is", ", she said."], 1.0: [END, END, "No." + END]}),
    "messages whose weights are no flags": (
        [("user", "Who is it?", {"weight": 2}), ("assistant", ANSWER, {"weight": 0.5}), ("user", "So?", {}), ("assistant", "No.", {"weight": 0})],
        {}, {0.5: ["Yes, it is", ", she said."], 1.0: [END, END]}),
    "parts": (
        [("user", [text("Who?")], {}), ("assistant", [text("Yes,", weight=0.25), text(" it is", weight=0), text(f" {NAME}, she", weight=3.0), text(" said.")], {})],
        {}, {0.25: ["Yes,"], 3.0: [", she"], 1.0: ["said." + END]}),
    "parts in a message with a weight": (
        [("user", [text("Who?")], {}), ("assistant", [text("Yes,", weight=0.5), text(f" {NAME}, she", train=False, weight=3.0), text(" said.")], {"weight": 0.5})],
        FLAG, {0.25: ["Yes,"], 0.5: ["said."], 1.0: [END]}),
    "a part that train and weight differ on": (
        [("user", [text("Who?")], {}), ("assistant", [text("Yes,", train=True, weight=0), text(" it is", train=True, weight=0.5)], {})], {}, {0.5: ["it is"], 1.0: [END]}),
    "ranges": (
        [("user", "Who?", {}), ("assistant", ANSWER, {"ranges": [span(0, 3, weight=0.3), span(4, 9), span(10, 35, weight=7)]})],
        RANGES, {0.3: ["Yes,"], 1.0: ["it is", END], 7.0: [", she said"]}),
    "ranges in a message with a weight": (
        [("user", "Who?", {}), ("assistant", ANSWER, {"weight": 0.5, "ranges": [span(0, 3, weight=0.5), span(4, 9), span(26, 31, False, weight=9)]})],
        {**FLAG, **RANGES}, {0.25: ["Yes,"], 0.5: ["it is"], 1.0: [END]}),
    "ranges of parts": (
        [("user", [text("Who?")], {}), ("assistant", [text("Yes, it"), text(f" is {NAME}.")], {"ranges": [span(4, 9, weight=4), span(26, 26)]})],
        RANGES, {4.0: ["it is"], 1.0: ["." + END]}),
    "ranges that are not used": (
        [("user", [text("Who?")], {}), ("assistant", [text("Yes,", weight=2), text(" it is", weight=0)], {"ranges": [span(0, 3, weight=9)]})],
        RANGES, {2.0: ["Yes,"], 1.0: [END]}),
    "a call and thinking": (
        [("user", "Who?", {}), ("assistant", "I look.", {"weight": 0.5, "reasoning_content": f"I know {INSULT}.", **call(json.dumps({"to": NAME}))})],
        FLAG, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_weights_multiply_what_axolotl_trains(stages, caplog, name):
    turns, entry, expected = CASES[name]
    # in JSON, for the contents of messages are of several types
    data = Dataset.from_list([{"messages": json.dumps(chat(*turns)["messages"])}])
    keys = {"path": "rows", "type": "chat_template", "chat_template": "jinja", "chat_template_jinja": QWEN, **entry}
    [stock], [ours] = (list(stage.tokenized(data, keys)) for stage in stages)
    assert ours["input_ids"] == stock["input_ids"]
    # it does not matter what Axolotl makes of a weight that is read
    assert "other than 0 and 1" not in caplog.text and "and `weight: 0`" not in caplog.text
    assert all(label == -100 for label, plain in zip(ours["labels"], stock["labels"]) if plain == -100)
    values = {value(label) for label in ours["labels"]} - {None}
    found = {
        one: [run for run in runs(stages[1].tokenizer, ours, lambda label, one=one: value(label) == one) if run]
        for one in values
    }
    if expected is not None:
        assert found == expected
        return
    # the weight of a message is one of its thinking and its calls, too
    weighed = " ".join(found[0.5])
    assert all(part in weighed for part in ("I know", "I look.", "to"))
    masked = runs(stages[1].tokenizer, ours, lambda label: label <= FIRST_CODE and value(label) is None)
    assert masked == [INSULT, NAME]
