"""Turns weights that the data gives to characters into weights of tokens, and says what they make of an action."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SlungError
from ..labeling.weights import LARGEST
from .buckets import Action, Bucket
from .codec import FIRST_CODE, decode
from .tokens import Overlap, as_offsets

ACTIONS = tuple(Action)
"""All actions, in the order of their numbers here."""

_TRAINS = np.array([action.traits.trains for action in ACTIONS])
_HAS_LOSS = np.array([action.traits.has_loss for action in ACTIONS])
_MASK, _UNLIKELIHOOD = ACTIONS.index(Action.MASK), ACTIONS.index(Action.UNLIKELIHOOD)


class WeightError(SlungError):
    """Weights of the data that cannot be used with the actions of their tokens."""


def token_weights(offsets: ArrayLike, weights: np.ndarray, overlap: Overlap = "any") -> np.ndarray:
    """The weight of each token. A token without characters has the weight 1.

    If its characters have different weights, `overlap` decides:

    - `any`: 0 if one of its characters has 0, as a token that touches a masked character is masked. Otherwise the
      commonest weight other than 1, and the lowest of equally common ones;
    - `majority`: the weight of more than half of its characters, or 1 without such a weight;
    - `all`: 1.

    Args:
        offsets: integers `[tokens, 2]`: the characters `[start, end)` of each token.
        weights: float64 `[characters]`; 1 for characters without a weight.
        overlap: see `tokens.token_scores`.

    Returns:
        float64 `[tokens]`.
    """
    offsets = as_offsets(offsets, len(weights))
    of_token = np.ones(len(offsets))
    (chosen,) = np.nonzero(offsets[:, 1] > offsets[:, 0])
    if not len(chosen):
        return of_token
    # reduceat over start0, end0, start1, end1, ...: every second result belongs to a token
    padded, bounds = np.append(weights, 1.0), offsets[chosen].reshape(-1)
    lowest, highest = (kind.reduceat(padded, bounds)[::2] for kind in (np.minimum, np.maximum))
    of_token[chosen] = lowest
    for token in chosen[lowest < highest].tolist():
        inside = weights[slice(*offsets[token])]
        values, numbers = np.unique(inside[inside != 1] if overlap == "any" else inside, return_counts=True)
        most = int(numbers.argmax())
        if overlap == "any":
            of_token[token] = 0.0 if 0 in values else values[most]
        else:
            of_token[token] = values[most] if overlap == "majority" and 2 * numbers[most] > len(inside) else 1.0
    return of_token


def check_weights(weights: np.ndarray, bucket: np.ndarray, buckets: Sequence[Bucket]) -> None:
    """Check that the loss can apply weights to tokens.

    Args:
        weights: of the tokens, float64 `[tokens]`.
        bucket: of the tokens, `[tokens]`.
        buckets: ascending.

    Raises:
        WeightError: it cannot.
    """
    size = np.abs(weights)
    if not (np.isfinite(size) & (size <= LARGEST) & ((size == 0) | (size >= 1 / LARGEST))).all():
        raise WeightError(
            f"the weight of a token, multiplied from all that apply to it: expected 0 or a size from "
            f"{1 / LARGEST:g} to {LARGEST:g}; change the weights"
        )
    for index in np.unique(bucket[weights != 1]).tolist():
        action, of_bucket = buckets[index].action, weights[bucket == index]
        if action is Action.SOFT and not np.isin(of_bucket, (0, 1)).all():
            raise WeightError(
                "a token of a bucket with action: soft has a weight other than 0 and 1, but its label has room for only its "
                "score; use the action weighted or unlikelihood, or weights of 0 and 1 there"
            )
        if action.traits.coded and action is not Action.WEIGHTED and (of_bucket < 0).any():
            raise WeightError(
                f"a token of a bucket with action: {action.value} has a weight below 0, which would make its loss endless; "
                "use weights of 0 or above there, or the action train or weighted"
            )


def weighed(action: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The actions of tokens with weights.

    A weight of 0 makes `mask` of an action with a loss. A weight below 0 makes `unlikelihood` of one that trains.

    Args:
        action: indices into `ACTIONS`, int64 `[tokens]`.
        weights: float `[tokens]`.

    Returns:
        int64 `[tokens]`, indices into `ACTIONS`.
    """
    action = np.where(_TRAINS[action] & (weights < 0), _UNLIKELIHOOD, action)
    return np.where(_HAS_LOSS[action] & (weights == 0), _MASK, action)


def actions_of_codes(codes: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """What the loss does with the tokens of codes.

    Args:
        codes: labels of -101 and below, int64 `[tokens]`.
        buckets: those with which the codes were written.

    Returns:
        Indices into `ACTIONS`, int64 `[tokens]`. A code of a bucket that trains is a token with a weight, or masked.
    """
    _, bucket, value, given = decode(codes)
    kept = [Action.TRAIN if one.action.traits.trains else one.action for one in buckets]
    own = np.array([ACTIONS.index(action) for action in kept])[bucket]
    bare = np.array([ACTIONS.index(one.action_of_code) for one in buckets])[bucket]
    signed = own == ACTIONS.index(Action.WEIGHTED)
    return weighed(np.where(given, own, bare), np.where(given | signed, value, 1.0))


def trained_codes(labels: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """Which labels are codes of tokens that a bucket trains, with a weight: bool, with the shape of `labels`."""
    _, bucket, _, given = decode(labels)
    trains = np.array([one.action.traits.trains for one in buckets])
    return (labels <= FIRST_CODE) & given & trains[np.minimum(bucket, len(buckets) - 1)]
