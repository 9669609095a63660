"""Chats whose own data says what is trained, and stock Axolotl beside the plugin."""

import pytest
from axolotl.utils.chat_templates import get_chat_template
from datasets import Dataset

from helpers.chats import INSULT, LABELERS, NAME, Stage, chat
from helpers.rendered import runs

TEMPLATES = {name: get_chat_template(name) for name in ("qwen3", "llama3", "chatml", "mistral_v7_tekken")}
ANSWER = f"Yes, it is {NAME}, she said."
THOUGHT = f"I know {INSULT} well."
TRAIN, WEIGHT, RANGES = (
    {"message_field_training": "train"},
    {"message_field_training": "weight"},
    {"message_field_training_detail": "ranges"},
)


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


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    return Stages(tmp_path_factory.mktemp("qwen"), "bytelevel_bos")


def text(value, **keys):
    return {"type": "text", "text": value, **keys}


def span(begin, end, train=True, **keys):
    """A range of characters, both ends included, as Axolotl counts."""
    return {"begin_offset": begin, "end_offset": end, "train": train, **keys}


def answer(content=ANSWER, **keys):
    # the contents of a data set are of one type
    return chat(("user", "Who?" if isinstance(content, str) else [text("Who?")]), ("assistant", content, keys))


def at(part, train=True, of=ANSWER, **keys):
    start = of.index(part)
    return span(start, start + len(part) - 1, train, **keys)


def segments(*labels):
    texts = (f"Who is it? {NAME}? ", "It is Maria", " Hernandez, she said.", f" {INSULT}\n")
    return {"segments": [{"text": one, "label": label} for one, label in zip(texts, labels, strict=True)]}


OTHERS = {
    "input_output": [segments(False, True, False, True), segments(True, False, True, None)],
    "input_output, numbers": [segments(0, 1, 1, 0), segments(0, None, 1, 1)],
    "alpaca": [{"instruction": f"Who is {NAME}?", "input": INSULT, "output": f"It is {NAME}."}],
    "completion": [{"text": f"{NAME} is {INSULT}."}],
}
