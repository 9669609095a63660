"""What a chat's own data says of training: what is trained, and what is said of what Axolotl does not do."""

import json

import pytest
import yaml
from datasets import Dataset
from helpers import ROOT
from helpers.chat_truth import differences
from helpers.chats import INSULT, NAME, call, chat
from helpers.flags import ANSWER, OTHERS, RANGES, THOUGHT, TRAIN, WEIGHT, answer, at, of_chat, span, text
from helpers.rendered import PHRASES, runs

from axolotl_slung.training.data.row_labels import SlungDataError

SAID = {
    # what Axolotl does as it is told: the row, its entry, the texts that are trained, nothing to say
    "train: false": (answer(train=False), TRAIN, [], ""),
    "train: true": (answer(train=True), TRAIN, ["Yes, it is", ", she said.<|im_end|>"], ""),
    "weight: 0": (answer(weight=0), WEIGHT, [], ""),
    "weight: 1": (answer(weight=1.0), WEIGHT, ["Yes, it is", ", she said.<|im_end|>"], ""),
    "a part with weight: 0": (answer([text("Yes, it is"), text(f" {NAME}", weight=0), text(", she said.", weight=1)]), {}, ["Yes, it is", ", she said.<|im_end|>"], ""),
    "a part with train: false": (answer([text("Yes, it is", train=False), text(f" {NAME}, she said.")]), {}, [", she said.<|im_end|>"], ""),
    "a part in a message with train: false": (answer([text("Yes, it is", train=True), text(f" {NAME}")], train=False), TRAIN, [], ""),
    "a range": (answer(ranges=[at(" is Maria")]), RANGES, ["is", "<|im_end|>"], ""),
    "ranges in a message with train: false": (answer(train=False, ranges=[at("Yes")]), {**TRAIN, **RANGES}, [], ""),
    "ranges of parts without flags": (answer([text("Yes, it is"), text(f" {NAME}, she said.")], ranges=[at("it is Maria Hernandez, she")]), RANGES, ["it is", ", she", "<|im_end|>"], ""),
    "a range in a name": (answer(ranges=[at("nandez, she")]), RANGES, [", she", "<|im_end|>"], ""),
    "a part of the thinking": (answer("", reasoning_content=[text("I know", train=False), text(f" {INSULT} well.")]), {}, ["well."], ""),
    "parts of thinking and content": (
        answer([text("Yes"), text(" it is", weight=0)], reasoning_content=[text("I", train=False), text(f" know {INSULT} well.")]), {},
        ["know", "well.", "Yes", "<|im_end|>"], ""),
    "a question that is trained": (chat(("user", "Who is it?", {"train": True}), ("assistant", ANSWER, {"train": False})), TRAIN, ["Who is it?<|im_end|>"], ""),
    "thinking in the content, chosen": (answer(f"<think>\n{THOUGHT}\n</think>\n\nYes.", train=True), TRAIN, ["I know", "well.\n</think>\n\nYes.<|im_end|>"], ""),
    # what it does not do as it is told
    "no key for flags": (answer(train=False), {}, ["Yes, it is", ", she said.<|im_end|>"], "does not name"),
    "another key for flags": (answer(weight=0, train=True), TRAIN, ["Yes, it is", ", she said.<|im_end|>"], "does not name"),
    "no key for ranges": (answer(train_detail=[at("Yes")]), {}, ["Yes, it is", ", she said.<|im_end|>"], "`message_field_training_detail` does not name"),
    "weight: 0.5": (answer(weight=0.5), WEIGHT, ["Yes, it is", ", she said.<|im_end|>"], "other than 0 and 1"),
    "weight: -1 of a part": (answer([text("Yes,", weight=-1), text(" it is", weight=0)]), {}, ["Yes,", "<|im_end|>"], "other than 0 and 1"),
    "weight: 0.5 of a range": (answer(ranges=[at("Yes", weight=0.5)]), RANGES, ["Yes", "<|im_end|>"], "other than 0 and 1"),
    "train and weight": (answer([text("Yes,", train=True, weight=0)]), {}, ["Yes,<|im_end|>"], "with `train: true` and `weight: 0`"),
    "train and weight of a range": (answer(ranges=[at("Yes", weight=0)]), RANGES, ["Yes", "<|im_end|>"], "with `train: true` and `weight: 0`"),
    "ranges that overlap": (answer(ranges=[at("it is", train=False), at("Yes, it is")]), RANGES, ["Yes, it is", "<|im_end|>"], "ranges that overlap and differ"),
    "a range after the end": (answer(ranges=[at("Yes"), span(100, 110)]), RANGES, ["Yes", "<|im_end|>"], "outside its text"),
    "a range that ends before it begins": (answer(ranges=[at("Yes"), span(9, 7)]), RANGES, ["Yes", "<|im_end|>"], "ends before it begins"),
    "ranges and parts": (answer([text("Yes,"), text(" it is", weight=0)], ranges=[span(4, 9)]), RANGES, ["Yes,", "<|im_end|>"], "uses only these"),
    "a range beside thinking": (answer(ranges=[at("Yes")], reasoning_content=THOUGHT), RANGES, ["Yes", "<|im_end|>"], "trains nothing else of that message"),
    "a part beside a call": (answer([text("Yes,"), text(" it is", weight=0)], **call({"to": NAME})), {}, ["Yes,", "<|im_end|>"], "trains nothing else of that message"),
    "a part of thinking beside a text": (answer(reasoning_content=[text("I", train=False), text(" know")]), {}, ["know", "<|im_end|>"], "trains nothing else of that message"),
    "a part of a question": (chat(("user", [text("Who"), text(" is it?", weight=0)]), ("assistant", [text(ANSWER)])), {}, ["Who", "<|im_end|>", "Yes, it is", ", she said.<|im_end|>"], "of a role that is not trained"),
    "all parts of a question": (chat(("user", [text("Who is it?", weight=0)]), ("assistant", [text(ANSWER)])), {}, ["<|im_end|>", "Yes, it is", ", she said.<|im_end|>"], "of a role that is not trained"),
    "no ranges": (chat(("user", "Who?"), ("assistant", ANSWER, {"ranges": []}), ("user", "Who?", {"ranges": [span(0, 2, False)]}), ("assistant", ANSWER)), RANGES, ["<|im_end|>", "Yes, it is", ", she said.<|im_end|>"], "an empty list of ranges"),
    "a range of a text that is stripped": (answer(f"\n\n{ANSWER}", ranges=[span(2, 4)]), RANGES, [", it", "<|im_end|>"], "puts on other tokens"),
    "a range of a text with thinking": (answer(f"<think>\n{THOUGHT}\n</think>\n\nYes.", ranges=[span(0, 6)]), RANGES, ["I know", "<|im_end|>"], "puts on other tokens"),
    "a range of a text whose thinking is split": (answer(f"<think>\n{THOUGHT}\n</think>\n\nYes, {NAME}.", ranges=[span(0, 3)]), {**RANGES, "split_thinking": True}, ["Yes,", "<|im_end|>"], "puts on other tokens"),
    "thinking of another name": (answer(thoughts=THOUGHT), {"field_thinking": "thoughts", "message_property_mappings": {"role": "role", "content": "content"}}, ["Yes, it is", ", she said.<|im_end|>"], "thinking under `field_thinking`"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_is_trained_and_what_is_said(stages, caplog, name):
    row, entry, trained, warned = SAID[name]
    [stock], [ours] = stages.rows([row], **entry)
    assert differences(stages.tokenizer, stock, ours) == []
    assert [run for run in stages.trained(ours) if run] == trained  # without blanks between masked words
    said = [record.getMessage() for record in caplog.records if record.name.startswith("axolotl_slung.")]
    said = [message for message in said if "say something of training that Axolotl does not do" in message]
    assert len(said) == bool(warned) and (not warned or (warned in said[0] and said[0].count("in 1: ") == 1)), said


@pytest.mark.parametrize(
    "row, entry, place",
    [
        (answer(train="false"), TRAIN, r"messages\[1\]\.train: not true"),
        (answer(weight=float("nan")), WEIGHT, r"messages\[1\]\.weight: not true"),
        (answer(train=["no"]), TRAIN, r"messages\[1\]\.train: not true"),
        (answer([text(ANSWER, weight="0")]), {}, r"messages\[1\]\.content\[0\]\.weight: not true"),
        (answer(reasoning_content=[text(THOUGHT, train="no")]), {}, r"messages\[1\]\.reasoning_content\[0\]\.train: not true"),
        (answer(ranges="0-3"), RANGES, r"messages\[1\]\.ranges: not a list of ranges"),
        (answer(ranges=[{"begin_offset": 0, "end_offset": 3}]), RANGES, r"messages\[1\]\.ranges: not a list"),
        (answer(ranges=[span(0, 3, "false")]), RANGES, r"messages\[1\]\.ranges: not a list"),
        (answer(ranges=[span(0, 2.5)]), RANGES, r"messages\[1\]\.ranges: not a list"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_Axolotl_takes_for_true_is_refused(stages, row, entry, place):
    with pytest.raises(SlungDataError, match=rf"^datasets\[0\]: row 0 of the batch: {place}") as raised:
        stages.ours.tokenized(Dataset.from_list([row]), of_chat(entry))
    assert not any(word in str(raised.value) for word in ("Maria", '"', "'", "0-3"))


def test_the_example_of_the_docs(stages):
    """What docs/training.md shows, with the entry that it shows."""
    docs = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").partition("### Flags of messages")[2]
    entry = yaml.safe_load(docs.partition("```yaml")[2].partition("```")[0])["datasets"][0]
    row = json.loads(docs.partition("```json")[2].partition("```")[0])
    [stock], [ours] = stages.rows([{"messages": json.dumps(row["messages"])}], **entry)
    assert stock == ours
    assert stages.trained(ours) == ["It is she.<|im_end|>", "yes.<|im_end|>"]


def test_a_warning_of_Axolotl_does_not_quote_a_part(stages, caplog):
    parts = [text(f"Yes, it is {NAME} ", weight=0), text("she said.")]
    keys, data = of_chat({}), Dataset.from_list([answer(parts)])
    stages.stock.tokenized(data, keys)
    assert "Part text: " in caplog.text and NAME[-9:] in caplog.text, "stock does not quote it: remove `unquoted`"
    caplog.clear()
    stages.ours.tokenized(data, keys)
    assert "Part text: left out by slung" in caplog.text and NAME[-9:] not in caplog.text
    with pytest.raises(ValueError):
        stages.ours.tokenized(Dataset.from_list([answer(**call(f"not JSON: {NAME}"))]), keys)
    assert "Arguments string: left out by slung" in caplog.text and NAME not in caplog.text


def test_a_span_in_a_part_that_begins_in_a_word(prepare):
    """Parts are joined without a blank, so a part may be anywhere in a word, and the same text may be in several parts."""

    def parts(*texts, of=()):
        return [text(one, spans=[[0, len(one), 1.0]] if number in of else []) for number, one in enumerate(texts)]

    known = (
        ("user", parts("Who is it? Maria Her", "nandez so", " we met")),
        ("assistant", parts("nandez so", " we met")),
    )
    rows = [chat(*known, ("user", parts("So?")), ("assistant", parts("Well, Maria Her", "nandez", " so", of=[1])))]
    rows, tokenizer = prepare(rows, {"type": "spans"})
    assert runs(tokenizer, rows[0]) == ["nandez"]


def test_a_span_is_dropped_from_a_part_and_the_flags_stay(prepare):
    def row(name):
        parts = [text("Yes, it is", weight=0), text(f"{name}, she", weight=1), text(" said.")]
        return chat(("user", [text("Who?")]), ("assistant", parts))

    [dropped], _ = prepare([row(f" {INSULT}")], PHRASES, block={"method": "low_risk"})
    [plain], _ = prepare([row(" ")])
    assert dropped == plain and max(plain["labels"]) > 0


@pytest.mark.parametrize("content", [f"Yes, {INSULT}.", [text("Yes, "), text(f"{INSULT}.")]], ids=["text", "parts"])
def test_ranges_beside_an_edited_text_are_refused(prepare, content):
    keys = {"message_field_training_detail": "ranges", "block": {"method": "low_risk"}}
    with pytest.raises(ValueError, match=r"message_field_training_detail: row 0 .*: its offsets count characters"):
        prepare([answer(content, ranges=[span(0, 3)])], PHRASES, **keys)
    # the offsets do not count the thinking
    beside = answer("Yes.", ranges=[span(0, 2)], reasoning_content=f"I know {INSULT}.")
    [row], tokenizer = prepare([beside], PHRASES, **keys)
    assert INSULT not in tokenizer.decode(row["input_ids"])


@pytest.mark.parametrize("inputs", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_types_without_a_chat_template(stages, name, inputs):
    data, entry = Dataset.from_list(OTHERS[name]), {"path": "rows", "type": name.partition(",")[0]}
    rows = [list(stage.tokenized(data, entry, train_on_inputs=inputs)) for stage in (stages.stock, stages.ours)]
    for stock, ours in zip(*rows, strict=True):
        # each text is tokenized by itself, and a name over the edge of two texts is found, too
        assert differences(stages.tokenizer, stock, ours) == []
        assert any(label < -100 for label in ours["labels"])


def test_a_label_of_a_segment_in_words_is_refused(stages):
    data = Dataset.from_list([{"segments": [{"text": ANSWER, "label": "false"}]}])
    with pytest.raises(
        SlungDataError, match=r"^datasets\[0\]: row 0 of the batch: segments\[0\]\.label: not true, false"
    ):
        stages.ours.tokenized(data, {"path": "rows", "type": "input_output"})
