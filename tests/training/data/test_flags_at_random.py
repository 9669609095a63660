"""Flags of every kind at random: the labels are stock Axolotl's, but for the risky tokens."""

import json
import logging
import random
from itertools import pairwise

import pytest
from helpers.chat_truth import differences, risky_tokens
from helpers.chats import INSULT, NAME, call
from helpers.flags import TEMPLATES, Stages, span, text

HARMLESS = ("the old mill", "seven wheels")
"""Stand for the risky phrases where nothing is to be found."""

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


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    return Stages(tmp_path_factory.mktemp("unigram"), "unigram")


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
