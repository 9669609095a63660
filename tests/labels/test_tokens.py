"""Spans of characters to tokens: against a slow truth, over Unicode, spans and kinds of tokenizers (invariant 7)."""

import copy
import pickle

import numpy as np
import pytest
from helpers.tiny import tiny_tokenizer
from helpers.truth import characters_of_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import AutoTokenizer, ByT5Tokenizer

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.labels.offsets import Offsets
from axolotl_slung.labels.tokens import buckets_of, char_scores, token_buckets, token_scores
from axolotl_slung.training.data.tagging import TaggingTokenizer

KINDS = ["bytelevel", "bytelevel_bos", "unigram", "wordpiece"]
BUCKETS = (
    Bucket("low", 0.3, Action.TRAIN),
    Bucket("middle", 0.7, Action.MASK),
    Bucket("high", None, Action.UNLIKELIHOOD),
)
ALPHABET = st.one_of(
    st.sampled_from("the and of stupid thing to say"),
    st.sampled_from(" \n\t\r.,'é\u0301👩\u200d👧ß中אبﬁ\u00a0\x00"),
    st.characters(codec="utf-8"),
)
TEXTS = st.text(ALPHABET, max_size=40)


@st.composite
def texts_with_spans(draw):
    text = draw(TEXTS)
    spans = []
    for _ in range(draw(st.integers(0, 4)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        spans.append(Span(start, end, draw(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.7, 1.0]))))
    return text, spans


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return {kind: AutoTokenizer.from_pretrained(tiny_tokenizer(folder, kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(case=texts_with_spans(), overlap=st.sampled_from(["any", "majority", "all"]))
def test_exactly_the_tokens_that_touch_risky_characters(tokenizers, kind, case, overlap):
    text, spans = case
    tagging = TaggingTokenizer(tokenizers[kind], BUCKETS, overlap, code_masked=True)
    ids, labels = tagging.labeled(text, spans)
    assert ids == tokenizers[kind](text)["input_ids"]

    worst = [max((s.score for s in spans if s.start <= i < s.end), default=0.0) for i in range(len(text))]
    for label, held in zip(labels.tolist(), characters_of_tokens(tokenizers[kind], kind, text), strict=True):
        risky = [sum(worst[i] >= bound for i in held) for bound in (0.3, 0.7)]
        needed = {"any": 1, "majority": len(held) // 2 + 1, "all": len(held)}[overlap]
        bucket = max([n + 1 for n in (0, 1) if held and risky[n] >= needed], default=0)
        assert (0 if label >= 0 else ((-101 - label) >> 33) & 15) == bucket, (text, spans, held)


def test_a_score_on_a_bound_belongs_to_the_bucket_above():
    scores = np.array([0.0, 0.99e-4, 1e-4, 0.98999, 0.99, 1.0])
    assert buckets_of(scores, preset("masked")).tolist() == [0, 0, 1, 1, 2, 2]


def test_overlapping_spans_combine_by_maximum():
    spans = [Span(0, 4, 0.9), Span(2, 6, 0.2), Span(3, 5, 0.5)]
    assert char_scores(7, spans).tolist() == [0.9, 0.9, 0.9, 0.9, 0.5, 0.2, 0.0]


@pytest.mark.parametrize("span", [Span(-1, 2, 1.0), Span(3, 3, 1.0), Span(4, 9, 1.0)])
def test_a_span_outside_the_text_is_an_error(span):
    with pytest.raises(ValueError, match="lies outside its text of 8 characters"):
        char_scores(8, [span])


def test_offsets_outside_the_text_are_an_error():
    with pytest.raises(ValueError, match="offsets lie outside"):
        token_buckets([(0, 5)], np.zeros(4), BUCKETS)


@pytest.mark.parametrize(
    "overlap, expected",
    [("any", [0.9, 0.5, 0.9, 0.0, 0.0]), ("majority", [0.5, 0.5, 0.5, 0.0, 0.0]), ("all", [0.0, 0.5, 0.5, 0.0, 0.0])],
)
def test_a_tokens_score_is_the_highest_that_enough_of_its_characters_reach(overlap, expected):
    scores = char_scores(4, [Span(0, 2, 0.5), Span(2, 3, 0.9)])
    offsets = [(0, 4), (0, 2), (1, 3), (3, 4), (4, 4)]
    assert token_scores(offsets, scores, overlap).tolist() == expected


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(
        ValueError, match="tokenizer_type: ByT5Tokenizer gives no character offsets.*tokenizer_use_fast"
    ):
        TaggingTokenizer(ByT5Tokenizer(), BUCKETS, "any", True)


def test_a_vocabulary_too_large_for_the_codec_is_refused(tokenizers):
    class Huge:
        is_fast = True

        def __len__(self):
            return 1 << 32

    with pytest.raises(ValueError, match="base_model: the vocabulary has 4294967296 tokens"):
        TaggingTokenizer(Huge(), BUCKETS, "any", True)


def test_lone_surrogates_are_ordinary_characters(tokenizers):
    tagging = TaggingTokenizer(tokenizers["bytelevel"], BUCKETS, "any", code_masked=True)
    labels = tagging.labeled("a\ud800b", [Span(2, 3, 1.0)])[1].tolist()
    assert [label < 0 for label in labels] == [False] * (len(labels) - 1) + [True]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200, deadline=None)
@given(text=TEXTS, longest=st.sampled_from([None, 1, 7]), special=st.booleans())
def test_answers_are_the_tokenizers_own(tokenizers, kind, text, longest, special):
    """Asked in any order, with and without offsets, with special tokens in the text, and truncated."""
    tokenizer = tokenizers[kind]
    ours = Offsets(tokenizer)
    options = {"add_special_tokens": special} | ({} if longest is None else {"truncation": True, "max_length": longest})
    for full in (text, f"{text}{tokenizer.eos_token}{text}"):
        for own in (False, True, False):
            expected, (found, offsets) = (f(full, return_offsets_mapping=own, **options) for f in (tokenizer, ours))
            assert dict(found) == dict(expected) and len(offsets) == len(found["input_ids"])
            if own:
                assert found.tokens() == expected.tokens() and found.word_ids() == expected.word_ids()
            found["input_ids"].append(0)  # a caller may change its own answer


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("trim", [False, True])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_offsets_out_of_lengths_are_trimmed_as_the_tokenizer_trims(tokenizers, trim, prefix, text):
    """All rules of byte-level tokenizers, for tokens of several blanks as well."""
    tokenizer = copy.deepcopy(tokenizers["bytelevel"])
    tokenizer.add_tokens(["   ", " \n", "to say"])
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=prefix)
    ours = Offsets(tokenizer)
    assert ours.byte_level.spelt(text) is not None
    for full in (text, f" {text}   {text} \n", f"   {text}"):
        expected = tokenizer(full, return_offsets_mapping=True)
        found, _ = ours(full, return_offsets_mapping=True)
        assert dict(found) == dict(expected)
        assert found.is_fast and found.tokens() == expected.tokens() and found.word_ids() == expected.word_ids()
        assert pickle.loads(pickle.dumps(found)).char_to_token(0) == expected.char_to_token(0)


@pytest.mark.parametrize("kind", ["bytelevel", "bytelevel_bos"])
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_offsets_out_of_lengths_are_those_of_a_tokenizer_that_does_not_trim(tokenizers, kind, text):
    ours = Offsets(tokenizers[kind])
    assert ours.byte_level is not None and Offsets(tokenizers["wordpiece"]).byte_level is None
    expected = ours.untrimmed(text, return_offsets_mapping=True)["offset_mapping"]
    assert [tuple(map(int, pair)) for pair in ours(text)[1]] == expected


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_walking_quickly_is_walking(tokenizers, texts):
    ours, text = Offsets(tokenizers["unigram"]), "</s>".join(texts)
    encoding = tokenizers["unigram"](text, return_offsets_mapping=True)
    quick = ours._walk_quickly(text, encoding["input_ids"], encoding["offset_mapping"])
    slow = ours._walk(text, encoding["input_ids"], encoding["offset_mapping"])
    assert quick is not None and [tuple(pair) for pair in quick.tolist()] == slow
