"""Weights of characters to weights of tokens, and what a weight makes of an action."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.codec import encode
from axolotl_slung.labels.weights import ACTIONS, WeightError, actions_of_codes, check_weights, token_weights

WEIGHTS = st.lists(st.sampled_from([0.0, 1e-6, 0.3, 1.0, 1.0, 7.0, -1.0]), min_size=1, max_size=12)


def slow(inside, overlap):
    """By the rule, one token after the other."""
    if len(set(inside)) == 1:
        return inside[0]
    if overlap == "any":
        others = sorted(weight for weight in inside if weight != 1)
        return 0.0 if 0 in others else max(others, key=others.count)
    most = max(set(inside), key=inside.count)
    return most if overlap == "majority" and inside.count(most) > len(inside) / 2 else 1.0


@given(WEIGHTS, st.data())
@pytest.mark.parametrize("overlap", ["any", "majority", "all"])
def test_a_token_has_the_weight_of_enough_of_its_characters(overlap, weights, data):
    cuts = sorted(data.draw(st.sets(st.integers(0, len(weights)))) | {0, len(weights)})
    tokens = [(0, 0), *pairwise(cuts), (cuts[-1], cuts[-1])]
    expected = [slow(weights[start:end], overlap) if start < end else 1.0 for start, end in tokens]
    assert token_weights(tokens, np.array(weights), overlap).tolist() == expected


BUCKETS = [
    Bucket("train", 0.1, Action.TRAIN),
    Bucket("goldfish", 0.2, Action.GOLDFISH, k=3),
    Bucket("weighted", 0.4, Action.WEIGHTED),
    Bucket("not", 0.6, Action.UNLIKELIHOOD),
    Bucket("soft", 0.8, Action.SOFT),
    Bucket("mask", None, Action.MASK),
]


@pytest.mark.parametrize(
    "bucket, value, given, action",
    [
        (0, 0.3, True, "train"),
        (0, -1, True, "unlikelihood"),
        (0, 0, True, "mask"),
        (0, 0.05, False, "mask"),
        (1, 7, True, "train"),
        (1, 0.15, False, "mask"),
        (2, 0.3, False, "weighted"),
        (2, -0.3, True, "weighted"),
        (2, 0, True, "mask"),
        (2, 0, False, "mask"),
        (3, 0.5, False, "unlikelihood"),
        (3, 7, True, "unlikelihood"),
        (3, 0, True, "mask"),
        (4, 0.7, False, "soft"),
        (5, 1, False, "mask"),
    ],
)
def test_what_a_code_does(bucket, value, given, action):
    [found] = actions_of_codes(encode([9], [bucket], [value], given), BUCKETS)
    assert ACTIONS[found] == action


@pytest.mark.parametrize(
    "bucket, weight, message",
    [
        (3, -1, "action: unlikelihood has a weight below 0"),
        (4, 0.3, "action: soft has a weight other than 0 and 1"),
        (0, 1e31, "expected 0 or a size from 1e-30 to 1e.30"),
        (0, 1e-31, "expected 0 or a size"),
        (5, float("inf"), "expected 0 or a size"),
    ],
)
def test_weights_that_an_action_cannot_take(bucket, weight, message):
    with pytest.raises(WeightError, match=message):
        check_weights(np.array([1.0, weight]), np.array([0, bucket]), BUCKETS)


def test_weights_that_every_action_can_take():
    check_weights(np.array([-1.0, -1, -1, 0, 0, -1]), np.arange(6), BUCKETS)
    check_weights(np.ones(6), np.arange(6), BUCKETS)
