import pickle
import shutil
from functools import cache

import multiprocess
import pytest
import torch
from helpers.classifiers import LONGEST, SEQUENCE, TOKEN, save, save_tagger
from helpers.tiny import TEXT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from axolotl_slung.labeling import ClassifierLabeler, LabelerError
from axolotl_slung.labeling.text.sentences import split

KEY = "slung.labelers[0]"
TEXTS = [" ".join(TEXT[:4]), TEXT[4], "", " \n", "You liar!\nYou thief! " * 10, TEXT[9], TEXT[11] + TEXT[12]]


# a slow reference: each window of each piece alone, with nothing around it


@cache
def loaded(path):
    kind = TOKEN if "ForTokenClassification" in AutoConfig.from_pretrained(path).architectures[0] else SEQUENCE
    return AutoTokenizer.from_pretrained(path), kind.from_pretrained(path).eval()


def windows(path, piece):
    """Stretches of the piece's tokens that overlap by a quarter: (place of the first token, logits) of each."""
    tokenizer, model = loaded(path)
    around = tokenizer("")["input_ids"]
    longest = LONGEST - (model.config.pad_token_id + 1 if model.config.model_type == "roberta" else 0)
    size = longest - len(around)
    ids = tokenizer(piece, add_special_tokens=False)["input_ids"]
    first = 0
    while ids:
        window = [*around[:1], *ids[first : first + size], *around[1:]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([window])).logits[0].double()
        yield first, logits[len(around[:1]) : len(window) - len(around[1:])] if logits.ndim == 2 else logits
        if first + size >= len(ids):
            return
        first += size - size // 4


def reference_score(path, piece):
    """The highest probability over the windows, or None where there are none."""
    config = loaded(path)[1].config
    index = config.label2id["toxic"]
    found = []
    for _, logits in windows(path, piece):
        if config.problem_type or len(logits) == 1:
            found.append(1 / (1 + torch.exp(-logits[index])).item())
        else:
            found.append((torch.exp(logits[index]) / torch.exp(logits).sum()).item())
    return max(found, default=None)


MODELS = {
    "softmax": {},
    "sigmoid": {"problem_type": "multi_label_classification"},
    "one logit": {"labels": ["toxic"]},
    "positions from the padding on": {"arch": "roberta", "kind": "bytelevel"},
    "decoder": {"arch": "gpt2", "kind": "bytelevel_bos"},
    "decoder without padding": {"arch": "gpt2", "kind": "bytelevel", "pad": False},
}


@pytest.mark.parametrize("name", MODELS)
def test_sentences_and_documents_against_the_reference(folder, name):
    path = save(folder / name.replace(" ", "_"), **MODELS[name])
    scores = set()
    for unit in ("sentence", "document"):
        labeler = ClassifierLabeler(KEY, str(path), unit=unit)
        labeler.check()
        labeled = labeler.label(TEXTS, [{}] * len(TEXTS))
        pieces = split(TEXTS) if unit == "sentence" else [[(0, len(text))] for text in TEXTS]
        for text, spans, places in zip(TEXTS, labeled, pieces, strict=True):
            stripped = [text[s:e].strip() if unit == "sentence" else text[s:e] for s, e in places]
            expected = [reference_score(path, piece) for piece in stripped]
            assert [span[:2] for span in spans] == [p for p, score in zip(places, expected) if score is not None]
            known = [score for score in expected if score is not None]
            assert [span.score for span in spans] == pytest.approx(known, abs=1e-5)
            scores |= {round(span.score, 4) for span in spans}
    assert len(scores) > 5


@pytest.mark.parametrize("unit", ["sentence", "token"])
def test_a_batch_of_one_is_a_batch_of_many(toxic, tagger, unit):
    path, label = (tagger, "PER") if unit == "token" else (toxic, "toxic")
    many = ClassifierLabeler(KEY, str(path), label, unit, batch_size=64).label(TEXTS, [{}] * len(TEXTS))
    one = ClassifierLabeler(KEY, str(path), label, unit, batch_size=1)
    alone = [one.label([text], [{}])[0] for text in TEXTS]
    assert [[span[:2] for span in spans] for spans in many] == [[span[:2] for span in spans] for spans in alone]
    for spans, others in zip(many, alone):
        assert [span.score for span in spans] == pytest.approx([span.score for span in others], abs=1e-5)
    assert sum(map(len, many)) > 10


def test_every_token_of_a_long_text_is_tagged_once(tagger):
    """Single tokens as entities, each by the window in which it lies farther from a cut."""
    text = TEXTS[0]
    tokenizer = AutoTokenizer.from_pretrained(tagger)
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    read = [(first, logits) for first, logits in windows(tagger, text)]
    assert len(read) > 3
    expected = []
    for place, (start, end) in enumerate(offsets):
        seen = []
        for first, logits in read:
            left = place - first if first else 1000
            right = first + len(logits) - 1 - place if first + len(logits) < len(offsets) else 1000
            seen.append((min(left, right), first, logits))
        _, first, logits = max(seen, key=lambda window: window[:2])
        probabilities = torch.softmax(logits[place - first], -1)
        if probabilities.argmax() == 1:
            expected.append((start, end, probabilities.max().item()))
    (spans,) = ClassifierLabeler(KEY, str(tagger), "PER", "token").label([text], [{}])
    assert [span[:2] for span in spans] == [span[:2] for span in expected] and len(spans) > 3
    assert [span.score for span in spans] == pytest.approx([span[2] for span in expected], abs=1e-5)


@pytest.fixture(scope="module")
def literal(folder):
    """Makes token classifiers that tag the word "B-p" as B-p, and so on, and "B-p?" with less certainty."""

    def make(tags):
        words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", *tags, *(f"{tag}?" for tag in tags)])}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        path = folder / "_".join(tags)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(path)
        sizes = {"vocab_size": len(words), "hidden_size": len(tags), "intermediate_size": 4, "num_attention_heads": 1}
        labels = {"id2label": dict(enumerate(tags)), "label2id": {tag: index for index, tag in enumerate(tags)}}
        config = AutoConfig.for_model("bert", num_hidden_layers=0, max_position_embeddings=512, **sizes, **labels)
        model = TOKEN.from_config(config)
        with torch.no_grad():
            for parameter in model.bert.parameters():
                parameter.zero_()
            model.bert.embeddings.LayerNorm.weight.fill_(1)
            words = model.bert.embeddings.word_embeddings.weight[2:]
            words.copy_(torch.eye(len(tags)).repeat(2, 1))
            words[len(tags) :, 0] += 0.6
            model.classifier.weight.copy_(torch.eye(len(tags)) * 5)
            model.classifier.bias.zero_()
        model.save_pretrained(path)
        return path

    return make


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("O B-p I-p I-p O", ["B-p I-p I-p"]),
        ("B-p B-p I-p", ["B-p", "B-p I-p"]),
        ("I-p I-p O I-p", ["I-p I-p", "I-p"]),
        ("B-p I-p E-p I-p", ["B-p I-p E-p", "I-p"]),
        ("S-p S-p I-p", ["S-p", "S-p", "I-p"]),
        ("B-p B-q I-p", ["B-p", "I-p"]),
        ("B-p  I-p\nI-p", ["B-p  I-p\nI-p"]),
        ("O B-q", []),
        ("", []),
        ("B-p " * 700, ["B-p"] * 700),
        ("B-p" + " I-p" * 700, ["B-p" + " I-p" * 700]),
    ],
)
def test_tags_join_to_entities(literal, text, pieces):
    labeler = ClassifierLabeler(KEY, str(literal(["O", "B-p", "I-p", "E-p", "S-p", "B-q"])), "p", "token")
    (spans,) = labeler.label([text], [{}])
    assert [text[span.start : span.end] for span in spans] == pieces


def test_the_highest_probability_is_the_entitys(literal):
    labeler = ClassifierLabeler(KEY, str(literal(["O", "B-p", "I-p", "E-p", "S-p", "B-q"])), "p", "token")
    (doubtful,), (certain,), (both,) = labeler.label(["B-p?", "I-p", "B-p? I-p I-p?"], [{}] * 3)
    assert 0.5 < doubtful.score < certain.score - 1e-3
    assert both == (0, 13, pytest.approx(certain.score, abs=1e-6), "")


def test_labels_without_prefixes(literal):
    labeler = ClassifierLabeler(KEY, str(literal(["O", "name", "place"])), "name", "token")
    assert [span[:2] for span in labeler.label(["O name name place name"], [{}])[0]] == [(2, 11), (18, 22)]
    with pytest.raises(LabelerError, match=r"\.label: 'p': is not in .*; choose one of O, name, place"):
        ClassifierLabeler(KEY, labeler.source, "p", "token").check()


def test_a_blank_before_a_word_is_not_part_of_the_entity(folder):
    path = save_tagger(folder / "blanks", kind="unigram")
    text = "Maria met John at the old station. " * 5
    (spans,) = ClassifierLabeler(KEY, str(path), "PER", "token").label([text], [{}])
    assert len(spans) > 3
    assert all(text[span.start : span.end].strip() == text[span.start : span.end] for span in spans)


@given(st.lists(st.text(st.characters()), max_size=3))
@example(["\ud800", "a\0b. \0", "\r\n", "👩\u200d👩\u200d👧! 漢字。e\u0301", "[SEP] [PAD] you"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(toxic, tagger, texts):
    for path, label, unit in ((toxic, "toxic", "sentence"), (tagger, "PER", "token")):
        labeler = LABELERS.setdefault(unit, ClassifierLabeler(KEY, str(path), label, unit))
        for text, spans in zip(texts, labeler.label(texts, [{}] * len(texts)), strict=True):
            assert all(0 <= span.start < span.end <= len(text) and 0 <= span.score <= 1 for span in spans)
            assert spans == sorted(spans)


LABELERS = {}


def test_special_tokens_that_a_text_spells_out_are_ordinary(toxic):
    labeler = ClassifierLabeler(KEY, str(toxic))
    ((window,),) = labeler.model.read(["the [SEP] old [PAD] mill"], 1, "cpu")
    assert not {0, 1, 2} & set(window.ids[1:-1]) - {labeler.model.tokenizer.unk_token_id}


def test_weights_stay_out_of_the_pickle(toxic):
    labeler = ClassifierLabeler(KEY, str(toxic))
    labeler.check()
    pickled = pickle.dumps(labeler)
    assert len(pickled) < 1000
    threads = torch.get_num_threads()
    try:
        copied = pickle.loads(pickled).label(TEXTS, [{}] * len(TEXTS))
    finally:
        torch.set_num_threads(threads)
    for spans, others in zip(copied, labeler.label(TEXTS, [{}] * len(TEXTS)), strict=True):
        assert [span.score for span in spans] == pytest.approx([span.score for span in others], abs=1e-5)


def test_worker_processes(toxic):
    """They label what the main process labels, after it has; those of a machine with a GPU say what to do."""
    labeler = ClassifierLabeler(KEY, str(toxic))
    labeler.check()
    here = labeler.label(TEXTS, [{}] * len(TEXTS))
    with multiprocess.get_context("fork").Pool(1) as pool:  # as `datasets.map` does
        there = pool.apply_async(labeler.label, (TEXTS, [{}] * len(TEXTS))).get(timeout=60)
        for spans, others in zip(here, there, strict=True):
            assert [span.score for span in spans] == pytest.approx([span.score for span in others], abs=1e-5)
        labeler.device = "cuda"
        with pytest.raises(LabelerError, match=r"^slung.labelers\[0\]: worker processes .* one process"):
            pool.apply_async(labeler.label, (TEXTS, [{}] * len(TEXTS))).get(timeout=60)


def test_files_are_all_that_decides(toxic, tmp_path):
    path = shutil.copytree(toxic, tmp_path / "model")
    (path / "README.md").write_text("nothing")
    labeler = ClassifierLabeler(KEY, str(path))
    labeler.check()
    assert {file.name for file in labeler.files()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_model_in_the_hubs_cache(toxic, tmp_path, monkeypatch):
    """As `huggingface_hub` lays it out; offline, as all tests are."""
    snapshot = tmp_path / "models--someone--toxic" / "snapshots" / ("a" * 40)
    blobs = tmp_path / "models--someone--toxic" / "blobs"
    refs = tmp_path / "models--someone--toxic" / "refs"
    for made in (snapshot, blobs, refs):
        made.mkdir(parents=True)
    for file in toxic.iterdir():
        shutil.copy(file, blobs / f"blob-{file.name}")
        (snapshot / file.name).symlink_to(blobs / f"blob-{file.name}")
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    local = ClassifierLabeler(KEY, str(toxic)).label(TEXTS[:2], [{}] * 2)
    for revision in (None, "main", "a" * 40):
        labeler = ClassifierLabeler(KEY, "someone/toxic", revision=revision)
        labeler.check()
        assert labeler.label(TEXTS[:2], [{}] * 2) == local
        assert {file.parent for file in labeler.files()} == {blobs.resolve()}
    with pytest.raises(
        LabelerError,
        match=r"labelers\[0\]\.model: 'someone/toxic': is not a folder here, and cannot be downloaded from the Hugging",
    ):
        ClassifierLabeler(KEY, "someone/toxic", revision="b" * 40).check()
