"""`unit: token`: the probability of each label for each word, against a slow reference in float64."""

import unicodedata
from functools import cache
from itertools import chain, pairwise

import pytest
import torch
from helpers.classifiers import LONGEST, TOKEN, save, save_tagger
from helpers.tiny import TEXT
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from axolotl_slung.config import SlungConfig
from axolotl_slung.labeling import ClassifierLabeler, LabelerError
from axolotl_slung.labeling.build import build

KEY = "slung.labelers[0]"
TEXTS = [
    " ".join(TEXT[:4]),
    TEXT[6],
    "",
    " \n",
    "You  liar!\n\nYou thief! " * 10,
    TEXT[9] + "\t" + TEXT[10],
    TEXT[11] + TEXT[12],
    "a_b don't e\u0301l\u00a0x 👩\u200d👩 \U0001f600😀 नमस्ते ไทย tail ",
]

# the reference: one text, one window and one token at a time


@cache
def loaded(path):
    return AutoTokenizer.from_pretrained(path), TOKEN.from_pretrained(path, dtype=torch.float64).eval()


def tags_of(label, tags):
    """The places of a label's tags."""
    forms = {label, *(f"{prefix}{dash}{label}" for prefix in "BIMELSU" for dash in "-_")}
    return [place for place, tag in enumerate(tags) if tag in forms]


def tokens_of(path, text, window):
    """(start, end, logits) of each token, from the window in which it has most context."""
    tokenizer, model = loaded(path)
    around = tokenizer("")["input_ids"]
    size = window - len(around)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    read, first = [], 0
    while ids:
        row = [*around[:1], *ids[first : first + size], *around[1:]]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row])).logits[0]
        read.append((first, logits[len(around[:1]) : len(row) - len(around[1:])]))
        if first + size >= len(ids):
            break
        first += size - size // 4
    for place, (start, end) in enumerate(offsets):
        seen = []
        for first, logits in read:
            if first <= place < first + len(logits):
                left = place - first if first else 10**9
                right = first + len(logits) - 1 - place if first + len(logits) < len(ids) else 10**9
                seen.append((min(left, right), first, logits))
        _, first, logits = max(seen, key=lambda window: window[:2])
        yield start, end, logits[place - first]


SPACELESS = ("CJK", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR")


def of_a_word(char):
    letter = unicodedata.category(char)[0] in "LM" or unicodedata.category(char) == "Nd"
    return (letter or char == "\u200d") and not unicodedata.name(char).startswith(SPACELESS)


def reference(path, text, labels, window=LONGEST):
    """(start, end, score, kind) of each word, without a floor."""
    tags = list(loaded(path)[1].config.id2label.values())
    words = []
    for start, end, logits in tokens_of(path, text, window):
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if start == end:
            continue
        powers = [torch.exp(logit - logits.max()).item() for logit in logits]
        scores = [sum(powers[place] for place in tags_of(label, tags)) / sum(powers) for label in labels]
        last = words[-1] if words else None
        same = last and (
            start < last[1] or (start == last[1] and of_a_word(text[start - 1]) and of_a_word(text[start]))
        )
        if same:
            words[-1] = (last[0], max(end, last[1]), [max(pair) for pair in zip(last[2], scores)])
        else:
            words.append((start, end, scores))
    found = []
    for place, (start, end, scores) in enumerate(words):
        for number, (label, score) in enumerate(zip(labels, scores)):
            first, stop = start, end
            if place and words[place - 1][2][number] > score:
                first = words[place - 1][1]
            if place + 1 < len(words) and words[place + 1][2][number] >= score:
                stop = words[place + 1][0]
            found.append((first, stop, score, label))
    return sorted(found)


def agree(spans, expected):
    """The same score for each character; a gap between scores that are equal in float32 may be part of either word."""
    found = {(place, span.kind): span.score for span in spans for place in range(span.start, span.end)}
    wanted = {(place, kind): score for start, end, score, kind in expected for place in range(start, end)}
    assert found == pytest.approx(wanted, abs=1e-5)
    assert len(spans) == len(expected) and len(found) == sum(span.end - span.start for span in spans)


MODELS = {
    "BIO": {"labels": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]},
    "BIOES": {
        "labels": ["O", *(f"{prefix}-{label}" for label in ("PER", "LOC") for prefix in "BIES")],
        "arch": "roberta",
        "kind": "bytelevel",
    },
    "BILOU": {"labels": ["U-LOC", "B-PER", "I-PER", "L-PER", "U-PER", "O"], "kind": "unigram"},
    "plain": {"labels": ["LOC", "PER"], "arch": "gpt2", "kind": "bytelevel_bos"},
    "BMES": {"labels": ["LOC", "B_PER", "M_PER", "E_PER", "S_PER"], "arch": "gpt2", "kind": "bytelevel", "pad": False},
}


@pytest.fixture(scope="module")
def model(folder):
    return lambda name: (
        save(folder / name, auto=TOKEN, **MODELS[name]) if not (folder / name).exists() else folder / name
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_word_against_the_reference(model, name):
    path = model(name)
    labeler = ClassifierLabeler(KEY, str(path), ["PER", "LOC"], "token", floor=0.0)
    labeler.check()
    longest = LONGEST - (loaded(path)[1].config.pad_token_id + 1 if name == "BIOES" else 0)
    for text, spans in zip(TEXTS, labeler.label(TEXTS, [{}] * len(TEXTS)), strict=True):
        agree(spans, reference(path, text, ["PER", "LOC"], longest))
        assert spans == sorted(spans)


@pytest.mark.parametrize("window", [16, 19, 40])
def test_a_model_without_a_limit_reads_windows_as_long_as_the_config_says(folder, window):
    path = folder / "unlimited"
    if not path.exists():
        save(path, auto=TOKEN, arch="t5", labels=MODELS["BIO"]["labels"], d_kv=8, max_position_embeddings=None)
    labeler = ClassifierLabeler(KEY, str(path), ["LOC", "PER"], "token", floor=0.0, window=window, batch_tokens=1)
    labeler.check()
    assert labeler.model.longest == window
    agree(labeler.label(TEXTS[:1], [{}])[0], reference(path, TEXTS[0], ["LOC", "PER"], window))


def test_a_window_that_special_tokens_fill_is_refused(model):
    labeler = ClassifierLabeler(KEY, str(model("BIO")), "PER", "token", window=2)
    with pytest.raises(LabelerError, match=r"\.model: .* reads 2 tokens at once, which its special tokens fill; raise"):
        labeler.label(TEXTS[:1], [{}])


def test_batches_hold_like_lengths_and_no_more_tokens_than_the_config_says(model):
    labeler = ClassifierLabeler(KEY, str(model("BIO")), "PER", "token")
    windows = [window for piece in labeler.model.windows(TEXTS * 3) for window in piece]
    batches = list(labeler.model.batches(windows, 100))
    lengths = [[len(window.ids) for window in batch] for batch in batches]
    assert sorted(map(id, chain.from_iterable(batches))) == sorted(map(id, windows))
    assert list(chain.from_iterable(lengths)) == sorted(len(window.ids) for window in windows)
    assert all(len(batch) * max(batch) <= 100 for batch in lengths)
    # as few batches as that allows
    assert all((len(batch) + 1) * after[0] > 100 for batch, after in pairwise(lengths))
    assert [len(batch) for batch in labeler.model.batches(windows, 1)] == [1] * len(windows)


@pytest.fixture(scope="module")
def literal(folder):
    """Makes token classifiers that tag the word "B-p" as B-p, and so on, "B-p?" with less certainty, and "B-p??" as the
    first tag.
    """

    def make(tags):
        words = [f"{tag}{doubt}" for doubt in ("", "?", "??") for tag in tags]
        words = {word: index for index, word in enumerate(["[PAD]", "[UNK]", *words])}
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
            words.copy_(torch.eye(len(tags)).repeat(3, 1))
            words[len(tags) : 2 * len(tags), 0] += 0.6
            words[2 * len(tags) :, 0] += 1.1
            model.classifier.weight.copy_(torch.eye(len(tags)) * 5)
            model.classifier.bias.zero_()
        model.save_pretrained(path)
        return path

    return make


TAGS = ["O", "B-p", "I-p", "E-p", "S-p", "B-q"]


def probabilities(path, word):
    tokenizer, model = loaded(path)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[tokenizer.convert_tokens_to_ids(word)]])).logits[0, 0]
    return dict(zip(model.config.id2label.values(), torch.softmax(logits, -1).tolist()))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("O B-p I-p I-p O", ["B-p I-p I-p"]),
        ("B-p B-p I-p", ["B-p B-p I-p"]),
        ("I-p I-p O I-p", ["I-p I-p", "I-p"]),
        ("B-p B-q I-p", ["B-p", "I-p"]),
        ("B-p  I-p\nI-p", ["B-p  I-p\nI-p"]),
        ("O B-q", []),
        ("", []),
        ("B-p" + " I-p" * 700, ["B-p" + " I-p" * 700]),
    ],
)
def test_neighbors_from_a_score_on_are_one_stretch(literal, text, pieces):
    """From any score on: what stands between two words reaches it if both do."""
    (spans,) = ClassifierLabeler(KEY, str(literal(TAGS)), "p", "token", floor=0.0).label([text], [{}])
    risky = [any(span.start <= place < span.end and span.score > 0.5 for span in spans) for place in range(len(text))]
    stretches = "".join(char if inside else "\0" for char, inside in zip(text, risky)).split("\0")
    assert [stretch for stretch in stretches if stretch] == pieces


def test_a_score_is_the_sum_over_all_tags_of_the_label(literal):
    path = literal(TAGS)
    labeler = ClassifierLabeler(KEY, str(path), ["p", "q", "O", "E-p"], "token", floor=0.0)
    for word in (*TAGS, "B-p?", "B-q?", "I-p??"):
        by_tag = probabilities(path, word)
        (spans,) = labeler.label([word], [{}])
        of_kind = {span.kind: span.score for span in spans}
        assert of_kind["p"] == pytest.approx(sum(by_tag[tag] for tag in ("B-p", "I-p", "E-p", "S-p")), abs=1e-6)
        assert of_kind["q"] == pytest.approx(by_tag["B-q"], abs=1e-6)
        assert of_kind["O"] == pytest.approx(by_tag["O"], abs=1e-6)
        assert of_kind["E-p"] == pytest.approx(by_tag["E-p"], abs=1e-6)


def test_a_word_whose_best_tag_is_outside_keeps_its_score(literal):
    """So a lower cut finds more: the best tag decides nothing."""
    path = literal(["O", "B-p", "I-p"])
    by_tag = probabilities(path, "B-p??")
    assert max(by_tag, key=by_tag.get) == "O"
    ((span,),) = ClassifierLabeler(KEY, str(path), "p", "token").label(["B-p??"], [{}])
    assert span.score == pytest.approx(1 - by_tag["O"], abs=1e-6) and 0.2 < span.score < 0.5


def test_words_below_the_floor_have_no_span(literal):
    path = literal(TAGS)
    words = ["O", "B-p", "B-p?", "B-q", "O"]
    every, some = (
        ClassifierLabeler(KEY, str(path), ["p", "q"], "token", floor=floor).label([" ".join(words)], [{}])[0]
        for floor in (0.0, 0.1)
    )
    assert len(every) == 10
    assert some == [span for span in every if span.score >= 0.1] and 2 < len(some) < 10


def test_labels_without_prefixes(literal):
    labeler = ClassifierLabeler(KEY, str(literal(["O", "name", "place"])), "name", "token", floor=0.5)
    (spans,) = labeler.label(["O name name place name"], [{}])
    assert (spans[0].start, spans[1].end) == (2, 11) and spans[2][:2] == (18, 22) and len(spans) == 3
    with pytest.raises(LabelerError, match=r"\.label: 'p': is not in .*; choose one of O, name, place"):
        ClassifierLabeler(KEY, labeler.source, "p", "token").check()


def test_labels_that_no_model_can_have(literal):
    path = str(literal(TAGS))
    with pytest.raises(LabelerError, match=r"\.label: 'r': is not in .*; choose one of O, p, q$"):
        ClassifierLabeler(KEY, path, ["p", "r"], "token").check()
    with pytest.raises(LabelerError, match=r"\.label: 'p': is given twice; remove one"):
        ClassifierLabeler(KEY, path, ["p", "p"], "token").check()
    with pytest.raises(LabelerError, match=r"\.label: 'B-p': is given twice; remove one"):
        ClassifierLabeler(KEY, path, {"p": 1.0, "B-p": 0.5}, "token").check()


def test_factors_make_one_score(literal):
    path = literal(["O", "mild", "grave"])
    labeler = ClassifierLabeler(KEY, str(path), {"mild": 0.5, "grave": 1.0}, "token", floor=0.0)
    for word in ("O", "mild?", "mild", "grave?", "grave"):
        by_tag = probabilities(path, word)
        ((span,),) = labeler.label([word], [{}])
        assert span.score == pytest.approx(0.5 * by_tag["mild"] + by_tag["grave"], abs=1e-6) and span.kind == ""


def test_a_floor_above_the_lowest_bucket_is_refused(literal):
    path = str(literal(TAGS))
    ClassifierLabeler(KEY, path, "p", "token", floor=0.2, thresholds=[0.2, 0.9]).check()
    with pytest.raises(
        LabelerError, match=r"\.floor: 0\.2: is above 0\.1, where a bucket begins: .*; set `floor: 0\.1`"
    ):
        ClassifierLabeler(KEY, path, "p", "token", floor=0.2, thresholds=[0.1, 0.9]).check()


def test_a_blank_before_a_word_is_not_part_of_it(folder):
    path = save_tagger(folder / "blanks", kind="unigram")
    text = "Maria met John at the old station. " * 5
    (spans,) = ClassifierLabeler(KEY, str(path), "PER", "token", floor=0.2).label([text], [{}])
    assert len(spans) > 3
    edges = {edge for span in spans for edge in span[:2]}
    alone = [s for s in spans if not {s.start, s.end} & (edges - {s.start, s.end})]
    assert all(text[span.start : span.end].strip() for span in spans) and alone
    assert not text[spans[0].start].isspace() and not text[spans[-1].end - 1].isspace()


def test_a_method_and_the_cache_keep_labels_and_scores(model, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path))
    keys = {"type": "classifier", "model": str(model("BIO")), "unit": "token", "label": ["PER", "LOC"], "floor": 0.1}
    block = SlungConfig(labelers=[{**keys, "cuts": [0.2, 0.6]}], method="masked")
    rows = [{}] * len(TEXTS)
    first, second = (build(block)[0].annotate(TEXTS, rows) for _ in range(2))
    assert first == second and len(list(tmp_path.rglob("*.sqlite"))) == 1
    assert {span.kind for spans in first for span in spans} == {"PER", "LOC"}
    assert {span.labeler for spans in first for span in spans} == {"classifier"}
    lower = SlungConfig(labelers=[{**keys, "cuts": [0.05, 0.6]}], method="masked")
    with pytest.raises(
        LabelerError, match=r"^slung\.labelers\[0\]\.floor: 0\.1: is above 0\.05, where a bucket begins"
    ):
        build(lower)
