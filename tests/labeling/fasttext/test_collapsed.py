"""fastText's predict is the reference for all of it: its own scores, and its side of every threshold."""

import os
import random

import fasttext
import numpy as np
import pytest
from helpers.made_up import messages, prose
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling import FastTextLabeler, LabelerError
from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.fasttext.collapsed import Collapsed, _model_file
from axolotl_slung.labeling.fasttext.file import read_layout
from axolotl_slung.labeling.identity import file_digest
from axolotl_slung.labeling.text.sentences import split, split_bytes, strip

KEY = "slung.labelers[0]"
WORDS = [
    "you",
    "are",
    "a",
    "stupid",
    "idiot",
    "moron",
    "fool",
    "have",
    "lovely",
    "day",
    "naïve",
    "straße",
    "漢字",
    "😀",
]
MODELS = {
    "unigrams": {"dim": 10},
    "bigrams": {"dim": 100, "wordNgrams": 2, "bucket": 5000},
    "four-grams, toxic rare": {"dim": 16, "wordNgrams": 4, "bucket": 300},
    "subwords": {"dim": 12, "wordNgrams": 3, "bucket": 2000, "minn": 2, "maxn": 4},
    "single characters": {"dim": 11, "bucket": 500, "minn": 0, "maxn": 3},
    "rare words dropped": {"dim": 10, "wordNgrams": 2, "bucket": 500, "minCount": 10_000},
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AXOLOTL_SLUNG_CACHE", str(folder))
        yield folder


def train(path, lines, **options):
    path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
    # fastText 0.9.2 initializes a tenth of its matrix a thread: with fewer than 11 threads some stays random
    options = {"epoch": 5, "lr": 0.5, "thread": 11, "verbose": 0} | options
    fasttext.train_supervised(str(path.with_suffix(".txt")), **options).save_model(str(path))
    return path


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    rng = random.Random(0)
    lines = []
    for _ in range(3000):
        words = rng.choices(WORDS, k=rng.randint(1, 12))
        toxic = bool({"idiot", "moron", "stupid"} & set(words)) != (rng.random() < 0.05)
        if toxic and "rare" in request.param and rng.random() < 0.8:
            continue  # the other label comes first in the file
        lines.append(f"__label__{'toxic' if toxic else 'clean'} {' '.join(words)}\n")
    path = tmp_path_factory.mktemp("model") / "model.bin"
    return train(path, lines, **MODELS[request.param])


class Pair:
    """A model as fastText has it, and collapsed."""

    def __init__(self, path, label="__label__toxic"):
        self.label, self.fasttext = label, fasttext.load_model(str(path))
        self.collapsed = Collapsed(path, read_layout(path), label, file_digest(path))

    def reference(self, texts):
        """The texts' sentences as Dolma prepares them, and fastText's scores of them."""
        spans = [(utf8_safe(text), *span) for text, spans in zip(texts, split(texts), strict=True) for span in spans]
        sentences = [text[start:end].replace("\n", " ").strip() for text, start, end in spans]
        labels, values = self.fasttext.predict([sentence for sentence in sentences if sentence], k=-1)
        scores = [v[n.index(self.label)] if self.label in n else 0 for n, v in zip(labels, values, strict=True)]
        return np.array(scores, np.float32)

    def lines(self, texts):
        sentences = split_bytes(texts)
        starts, ends = strip(sentences)
        kept = starts < ends
        return np.frombuffer(sentences.data, np.uint8), starts[kept], ends[kept]

    def check(self, texts, thresholds=()):
        """Bit by bit by fastText's arithmetic, and on the same sides by the table; returns fastText's scores."""
        exact, lines = self.reference(texts), self.lines(texts)
        assert self.collapsed.model.scores_as_fasttext(*lines).tolist() == exact.tolist()
        scores, unsure = self.collapsed.scores(*lines, thresholds)
        assert unsure.size == 0
        exact = np.minimum(exact, np.float32(1))
        # fastText's own float32 rounding grows with a line's rows, of which subwords make ten times as many
        assert np.abs(scores - exact).max(initial=0) <= (1e-5 if self.collapsed.model.layout.maxn else 1e-6)
        # in float64, as buckets are told apart: NumPy would round the threshold to the float32 of the scores
        ours, theirs = scores.astype(np.float64), exact.astype(np.float64)
        for threshold in {*GRID, *round_numbers(exact), *thresholds}:
            assert np.array_equal(ours >= threshold, theirs >= threshold)
            assert np.array_equal(ours > threshold, theirs > threshold)
        return exact


GRID = (1e-5, 1e-4, 1e-3, 0.01, 0.05, *(i / 10 for i in range(1, 10)), 0.95, 0.99, 0.999, 0.9999, 1.0)


def round_numbers(scores):
    """Those nearest to the first few hundred scores: numbers of one to four digits, and 1 minus such numbers."""
    found = set()
    for score in scores[:: max(1, len(scores) // 300)].tolist():
        found |= {float(f"{score:.{digits}g}") for digits in (1, 2, 3, 4)}
        found |= {1 - float(f"{1 - score:.{digits}g}") for digits in (1, 2, 3, 4)}
    return found


def needs_exact(collapsed):
    if not collapsed.exact:
        pytest.skip(
            "this build of fastText adds in another order and scores itself; use fasttext-numpy2-wheel on x86-64"
        )


@pytest.fixture(scope="module")
def pair(model):
    pair = Pair(model)
    needs_exact(pair.collapsed)
    return pair


def test_the_label_may_stand_first_or_second(model):
    for label in ("__label__toxic", "__label__clean"):
        Pair(model, label).check(["You are a fool. Have a lovely day! What a moron", "漢字 😀 naïve"])


hostile = st.lists(
    st.sampled_from(
        [*WORDS, "</s>", "</s", "<", ">", "__label__x", "__label__toxic", "__label__", "__label_", "x__label__toxic"]
        + ["\0", "\t", "\v", "\f", "\r", "\n", "\x1c", "\x85", "\xa0", "\u1680", "\u2028", "\u200b", "\u3000", "\ufeff"]
        + [". A", "! ", "a" * 5000, "漢" * 2000, "é", "\U0010ffff", "e\u0301", "\ud800", "Word " * 3000, "  "]
    ),
    max_size=30,
)
hostile_texts = st.one_of(hostile.map("".join), hostile.map(" ".join), st.text(st.characters()))


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(hostile_texts, max_size=5))
@example(texts=["", " ", "\0", "\0\0 \0you\0fool", "</s>", "</s> idiot", "idiot </s> day", "idiot</s> day"])
@example(texts=["__label__toxic idiot __label__zzz", "__label__ fool", "__label_ fool", "nobody knows these"])
@example(
    texts=["\x1cidiot\x1c", "\x85 idiot \u3000", "\u2028", "idiot\x0bmoron\x0cday\rnoon\ttoday\nfool", "a" * 99_999]
)
def test_hostile_text(pair, texts):
    pair.check(texts)


def test_many_sentences(pair):
    rng = random.Random(1)
    words = [*WORDS, "unknown", "Idiot", "fool,", "day.", "b", "漢", "x" * 40]
    exact = pair.check([" ".join(rng.choices(words, k=rng.choice([1, 2, 5, 10, 20, 100, 700]))) for _ in range(3000)])
    # thresholds of more digits are kept to where they are named: here the scores themselves, and their neighbors
    some = exact[:200].astype(np.float64)
    pair.check([" ".join(rng.choices(words, k=8)) for _ in range(200)], [*some, *np.nextafter(some, 1)])


def test_scores_go_to_fasttext_where_its_arithmetic_is_unknown(model):
    labeler = FastTextLabeler(KEY, str(model), thresholds=[0.123456789])
    texts = [" ".join(random.Random(i).choices(WORDS, k=9)) for i in range(2000)]
    here = labeler.label(texts, [{}] * len(texts))
    assert labeler.collapsed and labeler._model is None, "the model is not loaded"
    needs_exact(labeler._collapsed)
    labeler._collapsed.exact = False
    there = labeler.label(texts, [{}] * len(texts))
    assert labeler._model is not None
    assert here == there


@pytest.mark.parametrize("training", [{"epoch": 3, "lr": 0.2}, {"epoch": 15, "lr": 1.0}])
def test_fifty_thousand_sentences(tmp_path, training):
    rows = messages(8000)
    lines = [f"__label__{'toxic' if toxic else 'clean'} {' '.join(text.split())}\n" for text, toxic in rows]
    pair = Pair(train(tmp_path / "real.bin", lines, dim=100, wordNgrams=2, bucket=50_000, **training))
    needs_exact(pair.collapsed)
    texts = [*prose(), *(text for text, _ in [*rows, *messages(14_000, seed=1)])]
    assert len(pair.check(texts)) > 50_000


def rewritten(path, target, *, rows=None, output=None, swap=()):
    """A model's file with other weights, or with words replaced by words of the same length."""
    layout, content = read_layout(path), bytearray(path.read_bytes())
    for matrix, values in ((layout.input, rows), (layout.output, output)):
        if values is not None:
            content[matrix.start : matrix.start + 4 * values.size] = values.astype("<f4").tobytes()
    for old, new in swap:
        assert content.count(old + b"\0") == 1 and len(old) == len(new)
        content = content.replace(old + b"\0", new + b"\0")
    target.write_bytes(content)
    return target


def test_odd_dictionaries(tmp_path):
    """Two entries of one text, of which fastText takes the last, and a word that looks like a label."""
    lines = ["__label__clean first1 __labex__x lovely\n", "__label__toxic first2 idiot\n"] * 500
    path = train(tmp_path / "plain.bin", lines, dim=10, wordNgrams=2, bucket=100)
    swap = [(b"first1", b"first2"), (b"__labex__x", b"__label__x")]
    pair = Pair(rewritten(path, tmp_path / "odd.bin", swap=swap))
    pair.check(["first2", "first1", "first2 __label__x idiot", "__label__x", "__labex__x __label__y"])


def test_outputs_that_have_much_in_common(tmp_path):
    """Where the two rows of the output matrix share a large part, fastText rounds numbers larger than the table's."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 100)) * 3
    path = tmp_path / "common.bin"
    path.write_bytes(_model_file(rows, rng.normal(size=(1, 100)) * 20 + rng.normal(size=(2, 100)) * 0.1))
    pair = Pair(path, "__label__1")
    needs_exact(pair.collapsed)
    lines = [" ".join(f"w{i}" for i in rng.integers(64, size=n)) for n in rng.integers(1, 60, size=3000)]
    exact = pair.check(lines)
    assert len(set(exact.tolist())) > 1000


def test_products_that_cancel(tmp_path):
    """Rows whose value is small beside the products that it sums: fastText rounds the products."""
    rng = np.random.default_rng(0)
    rows, outputs = rng.normal(size=(64, 20)), rng.normal(size=(2, 20))
    across = outputs[1] - outputs[0]
    # one row decides the scale of the values; all others are nearly at right angles to what decides
    rows[1:] -= np.outer(rows[1:] @ across / (across @ across), across) * 0.9999
    rows[0] = 10 * across
    path = tmp_path / "cancel.bin"
    path.write_bytes(_model_file(rows, outputs))
    pair = Pair(path, "__label__1")
    needs_exact(pair.collapsed)
    lines = [" ".join(f"w{i}" for i in rng.integers(1, 64, size=n)) for n in rng.integers(1, 8, size=600)]
    exact = pair.reference(lines).astype(np.float64)
    pair.check(lines, [*exact, *np.nextafter(exact, 1)])


@pytest.fixture
def small(tmp_path):
    return train(tmp_path / "small.bin", ["__label__toxic you fool\n", "__label__clean lovely day\n"] * 100, dim=10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_weights_that_are_no_numbers(tmp_path, small, bad):
    rows = np.full((read_layout(small).input.rows, 10), 0.1)
    rows[-1, -1] = bad
    labeler = FastTextLabeler(KEY, str(rewritten(small, tmp_path / "bad.bin", rows=rows)))
    with pytest.raises(LabelerError, match=r"slung\.labelers\[0\]\.model: .*bad\.bin: is not a valid .* weights"):
        labeler.check()


TEXTS = ["You fool. What a lovely day! Nobody knows"]


def score(path):
    labeler = FastTextLabeler(KEY, str(path))
    labeler.check()
    assert labeler.collapsed
    return labeler.label(TEXTS, [{}])


def test_the_table_is_made_once_and_a_damaged_one_again(cache, small):
    expected = score(small)
    (table,) = (cache / "fasttext").glob(f"{file_digest(small)}.*")
    made = table.stat().st_mtime_ns, table.read_bytes()
    assert score(small) == expected and table.stat().st_mtime_ns == made[0], "the second time it is read"
    whole = made[1]
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    for damaged in (b"", whole[:-4], whole + b"x", b"other" + whole[5:], bytes(flipped)):
        table.write_bytes(damaged)
        assert score(small) == expected
        assert table.read_bytes() == whole
    assert list((cache / "fasttext").glob("*.part")) == []


def test_nowhere_to_keep_the_table(tmp_path, monkeypatch, small):
    expected = score(small)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "file"))
    assert score(small) == expected
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "locked"))
        assert score(small) == expected


@pytest.mark.parametrize(
    ("labels", "options"),
    [("ab", {"loss": "hs"}), ("ab", {"loss": "ns"}), ("ab", {"loss": "ova"}), ("a", {}), ("abc", {})],
)
def test_other_models_are_left_to_fasttext(tmp_path, cache, labels, options):
    path = train(tmp_path / "other.bin", [f"__label__{x} word{x} day\n" for x in labels] * 100, dim=10, **options)
    labeler = FastTextLabeler(KEY, str(path), label="__label__a")
    labeler.check()
    assert not labeler.collapsed and not list((cache / "fasttext").glob(f"{file_digest(path)}*"))
    names, values = fasttext.load_model(str(path)).predict(["worda day"], k=-1)
    (spans,) = labeler.label(["worda day"], [{}])
    assert spans[0].score == min(float(values[0][names[0].index("__label__a")]), 1.0)
