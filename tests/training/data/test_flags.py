"""What a chat's own data says of training: stock Axolotl's labels but for the risky tokens, and what is said of the rest."""

import json
import logging
import random
from itertools import pairwise

import pytest
import yaml
from axolotl.utils.chat_templates import get_chat_template
from axolotl.utils.dict import DictDefault
from datasets import Dataset
from helpers import ROOT
from helpers.chat_truth import differences, risky_tokens
from helpers.chats import INSULT, LABELERS, NAME, Stage, call, chat
from helpers.rendered import PHRASES, runs
from helpers.tiny import write_jsonl

from axolotl_slung.training.data.flag_counts import flag_counts
from axolotl_slung.training.data.row_labels import SlungDataError

TEMPLATES = {name: get_chat_template(name) for name in ("qwen3", "llama3", "chatml", "mistral_v7_tekken")}
HARMLESS = ("the old mill", "seven wheels")
"""Stand for the risky phrases where nothing is to be found."""


def of_chat(entry, template="qwen3"):
    """An entry of `datasets:`."""
    keys = {"path": "rows", "type": "chat_template", "chat_template": "jinja"}
    return {**keys, "chat_template_jinja": TEMPLATES[template], **entry}


class Stages:
    """Stock Axolotl and the plugin, with one tokenizer."""

    def __init__(self, folder, kind):
        self.stock, self.ours = Stage(folder, kind), Stage(folder, kind, {"labelers": LABELERS})
        self.tokenizer = self.ours.tokenizer

    def rows(self, rows, template="qwen3", of_config=None, **entry):
        """The rows of stock and of the plugin."""
        data, entry = Dataset.from_list(rows), of_chat(entry, template)
        return [list(stage.tokenized(data, entry, **(of_config or {}))) for stage in (self.stock, self.ours)]

    def trained(self, row) -> list[str]:
        return runs(self.tokenizer, row, lambda label: label >= 0)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    return Stages(tmp_path_factory.mktemp("qwen"), "bytelevel_bos")


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    return Stages(tmp_path_factory.mktemp("unigram"), "unigram")


def text(value, **keys):
    return {"type": "text", "text": value, **keys}


def span(begin, end, train=True, **keys):
    """A range of characters, both ends included, as Axolotl counts."""
    return {"begin_offset": begin, "end_offset": end, "train": train, **keys}


# ------------------------------------------------------------------------------------------- all flags, and all together


ENTRIES = {
    "nothing named": {},
    "train": {"message_field_training": "train"},
    "weight": {"message_field_training": "weight"},
    "ranges": {"message_field_training_detail": "ranges"},
    "both": {"message_field_training": "train", "message_field_training_detail": "ranges"},
    "both, all ends": {"message_field_training": "train", "message_field_training_detail": "ranges", "train_on_eos": "all"},
    "both, last end": {"message_field_training": "train", "message_field_training_detail": "ranges", "train_on_eos": "last"},
    "both, no ends": {"message_field_training": "weight", "message_field_training_detail": "ranges", "train_on_eos": "none", "train_on_eot": "none"},
    "no roles": {"message_field_training": "train", "message_field_training_detail": "ranges", "roles_to_train": []},
    "two roles": {"message_field_training": "train", "message_field_training_detail": "ranges", "roles_to_train": ["assistant", "user"]},
    "inputs": {"message_field_training": "train", "message_field_training_detail": "ranges", "of_config": {"train_on_inputs": True}},
    "split thinking": {"message_field_training": "train", "message_field_training_detail": "ranges", "split_thinking": True},
    "other names": {
        "message_field_training": "train", "message_field_training_detail": "ranges", "field_messages": "conversations",
        "message_property_mappings": {"role": "from", "content": "value"}},
}  # fmt: skip


ROWS = 2
"""Of each entry, with each template."""


class MadeUp:
    """Rows with flags of every kind at random, on texts with or without risky phrases."""

    def __init__(self, seed, phrases):
        self._random, self._phrases = random.Random(seed), phrases

    def row(self, entry):
        # in JSON, for the columns of a data set are of one type
        messages = [self._message(role) for role in ("user", "assistant", "user", "assistant")]
        other = entry.get("field_messages")
        if other:
            names = {"role": "from", "content": "value"}
            messages = [{names.get(key, key): value for key, value in message.items()} for message in messages]
        return {other or "messages": json.dumps(messages)}

    def _maybe(self, chance, **keys):
        return keys if self._random.random() < chance else {}

    def _words(self):
        words = [
            self._random.choice(("Yes", "So", "It is", "We met", "\n", "café 👩‍👩‍👧 is", *self._phrases * 2))
            for _ in range(5)
        ]
        return " ".join(words)

    def _parts(self):
        joined = self._words()
        cuts = [0, *sorted(self._random.sample(range(len(joined)), 2)), len(joined)]
        parts = [text(joined[start:end], **self._flags(0.4, 0.4)) for start, end in pairwise(cuts)]
        return [*parts, *([{"type": "image"}] if self._random.random() < 0.2 else [])]

    def _flags(self, train, weight):
        return {
            **self._maybe(train, train=self._random.random() < 0.5),
            **self._maybe(weight, weight=self._random.choice((0, 1, 1.0, 0.0))),
        }

    def _ranges(self, length):
        found = []
        for _ in range(self._random.randrange(1, 4)):
            start = self._random.randrange(-2, length + 3)
            found.append(span(start, start + self._random.randrange(0, 30), self._random.random() < 0.7))
        return found

    def _message(self, role):
        parts = self._random.random() < 0.3
        content = self._parts() if parts else self._words()
        message = {"role": role, "content": content, **self._flags(0.3, 0.3)}
        message |= self._maybe(0.3, ranges=self._ranges(40 if parts else len(content)))
        if role == "assistant":
            if not parts:
                thought = self._random.choice(("", "", f"<think>\n{self._words()}\n</think>\n\n"))
                message["content"] = thought + content
            message |= self._maybe(0.3, reasoning_content=self._random.choice((self._parts, self._words))())
            arguments = {"to": self._phrases[0], "note": [self._words()]}
            message |= self._maybe(0.2, **call(self._random.choice((arguments, json.dumps(arguments)))))
        return message


@pytest.fixture
def quiet():
    """Without the warnings of Axolotl about each row, which take long to show."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def made_up(stages, entry, template, phrases, seed):
    """Rows of stock and of the plugin, in pairs."""
    made = MadeUp(f"{seed} {entry} {template}", phrases)
    rows = [made.row(ENTRIES[entry]) for _ in range(ROWS)]
    return list(zip(*stages.rows(rows, template, **ENTRIES[entry]), strict=True))


@pytest.mark.parametrize("template", TEMPLATES)
def test_labels_are_those_of_stock_where_nothing_is_risky(stages, quiet, template):
    for entry in ENTRIES:
        for stock, ours in made_up(stages, entry, template, HARMLESS, "harmless"):
            assert ours == stock, entry


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_token_is_trained_if_stock_trains_it_and_it_is_not_risky(stages, quiet, template):
    counts = {True: 0, False: 0}
    for entry in ENTRIES:
        for stock, ours in made_up(stages, entry, template, (NAME, INSULT), "risky"):
            assert differences(stages.tokenizer, stock, ours) == [], entry
            for label, risky in zip(stock["labels"], risky_tokens(stages.tokenizer, stock["input_ids"]), strict=True):
                counts[label >= 0] += risky
    assert min(counts.values()) > 100, counts


def test_with_a_tokenizer_that_adds_a_blank(sentencepiece, quiet):
    for entry in ENTRIES:
        for stock, ours in made_up(sentencepiece, entry, "qwen3", (NAME, INSULT), "sentencepiece"):
            assert differences(sentencepiece.tokenizer, stock, ours) == [], entry


# -------------------------------------------------------------------------- what is trained, and what is said of the rest

ANSWER = f"Yes, it is {NAME}, she said."
THOUGHT = f"I know {INSULT} well."


def answer(content=ANSWER, **keys):
    # the contents of a data set are of one type
    return chat(("user", "Who?" if isinstance(content, str) else [text("Who?")]), ("assistant", content, keys))


def at(part, train=True, of=ANSWER, **keys):
    start = of.index(part)
    return span(start, start + len(part) - 1, train, **keys)


TRAIN, WEIGHT, RANGES = (
    {"message_field_training": "train"},
    {"message_field_training": "weight"},
    {"message_field_training_detail": "ranges"},
)
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


# ------------------------------------------------------------------------------------------------------- parts and edits


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


# ------------------------------------------------------------------------------------------- types without a chat template


def segments(*labels):
    texts = (f"Who is it? {NAME}? ", "It is Maria", " Hernandez, she said.", f" {INSULT}\n")
    return {"segments": [{"text": one, "label": label} for one, label in zip(texts, labels, strict=True)]}


OTHERS = {
    "input_output": [segments(False, True, False, True), segments(True, False, True, None)],
    "input_output, numbers": [segments(0, 1, 1, 0), segments(0, None, 1, 1)],
    "alpaca": [{"instruction": f"Who is {NAME}?", "input": INSULT, "output": f"It is {NAME}."}],
    "completion": [{"text": f"{NAME} is {INSULT}."}],
}


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


# ------------------------------------------------------------------------------------------------------------- in numbers


def counted(stages, rows, folder, **entry):
    """The numbers of `slung doctor`, and those that stock gives: the tokens that flags take away, and those they add."""
    path = write_jsonl(folder / "rows.jsonl", rows)
    cfg = DictDefault({**stages.ours.cfg, "datasets": [{**entry, "path": str(path), "ds_type": "json"}]})
    return flag_counts(cfg, stages.tokenizer, 100)


def test_flags_in_numbers(stages, tmp_path):
    """By hand: stock's labels of the rows with their flags and without them."""
    rows = [
        answer(train=False),
        answer(ranges=[at("Yes, it is Maria Her"), at("She", False, of="Yes, She")]),
        chat(("user", "Who?", {"train": True}), ("assistant", ANSWER)),
        answer(),
    ]
    entry = of_chat({**TRAIN, **RANGES})
    counts = counted(stages, rows, tmp_path, **entry)
    assert (counts.rows, counts.flagged, counts.across, counts.changed) == (4, 3, 0, 0)
    assert counts.said == {
        "messages with train: false": 1, "messages with train: true": 1, "ranges with train: true": 1, "ranges with train: false": 1
    }  # fmt: skip
    plain = [chat(*((one["role"], one["content"]) for one in row["messages"])) for row in rows]
    left_out = risky = added = 0
    for row, without in zip(stages.rows(rows, **entry)[0], stages.rows(plain, **entry)[0], strict=True):
        for label, before, is_risky in zip(
            row["labels"], without["labels"], risky_tokens(stages.tokenizer, row["input_ids"])
        ):
            left_out += label < 0 <= before
            risky += label < 0 <= before and is_risky
            added += before < 0 <= label
    assert (counts.left_out, counts.risky, counts.added) == (left_out, risky, added) and min(left_out, risky, added) > 3


def test_flags_of_parts_and_segments_in_numbers(stages, tmp_path):
    parts = [
        text("Yes, it is Maria", weight=0),
        text(" Hern", weight=1.0),
        text("andez, she said.", train=True),
        text(" So", weight=2),
    ]
    counts = counted(stages, [answer(parts)], tmp_path, **of_chat({}))
    assert counts.said == {
        "parts with weight: 0": 1,
        "parts with weight: 1": 1,
        "parts with train: true": 1,
        "parts with weight: another number": 1,
    }
    assert counts.left_out > 3 and counts.across == 0 and counts.added == 0
    # a range inside one token
    counts = counted(
        stages,
        [answer("They are", ranges=[span(6, 6)])],
        tmp_path,
        **of_chat(RANGES),
    )
    assert counts.across == 1
    counts = counted(stages, OTHERS["input_output"], tmp_path, type="input_output")
    assert (counts.rows, counts.flagged) == (2, 2)
    assert counts.said == {"segments with label: false": 3, "segments with label: true": 4}
    assert counts.left_out > counts.risky > 0
    counts = counted(stages, OTHERS["completion"], tmp_path, type="completion")
    assert (counts.rows, counts.flagged, counts.said) == (1, 0, {})
