"""Rows as texts with spans: the tokens of `documents`, and the names where they are."""

import pytest
from helpers.axolotl_run import as_if_fresh, base_config, write_config
from helpers.tiny import CHATML, tiny_model, write_jsonl

NAME = "Maria Hernandez"
TEXT = f"The mill burned. {NAME} left it on a boat, and {NAME} never came back to the old stone harbour."
ROWS = {
    "completion": [{"text": TEXT}, {"text": NAME}, {"text": "no name"}],
    "alpaca": [{"instruction": f"Who is {NAME}?", "input": "", "output": f"A miller. {TEXT}"}],
    "chat_template": [
        {"messages": [{"role": "user", "content": f"Who is {NAME}?"}, {"role": "assistant", "content": TEXT}] * 2}
    ],
}


@pytest.fixture
def opened(tmp_path, slung):
    def opened(form, kind, **keys):
        path = write_jsonl(tmp_path / "rows.jsonl", ROWS[form])
        entry = {"path": str(path), "ds_type": "json", "type": form}
        if form == "chat_template":
            entry |= {"chat_template": "jinja", "chat_template_jinja": CHATML}
        model = str(tiny_model(tmp_path, kind=kind))
        with as_if_fresh(tmp_path):
            from axolotl.cli.config import load_cfg
            from axolotl.loaders import load_tokenizer

            from axolotl_slung.training.data.look import data_sets

            config = base_config(tmp_path, base_model=model, datasets=[entry], **slung(), **keys)
            cfg = load_cfg(str(write_config(config, tmp_path)))
            [one] = data_sets(cfg, load_tokenizer(cfg))
            return [text for row in one.spanned() for text in row], list(one.documents())

    return opened


def names(text):
    return [text.text[start:end] for start, end in sorted({(span.start, span.end) for span in text.spans})]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("completion", "bytelevel"),
        ("completion", "bytelevel_bos"),
        ("completion", "unigram"),
        ("completion", "wordpiece"),
        ("alpaca", "bytelevel_bos"),
        ("alpaca", "unigram"),
        ("chat_template", "bytelevel_bos"),
    ],
)
def test_texts_have_the_tokens_of_documents(opened, form, kind):
    texts, documents = opened(form, kind, sequence_len=512)
    assert len(texts) == len(documents) == len(ROWS[form])
    for text, document in zip(texts, documents):
        pieces = [text.text[start:end] for start, end in zip(text.edges, text.edges[1:])]
        assert pieces == document.tokens[: len(pieces)]
        assert "".join(pieces) == text.text
        # the rest are tokens that a strategy adds at the end
        assert len(document.tokens) - len(pieces) <= 1
        assert text.trained.tolist() == document.trainable[: len(pieces)].tolist()
        assert len(text.trained_characters()) == len(text.text)
        assert names(text) == [NAME] * text.text.count(NAME) and not text.cut
    assert texts[0].text.endswith("harbour.") or form == "chat_template"


def test_a_text_that_is_cut_has_whole_spans_and_parts_of_spans(opened):
    texts, _ = opened("completion", "bytelevel", sequence_len=24)
    cut_up = [text for text in texts if text.text in TEXT]
    assert "".join(text.text for text in texts).startswith(TEXT)
    assert sum(len(text.spans) for text in cut_up) + sum(bool(text.cut) for text in cut_up) >= 3
    assert all(name == NAME for text in texts for name in names(text))
    for text in texts:
        for part in text.cut:
            assert text.text[part.start : part.end] in NAME and part.end - part.start < len(NAME)
            assert part.start == 0 or part.end == len(text.text)
