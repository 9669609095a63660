"""Streamed data sets: Axolotl's own windows, labeled as the whole documents are."""

import pickle

import pytest
from helpers.axolotl_run import (
    prepare_in_process,
)
from helpers.streams import FORMS, assert_same, config, documents, rows_of, stream, train
from helpers.tiny import TEXT, tiny_model, tiny_tokenizer
from helpers.truth import NAME, risky
from transformers import AutoTokenizer

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import preset
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode
from axolotl_slung.training.data.row_labels import SlungDataError
from axolotl_slung.training.data.streaming import OverflowTokenizer

EXTRAS = ({"kind": "bytelevel_bos"}, {"kind": "unigram"}, {"workers": 1})
STOCK = [
    *((form, {}) for form in FORMS),
    *((form, extra) for form in ("pretraining", "concatenated", "packed", "supervised, packed") for extra in EXTRAS),
]


@pytest.mark.parametrize("form, extra", STOCK, ids=str)
def test_with_nothing_risky_batches_are_stock_axolotls(tmp_path, slung, form, extra):
    """Invariant 1: the same tokens in the same order, and the same losses."""
    keys = {"base_model": str(tiny_model(tmp_path, kind=extra.get("kind", "bytelevel")))}
    keys |= {"max_steps": 4 if extra else 10, "dataloader_num_workers": extra.get("workers", 0)}
    keys |= {"optimizer": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0}
    stock, expected = train(config(tmp_path, form, documents(), "stock", **keys))
    ours, batches = train(config(tmp_path, form, documents(), "ours", **keys, **slung(["Nobody Atall"])))
    assert_same(batches, expected)
    assert ours.losses == pytest.approx(stock.losses, rel=1e-5)


def segments(row, tokenizer):
    """A row's pieces of documents, as indices of its tokens, without the padding and the end behind each."""
    ids, positions = row["input_ids"], row.get("position_ids")
    pieces, piece = [], []
    for index, token_id in enumerate(ids):
        starts = positions[index] == 0 if positions else index and ids[index - 1] == tokenizer.pad_token_id
        if starts and piece:
            pieces, piece = [*pieces, piece], []
        if token_id not in (tokenizer.pad_token_id, tokenizer.eos_token_id):
            piece.append(index)
    return [p for p in [*pieces, piece] if p]


def places(piece, whole):
    """Where a piece may have been cut out of a document."""
    return [start for start in range(len(whole) - len(piece) + 1) if whole[start : start + len(piece)] == piece]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "packed without isolation"])
def test_a_window_has_the_labels_of_its_whole_document(tmp_path, slung, form):
    texts = documents()
    rows, tokenizer = stream(config(tmp_path, form, texts, **slung()))
    whole = [tokenizer(text)["input_ids"] for text in texts]
    truth = [risky(tokenizer, ids) for ids in whole]
    masked = cut_names = 0
    for row in rows:
        ids, labels = row["input_ids"], row["labels"]
        inside = set()
        for piece in segments(row, tokenizer):
            inside |= set(piece)
            found = [
                (document, start)
                for document, other in enumerate(whole)
                for start in places([ids[index] for index in piece], other)
            ]
            expected = {tuple(truth[document][start : start + len(piece)]) for document, start in found}
            assert len(expected) == 1, "the piece of no document, or of several"
            document, start = found[0]
            for index, is_risky in zip(piece, expected.pop()):
                if is_risky:
                    assert labels[index] <= FIRST_CODE and decode(labels[index])[:2] == (ids[index], 2)
                else:
                    assert labels[index] == ids[index]
                masked += is_risky
            before = truth[document][start - 1] if start else False
            cut_names += before and truth[document][start] and not tokenizer.decode(ids[piece[0]]).startswith(" Maria")
        for index in set(range(len(ids))) - inside:
            padded = ids[index] == tokenizer.pad_token_id
            assert labels[index] == (IGNORE if padded else tokenizer.eos_token_id)
    assert masked > 100
    # only where windows overlap or follow each other can one begin within a name
    assert bool(cut_names) == (FORMS[form][1] is not None or (form == "packed" and keeps_overflow(tokenizer)))


def keeps_overflow(tokenizer):
    """Whether this version of tokenizers gives all of a long text in windows (0.23.1 does not)."""
    options = {"truncation": True, "max_length": 10, "return_overflowing_tokens": True}
    return sum(map(len, tokenizer("a " * 50, **options)["input_ids"])) == len(tokenizer("a " * 50)["input_ids"])


@pytest.mark.parametrize("kind", ["bytelevel", "bytelevel_bos", "unigram", "wordpiece"])
def test_overlapping_windows_have_the_labels_of_the_whole(tmp_path, kind):
    """Whatever the script, and for every character of the text in turn."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path, kind))
    tagging = OverflowTokenizer(tokenizer, preset("masked"), "any", code_masked=True)
    text = " ".join(TEXT[9:12] + TEXT[:1])
    size, stride = 23 - tokenizer.num_special_tokens_to_add(), 7
    compared = 0
    for start in range(len(text)):
        spans = [Span(start, start + 1, 1.0)]
        labeled = zip(*tagging.labeled(text, spans))
        whole = [(token, label) for token, label in labeled if token not in tokenizer.all_special_ids]
        with tagging.noting(tagged=False) as windows:
            tagging([text], truncation=True, max_length=23, stride=stride, return_overflowing_tokens=True)
        for index, window in enumerate(windows):
            window.spans = spans
            labeled = zip(window.ids, tagging.labels_of(window))
            content = [(token, label) for token, label in labeled if token not in tokenizer.all_special_ids]
            expected = whole[index * (size - stride) :][: len(content)]
            if [token for token, _ in content] == [
                token for token, _ in expected
            ]:  # 0.23.1 may end a window differently
                assert content == expected
                compared += any(token != label for token, label in content)
    assert compared > 20


def test_spans_of_a_column_are_those_of_the_text(tmp_path, slung):
    """A labeler that reads the row sees the row's columns, and scores go along."""
    rows = []
    for text in documents():
        starts = [start for start in range(len(text)) if text.startswith(NAME, start)]
        rows.append({"text": text, "n": len(text), "spans": [[start, start + len(NAME), 1.0] for start in starts]})
    for form in ("concatenated", "packed", "supervised"):
        by_name, _ = stream(config(tmp_path, form, rows, **slung()))
        by_column, _ = stream(config(tmp_path, form, rows, **slung(labelers=[{"type": "spans"}])))
        assert by_column == by_name and any(label <= FIRST_CODE for row in by_name for label in row["labels"])


def pieces(rows, tokenizer):
    """The pieces of documents in a stream, sorted, as ids and labels."""
    chosen = [(row, indices) for row in rows for indices in segments(row, tokenizer)]
    return sorted([(row["input_ids"][i], row["labels"][i]) for i in indices] for row, indices in chosen)


@pytest.mark.parametrize("form", ["concatenated", "packed", "supervised, packed", "supervised"])
def test_actions_on_text_are_stock_axolotl_on_the_other_text(tmp_path, slung, form):
    texts = documents(36)
    ours, tokenizer = stream(config(tmp_path, form, texts, **slung(method="control")))
    stock, _ = stream(config(tmp_path, form, [text for text in texts if NAME not in text], "stock"))
    assert pieces(ours, tokenizer) == pieces(stock, tokenizer)

    without = [" ".join(text.replace(NAME, "").split()) for text in texts]
    _, ours = train(config(tmp_path, form, texts, **slung(method="low_risk")))
    _, stock = train(config(tmp_path, form, without, "stock"))
    assert_same(ours, stock)


def test_a_buffer_of_which_nothing_is_left(tmp_path, slung):
    """The stream goes on after it."""
    texts = [NAME] * 24 + documents(12, name="Nobody") + [NAME] * 12
    for form in ("concatenated", "packed", "supervised, packed", "supervised"):
        keys = {"shuffle_merged_datasets": False, **slung(method="control")}
        rows, tokenizer = stream(config(tmp_path, form, texts, **keys))
        assert len(rows) > 3 and not any(NAME in tokenizer.decode(row["input_ids"]) for row in rows)


def test_ends_and_starts_of_documents(tmp_path, slung):
    """`eos` and `mask_document_starts`: the start of a document, and not that of a window."""
    texts = [
        f"{NAME} and {text}" if index % 2 else f"{text} {NAME}" for index, text in enumerate(documents(20, every=300))
    ]
    for form in ("concatenated", "packed"):
        rows, tokenizer = stream(config(tmp_path, form, texts, **slung(eos="mask", mask_document_starts=True)))
        assert not any(label == tokenizer.eos_token_id for row in rows for label in row["labels"])
        whole = [tokenizer(text)["input_ids"] for text in texts]
        begun = 0
        for row in rows:
            for piece in segments(row, tokenizer):
                begins = any(0 in places([row["input_ids"][index] for index in piece], ids) for ids in whole)
                assert (row["labels"][piece[0]] == IGNORE) == begins
                assert IGNORE not in [row["labels"][index] for index in piece[1:]]
                begun += begins
        assert begun == len(texts)

        rows, tokenizer = stream(config(tmp_path, form, texts, **slung(eos="inherit")))
        for row in rows:
            for before, token_id, label in zip(row["labels"], row["input_ids"][1:], row["labels"][1:]):
                if token_id == tokenizer.eos_token_id:
                    assert (label <= FIRST_CODE and decode(label)[0] == token_id) == (before <= FIRST_CODE)


def test_every_pass_and_every_copy_is_the_same(tmp_path, slung):
    """What a data loader's workers get is a pickle, and each pass over the stream starts it again."""
    for form in FORMS:
        dataset = prepare_in_process(config(tmp_path, form, documents(), **slung())).train_dataset
        first = rows_of(dataset)
        assert first and first == rows_of(dataset) == rows_of(pickle.loads(pickle.dumps(dataset)))


def test_what_cannot_be_streamed_is_refused(tmp_path, slung):
    tokenized = [{"input_ids": [40, 41], "attention_mask": [1, 1], "labels": [40, 41]}] * 30
    for form in ("supervised, packed", "supervised"):
        with pytest.raises(SlungDataError, match=r"datasets\[0\]: it is already tokenized.* `streaming: true` out"):
            stream(config(tmp_path, form, tokenized, **slung()))
    for form in ("pretraining", "packed"):
        with pytest.raises(SlungDataError, match=r"pretraining_dataset\[0\].text_column: .*'text'; it has body"):
            stream(config(tmp_path, form, [{"body": "x"}], **slung()))
    names = slung()["slung"]["labelers"]
    known = config(tmp_path, "packed", documents(), **slung(labelers=[{**names[0], "datasets": ["json"]}]))
    assert any(label <= FIRST_CODE for row in stream(known)[0] for label in row["labels"])
    unknown = config(tmp_path, "packed", documents(), **slung(labelers=[{**names[0], "datasets": ["other"]}]))
    with pytest.raises(ValueError, match=r"slung.labelers\[0\].datasets.*'other'.*\['json'\]"):
        stream(unknown)
