"""Actions to labels and back."""

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labels.codec import (
    FIRST_CODE,
    IGNORE,
    MAX_VOCABULARY,
    CodecError,
    check_vocabulary,
    decode,
    encode,
    with_tokens,
)

IDS, BUCKETS = st.integers(0, MAX_VOCABULARY - 1), st.integers(0, 15)
SCORES = st.tuples(IDS, BUCKETS, st.floats(0, 1), st.just(False))
WEIGHTS = st.tuples(IDS, BUCKETS, st.floats(-1e30, 1e30), st.just(True))


def columns(tokens):
    return (np.array(column) for column in zip(*tokens))


@given(st.lists(SCORES | WEIGHTS, min_size=1, max_size=20))
def test_codes_come_back_as_they_were(tokens):
    ids, buckets, values, given = columns(tokens)
    codes = encode(ids, buckets, values, given)
    assert codes.dtype == np.int64 and (codes <= FIRST_CODE).all()
    for labels in (codes, torch.from_numpy(codes), codes[None].T[:, 0], torch.from_numpy(codes).repeat(2, 1).T[:, 1]):
        back = decode(labels)
        assert back.token_ids.tolist() == ids.tolist()
        assert back.buckets.tolist() == buckets.tolist()
        assert back.given.tolist() == given.tolist()
        # the nearest float32, bit by bit
        rounded = [struct.unpack("f", struct.pack("f", value))[0] for value in values]
        assert [math.copysign(1, value) * abs(value) for value in back.values.tolist()] == rounded


@pytest.mark.parametrize("weight", [0, 1e-6, 0.3, 1, 7, -1, 1e-30, -1e30, 1 / 3])
def test_a_weight_keeps_24_bits_at_any_size(weight):
    for labels in (encode(7, 2, weight, True), torch.tensor([int(encode(7, 2, weight, True))])):
        assert float(decode(labels).values) == pytest.approx(weight, rel=2**-24, abs=0)


def test_whole_scores_are_exact():
    assert decode(encode([7, 7], [2, 2], [0.0, 1.0])).values.tolist() == [0.0, 1.0]


def test_codes_do_not_depend_on_the_vocabulary():
    assert encode([5], [1], [0.5]).tolist() == encode(np.array([5], np.int32), [1], [0.5]).tolist()
    assert len({int(c) for c in encode([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0])}) == 4
    assert encode(5, 1, 0.5) != encode(5, 1, 0.5, True)


@given(st.lists(SCORES | WEIGHTS, min_size=1, max_size=20))
def test_other_tokens_keep_bucket_and_value(tokens):
    ids, buckets, values, given = columns(tokens)
    others = (ids * 3 + 1) % MAX_VOCABULARY
    expected = encode(others, buckets, values, given)
    assert with_tokens(encode(ids, buckets, values, given), others).tolist() == expected.tolist()
    assert with_tokens(int(encode(ids, buckets, values, given)[0]), int(others[0])) == expected[0]


def test_decoding_is_compiled_without_a_copy_to_the_host():
    compiled = torch.compile(lambda labels: decode(labels)[:3], fullgraph=True, backend="aot_eager")
    labels = torch.tensor([int(encode(9, 3, 0.3)), int(encode(2**25 - 1, 15, -7, True)), IGNORE, 5])
    for found, expected in zip(compiled(labels), decode(labels)):
        assert torch.equal(found[:2], expected[:2])


def test_a_vocabulary_that_is_too_large():
    check_vocabulary(MAX_VOCABULARY)
    with pytest.raises(CodecError, match="base_model: the vocabulary has .* use a tokenizer with a smaller"):
        check_vocabulary(MAX_VOCABULARY + 1)
