"""Actions to labels and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labels.codec import FIRST_CODE, MAX_VOCABULARY, CodecError, check_vocabulary, decode, encode

TOKENS = st.lists(
    st.tuples(st.integers(0, MAX_VOCABULARY - 1), st.integers(0, 15), st.floats(0, 1)), min_size=1, max_size=20
)


@given(TOKENS)
def test_codes_come_back_as_they_were(tokens):
    ids, buckets, scores = (np.array(column) for column in zip(*tokens))
    codes = encode(ids, buckets, scores)
    assert codes.dtype == np.int64 and (codes <= FIRST_CODE).all()
    for labels in (codes, torch.from_numpy(codes)):
        back_ids, back_buckets, back_scores = decode(labels)
        assert back_ids.tolist() == ids.tolist()
        assert back_buckets.tolist() == buckets.tolist()
        np.testing.assert_allclose(np.asarray(back_scores), scores, atol=2**-24)


def test_whole_scores_are_exact():
    assert decode(encode([7, 7], [2, 2], [0.0, 1.0]))[2].tolist() == [0.0, 1.0]


def test_codes_do_not_depend_on_the_vocabulary():
    assert encode([5], [1], [0.5]).tolist() == encode(np.array([5], np.int32), [1], [0.5]).tolist()
    assert len({int(c) for c in encode([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0])}) == 4


def test_a_vocabulary_that_is_too_large():
    check_vocabulary(MAX_VOCABULARY)
    with pytest.raises(CodecError, match="base_model: the vocabulary has .* use a tokenizer with a smaller"):
        check_vocabulary(MAX_VOCABULARY + 1)
