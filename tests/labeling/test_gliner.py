"""The labeler `gliner`, with a tiny model of random weights."""

import json
import shutil

import pytest
import torch
from helpers.tiny import TEXT, tiny_tokenizer
from transformers import AutoTokenizer

from axolotl_slung.labeling import GlinerLabeler, LabelerError

gliner = pytest.importorskip("gliner", reason="gliner 0.2.29 does not go with the Transformers of Axolotl 0.21")

KEY = "slung.labelers[0]"
LABELS = ["person name", "place", "email address"]
WORDS, TOKENS = 20, 64
TEXTS = [
    " ".join(TEXT[:3]),
    TEXT[6],
    "",
    " \n",
    TEXT[9] + "\t" + TEXT[10] + TEXT[11],
    "<<SEP>> [SEP] a_b 👩\u200d👩 x " * 6,
    "supercalifragilistic" * 30 + " end of it",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    from gliner import GLiNER
    from gliner.config import GLiNERConfig

    folder = tmp_path_factory.mktemp("gliner")
    tokenizer = tiny_tokenizer(folder, "wordpiece")
    encoder = {
        "model_type": "bert",
        "vocab_size": len(AutoTokenizer.from_pretrained(tokenizer)),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": TOKENS,
        "initializer_range": 0.5,
    }
    torch.manual_seed(1)
    config = GLiNERConfig(
        model_name=str(tokenizer), encoder_config=encoder, hidden_size=32, max_len=WORDS, max_width=4, dropout=0.0
    )
    GLiNER.from_config(config, backbone_from_pretrained=False).save_pretrained(folder / "m", safe_serialization=True)
    return folder / "m"


@torch.no_grad()
def reference(model, text):
    """(start, end, label) to the highest probability over windows, one window at a time, from the logits."""
    tokenizer = model.data_processor.transformer_tokenizer
    count = lambda piece: len(tokenizer(piece, add_special_tokens=False)["input_ids"])  # noqa: E731
    room = TOKENS - sum(count(label) + 1 for label in LABELS) - 1 - 2
    words = [(start, end) for _, start, end in model.data_processor.words_splitter(text)]
    found, first = {}, 0
    while first < len(words):
        last = first + 1
        while last < len(words) and last - first < WORDS:
            if sum(count(text[start:end]) for start, end in words[first : last + 1]) > room:
                break
            last += 1
        mine = words[first:last]
        prepared = model.prepare_batch([text[mine[0][0] : mine[-1][1]]], LABELS)
        assert [len(tokens) for tokens in prepared["tokens"]] == [len(mine)]
        batch = model.collate_batch(prepared["input_x"], prepared["entity_types"], model.create_collator())
        logits = model.model(**batch, threshold=0.0)[0][0].double()
        for begin in range(len(mine)):
            for width in range(min(4, len(mine) - begin)):
                for label, logit in zip(LABELS, logits[begin, width]):
                    place = mine[begin][0], mine[begin + width][1], label
                    found[place] = max(found.get(place, 0.0), 1 / (1 + torch.exp(-logit)).item())
        if last == len(words):
            break
        first = max(first + 1, last - len(mine) // 4)
    return found


def test_every_span_of_every_window_against_the_reference(path):
    labeler = GlinerLabeler(KEY, str(path), LABELS, floor=0.0)
    labeler.check()
    alone = GlinerLabeler(KEY, str(path), LABELS, floor=0.0, batch_tokens=1)
    rows = [{}] * len(TEXTS)
    scores = sorted(span.score for spans in labeler.label(TEXTS, rows) for span in spans)
    middle = (scores[len(scores) // 2] + scores[len(scores) // 2 + 1]) / 2
    some = GlinerLabeler(KEY, str(path), LABELS, floor=middle)
    model = gliner.GLiNER.from_pretrained(str(path), local_files_only=True).eval()
    for text, *labeled in zip(TEXTS, *(one.label(TEXTS, rows) for one in (labeler, alone, some)), strict=True):
        expected = reference(model, text)
        for spans in labeled[:2]:
            assert spans == sorted(spans)
            found = {(span.start, span.end, span.kind): span.score for span in spans}
            assert found == pytest.approx(expected, abs=1e-5) and len(found) == len(spans)
        # another floor does not change the batches, so scores are equal to the last bit
        assert labeled[2] == [span for span in labeled[0] if span.score >= middle]
        assert bool(expected) == bool(text.strip())
    assert scores[0] < middle - 1e-3 and middle + 1e-3 < scores[-1]


def test_files_are_all_that_decides(path):
    labeler = GlinerLabeler(KEY, str(path), LABELS)
    labeler.check()
    assert {file.name for file in labeler.files()} == {
        "gliner_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert labeler.packages == ("gliner", "transformers", "tokenizers")


def refused(path, says, **options):
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]{says}"):
        GlinerLabeler(KEY, str(path), **{"labels": LABELS, **options}).check()


def test_models_and_labels_that_cannot_be_used(path, tmp_path):
    refused(tmp_path / "none", r"\.model: '.*none': is not a folder here")
    refused(tmp_path, r"\.model: .*: cannot be loaded: .*; if it lacks its encoder's files, load it once with gliner")
    refused(
        path, r"\.labels: 40 labels take \d+ of the 64 tokens that the model reads at once", labels=LABELS[1:2] * 40
    )
    refused(path, r"\.floor: 0\.2: is above 0\.1, where a bucket begins", floor=0.2, thresholds=[0.1, 0.9])
    copy = shutil.copytree(path, tmp_path / "wider")
    said = json.loads((copy / "gliner_config.json").read_text())
    said["encoder_config"]["num_hidden_layers"] = 2
    (copy / "gliner_config.json").write_text(json.dumps(said))
    refused(copy, r"\.model: .*: has no weights for .*encoder\.layer\.1\..*; use a complete model")


def test_errors_do_not_quote_the_text(path, monkeypatch):
    labeler = GlinerLabeler(KEY, str(path), LABELS)
    labeler.check()

    def fail(pieces, *_, **__):
        raise ValueError(f"cannot read {pieces}")

    monkeypatch.setattr(labeler.model, "inference", fail)
    with pytest.raises(LabelerError, match=r"gliner failed: ValueError on 1 texts of up to 15 characters") as caught:
        labeler.label(["Maria Hernandez"], [{}])
    assert "Maria" not in str(caught.value) and caught.value.__suppress_context__
