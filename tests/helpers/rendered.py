"""Rows prepared with labelers of every kind, and the words that are masked in them."""

import re

import pytest

from helpers.axolotl_run import base_config, prepare_in_process
from helpers.chat_truth import spelt
from helpers.chats import INSULT
from helpers.tiny import tiny_model, write_jsonl

MAIL = "ann.example@mail.com"
PHRASES = {"type": "custom", "class_path": "helpers.chats:PhraseLabeler", "cuts": [1e-4, 0.99]}
MAILS = {"type": "custom", "class_path": "helpers.rendered:Mails", "cuts": [1e-4, 0.99]}
WHOLE = {"type": "custom", "class_path": "helpers.rendered:WholeTexts", "cuts": [1e-4, 0.99]}
SPANS = {"type": "spans"}


class Mails:
    """Marks e-mail addresses in a document, as `type: presidio` does; strings with markup around them are none."""

    scope = "document"

    def label(self, texts, rows):
        return [[(m.start(), m.end(), 1.0) for m in re.finditer(r"(?<!\\)[\w.]+@[\w.]+\w", text)] for text in texts]


class WholeTexts:
    """Marks every text with the phrase from its first character to its last, as classifiers of documents do."""

    def label(self, texts, rows):
        return [[(0, len(text), 1.0)] if INSULT in text else [] for text in texts]


@pytest.fixture
def prepare(tmp_path, slung):
    """Rows as Axolotl hands them to its trainer, and the tokenizer; stock Axolotl's without labelers."""
    made = []

    def rows(rows, *labelers, kind="bytelevel_bos", template="qwen3", overrides=None, block=None, **entry):
        made.append(None)
        folder = tmp_path / str(len(made))
        path = write_jsonl(folder / "rows.jsonl", rows)
        keys = slung(labelers=list(labelers), **(block or {})) if labelers else {}
        jinja = (
            {"chat_template": "jinja", "chat_template_jinja": template}
            if "{" in template
            else {"chat_template": template}
        )
        config = base_config(
            folder, base_model=str(tiny_model(tmp_path, kind=kind)), sequence_len=4096, shuffle_merged_datasets=False,
            datasets=[{"path": str(path), "ds_type": "json", "type": "chat_template", **jinja, **entry}],
            **{"special_tokens": {"eos_token": "<|im_end|>"}, **(overrides or {})}, **keys,
        )  # fmt: skip
        run = prepare_in_process(config)
        return list(run.train_dataset), run.tokenizer

    return rows


def runs(tokenizer, row, choose=lambda label: label < -100) -> list[str]:
    """The texts of the runs of chosen tokens, without the white space around them."""
    found, last = [], None
    for index, (token, label) in enumerate(zip(row["input_ids"], row["labels"], strict=True)):
        if choose(label):
            if last != index - 1:
                found.append(b"")
            found[-1] += spelt(tokenizer, [token])[0]
            last = index
    return [run.decode().strip() for run in found]


def masked(prepared) -> list[list[str]]:
    rows, tokenizer = prepared
    return [runs(tokenizer, row) for row in rows]
