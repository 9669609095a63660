import pickle
import shutil
from functools import cache

import multiprocess
import pytest
import torch
from helpers.classifiers import LONGEST, SEQUENCE, save
from helpers.tiny import TEXT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from axolotl_slung.labeling import ClassifierLabeler, LabelerError
from axolotl_slung.labeling.text.sentences import split

KEY = "slung.labelers[0]"
TEXTS = [" ".join(TEXT[:4]), TEXT[4], "", " \n", "You liar!\nYou thief! " * 10, TEXT[9], TEXT[11] + TEXT[12]]


# a slow reference: each window of each piece alone, with nothing around it


@cache
def loaded(path):
    return AutoTokenizer.from_pretrained(path), SEQUENCE.from_pretrained(path).eval()


def windows(path, piece):
    """The logits of stretches of the piece's tokens that overlap by a quarter."""
    tokenizer, model = loaded(path)
    around = tokenizer("")["input_ids"]
    longest = LONGEST - (model.config.pad_token_id + 1 if model.config.model_type == "roberta" else 0)
    size = longest - len(around)
    ids = tokenizer(piece, add_special_tokens=False)["input_ids"]
    first = 0
    while ids:
        window = [*around[:1], *ids[first : first + size], *around[1:]]
        with torch.no_grad():
            yield model(input_ids=torch.tensor([window])).logits[0].double()
        if first + size >= len(ids):
            return
        first += size - size // 4


def reference_score(path, piece):
    """The highest probability over the windows, or None where there are none."""
    config = loaded(path)[1].config
    index = config.label2id["toxic"]
    found = []
    for logits in windows(path, piece):
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


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_each_label_of_a_list_has_spans_of_its_own(folder, problem_type):
    path = str(save(folder / f"several_{problem_type}", problem_type=problem_type))
    rows = [{}] * len(TEXTS)
    (both, toxic, spam) = (
        ClassifierLabeler(KEY, path, label).label(TEXTS, rows) for label in (["toxic", "spam"], "toxic", "spam")
    )
    for spans, first, second in zip(both, toxic, spam, strict=True):
        for kind, alone in (("toxic", first), ("spam", second)):
            assert [span for span in spans if span.kind == kind] == alone
        assert spans == sorted(spans) and len(spans) == len(first) + len(second)


def test_factors_add_up_to_one_score(folder, toxic):
    rows = [{}] * len(TEXTS)
    (summed, first, second) = (
        ClassifierLabeler(KEY, str(toxic), label, "document").label(["You liar!"], rows[:1])[0][0].score
        for label in ({"toxic": 0.25, "spam": 1}, "toxic", "spam")
    )
    assert summed == pytest.approx(0.25 * first + second, abs=1e-6)
    sigmoid = ClassifierLabeler(
        KEY, str(save(folder / "sums", problem_type="multi_label_classification")), {"toxic": 1}
    )
    with pytest.raises(LabelerError, match=r"\.label: expected one label or a list, got factors: .*; list the labels"):
        sigmoid.check()


@pytest.mark.parametrize("unit", ["sentence", "token"])
def test_a_batch_of_one_is_a_batch_of_many(toxic, tagger, unit):
    path, label = (tagger, "PER") if unit == "token" else (toxic, "toxic")
    many = ClassifierLabeler(KEY, str(path), label, unit, batch_tokens=8192).label(TEXTS, [{}] * len(TEXTS))
    one = ClassifierLabeler(KEY, str(path), label, unit, batch_tokens=1)
    alone = [one.label([text], [{}])[0] for text in TEXTS]
    assert [[span[:2] for span in spans] for spans in many] == [[span[:2] for span in spans] for spans in alone]
    for spans, others in zip(many, alone):
        assert [span.score for span in spans] == pytest.approx([span.score for span in others], abs=1e-5)
    assert sum(map(len, many)) > 10


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
