"""Label noise: as many spans as its rates say, the same ones whatever else is labeled."""

import random
import re
from itertools import pairwise

import numpy as np
import pytest

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.labels.noise import FALSE, MEAN_WORDS, Noise

BUCKETS = preset("masked")
WORDS = ["the", "old", "mill", "of", "river", "stone", "and", "wheel", "turned", "slowly", "under", "rain"]


def corpus(texts=1500, words=40, share=0.1, seed=0):
    """Texts with risky words here and there, never two together: `(text, spans)`."""
    rng = random.Random(seed)
    for number in range(texts):
        chosen, spans, position = [f"{number}.", *rng.choices(WORDS, k=words)], [], 0
        for index, word in enumerate(chosen):
            if index % 2 and rng.random() < 2 * share:
                spans.append(Span(position, position + len(word), 1.0, "names"))
            position += len(word) + 1
        yield " ".join(chosen), spans


def test_as_many_spans_are_missed_and_words_added_as_the_rates_say():
    noise = Noise(BUCKETS, miss=0.2, false=0.05, seed=3)
    spans = missed = words = false = runs = 0
    for text, found in corpus():
        kept, dropped = noise.of_text(text, found)
        added = [span for span in kept if span.labeler == FALSE]
        assert sorted([*(span for span in kept if span not in added), *dropped]) == found
        assert all(span.score == 1 for span in added)
        spans, missed = spans + len(found), missed + len(dropped)
        words += len(text.split()) - len(found)
        false += sum(len(text[span.start : span.end].split()) for span in added)
        runs += len(added)
    # each span by itself: a binomial share, here within four standard deviations
    assert spans > 5000 and abs(missed / spans - 0.2) < 4 * (0.2 * 0.8 / spans) ** 0.5
    # words of one span are not independent: the variance is that of words times (1 + c) / (1 - c), their correlation
    correlation = 1 - 1 / MEAN_WORDS - 0.05 / 0.95 / MEAN_WORDS
    wider = (1 + correlation) / (1 - correlation)
    assert abs(false / words - 0.05) < 4 * (0.05 * 0.95 * wider / words) ** 0.5
    assert 1.5 < false / runs < MEAN_WORDS  # risky words cut some short


def test_false_spans_are_three_words_long_on_average():
    noise = Noise(BUCKETS, miss=0, false=0.02, seed=0)
    lengths = [
        len(text[span.start : span.end].split())
        for text, _ in corpus(texts=200, words=2000)
        for span in noise.of_text(text, [])[0]
    ]
    assert len(lengths) > 2000 and np.mean(lengths) == pytest.approx(MEAN_WORDS, rel=0.08)
    assert np.mean(np.array(lengths) == 1) == pytest.approx(1 / MEAN_WORDS, rel=0.12)


def test_no_rates_change_nothing():
    for text, spans in corpus(texts=50):
        assert Noise(BUCKETS, 0, 0, 0).of_text(text, spans) == (spans, [])
        assert Noise(BUCKETS, 1, 0, 0).of_text(text, spans) == ([], spans)


def test_a_decision_depends_on_the_seed_and_the_text_only():
    noise = Noise(BUCKETS, miss=0.5, false=0.1, seed=1)
    texts = list(corpus(texts=200))
    once = [noise.of_text(text, spans) for text, spans in texts]
    again = [Noise(BUCKETS, 0.5, 0.1, 1).of_text(text, spans[::-1]) for text, spans in reversed(texts)][::-1]
    assert [tuple(map(sorted, one)) for one in once] == [tuple(map(sorted, one)) for one in again]
    other = [Noise(BUCKETS, 0.5, 0.1, 2).of_text(text, spans) for text, spans in texts]
    assert sum(mine != theirs for mine, theirs in zip(once, other)) > 190
    # spans at the same place of different texts have fates of their own, and so have the spans of one text
    first = [not Noise(BUCKETS, 0.5, 0, 0).of_text(f"Ada {n}", [Span(0, 3, 1.0)])[0] for n in range(400)]
    assert 150 < sum(first) < 250
    # more misses keep no span that fewer misses drop
    for text, spans in texts:
        fewer, more = (set(Noise(BUCKETS, miss, 0, 1).of_text(text, spans)[1]) for miss in (0.2, 0.6))
        assert fewer <= more


def test_the_drawn_spans_never_change():
    """The same in every process, on every machine, with every version of numpy."""
    text = "Ada met Bea, and then Cem met Dov by the old mill of the river, while Eda slept."
    spans = [Span(m.start(), m.end(), 1.0, "names") for m in re.finditer("Ada|Bea|Cem|Dov|Eda", text)]
    kept, missed = Noise(BUCKETS, miss=0.5, false=0.3, seed=4).of_text(text, spans)
    assert [text[s.start : s.end] for s in missed] == ["Cem", "Dov", "Eda"]
    assert [text[s.start : s.end] for s in kept if s.labeler == FALSE] == ["by the", "mill of the river"]


def test_spans_that_overlap_in_one_bucket_are_one_passage():
    text = "x" * 400
    pair = [Span(10, 20, 1.0, "a"), Span(15, 30, 0.995, "b"), Span(29, 33, 1.0, "c")]
    beside = [Span(33, 40, 1.0, "a")]  # touches, but does not overlap
    doubtful = [Span(0, 50, 0.5, "d")]
    safe = [Span(100, 200, 0.00001, "e")]
    together = set()
    for seed in range(200):
        _, missed = Noise(BUCKETS, 0.5, 0, seed).of_text(text, [*pair, *beside, *doubtful, *safe])
        assert sum(span in missed for span in pair) in (0, 3) and safe[0] not in missed
        together.add((pair[0] in missed, beside[0] in missed, doubtful[0] in missed))
    assert len(together) == 8  # three passages, each on its own


def test_words_of_one_find_are_one_passage():
    """Labelers of words give a span to each word and to the white space between two."""
    text = "you stupid old liar, she said"
    words = [Span(4, 10, 1.0, "student"), Span(10, 11, 0.995, "student"), Span(11, 14, 0.995, "student")]
    other = [Span(14, 19, 1.0, "tagger")]
    together = set()
    for seed in range(100):
        _, missed = Noise(BUCKETS, 0.5, 0, seed).of_text(text, [*words, *other])
        assert sum(span in missed for span in words) in (0, 3)
        together.add((words[0] in missed, other[0] in missed))
    assert len(together) == 4


def chain(noise, text, spans):
    """False words one at a time: in a false span or not."""
    risky = [span for passage in noise.passages(spans) for span in passage]
    words = [m for m in re.finditer(r"\w+", text) if not any(m.start() < s.end and s.start < m.end() for s in risky)]
    draws = np.random.PCG64(int.from_bytes(noise.key(text), "little")).random_raw(len(words)) / 2**64
    inside, false = False, set()
    for index, (word, draw) in enumerate(zip(words, draws)):
        enters = noise.false / (1 - noise.false) / MEAN_WORDS
        inside = draw < (noise.false if index == 0 else 1 - 1 / MEAN_WORDS if inside else enters)
        if inside:
            false.add(word.span())
    return false


@pytest.mark.parametrize("false", [0.003, 0.1, 0.5])
def test_the_fast_draw_is_the_plain_one(false):
    noise = Noise(BUCKETS, 0.3, false, 5)
    for text, spans in corpus(texts=150):
        added = [span for span in noise.of_text(text, spans)[0] if span.labeler == FALSE]
        words = {m.span() for span in added for m in re.compile(r"\w+").finditer(text, span.start, span.end)}
        assert words == chain(noise, text, spans)
        # none covers a risky span, missed or not, and no two overlap
        assert all(f.end <= s.start or s.end <= f.start for f in added for s in spans)
        assert all(a.end < b.start for a, b in pairwise(added))


def test_words_in_scripts_without_blanks_are_characters():
    text = "这是一个很长的句子没有空格" * 200
    added = Noise(BUCKETS, 0, 0.1, 0).of_text(text, [])[0]
    assert np.mean([s.end - s.start for s in added]) < 6
    assert 0.05 < sum(s.end - s.start for s in added) / len(text) < 0.15


def test_tokens_are_words_of_tokenized_data():
    ids = np.random.default_rng(0).integers(0, 1000, 20_000)
    spans = [Span(start, start + 2, 1.0, "spans") for start in range(0, 20_000, 10)]
    kept, missed = Noise(BUCKETS, 0.25, 0.1, 0).of_tokens(ids, spans)
    added = [span for span in kept if span.labeler == FALSE]
    assert len(missed) == pytest.approx(500, rel=0.15)
    assert sum(s.end - s.start for s in added) == pytest.approx(1600, rel=0.2)
    assert not {i for s in added for i in range(s.start, s.end)} & {i for s in spans for i in range(s.start, s.end)}


def test_an_action_of_the_lowest_bucket_is_no_reason_to_count_as_risky():
    buckets = (Bucket("fine", 0.5, Action.GOLDFISH, k=4), Bucket("name", None, Action.MASK))
    assert Noise(buckets, 1, 0, 0).of_text("the mill", [Span(0, 3, 0.2), Span(4, 8, 0.7)]) == (
        [Span(0, 3, 0.2)],
        [Span(4, 8, 0.7)],
    )
