"""A new request type for lm_eval's models: the hidden states after a span of an audit.

As in `audit_requests`, requests show ids, and models return vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import SlungError
from .audit_requests import Asked, private
from .requests import HiddenStates, states_of

STATES = "slung_audit_states"

AFTER = 10
"""The most tokens after a span whose states are read."""


@dataclass(frozen=True, repr=False)
class After(Asked):
    """A text up to the end of a span, what follows the span, and the layers to read."""

    front: str = field(kw_only=True)
    after: str = field(kw_only=True)
    layers: Sequence[int] | str = field(kw_only=True)


def attach() -> None:
    """Add the methods to lm_eval's models. A second call changes nothing."""
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM

    setattr(LM, STATES, _no_states)
    setattr(HFLM, STATES, _states)


def _no_states(self, requests):
    raise SlungError(
        f"{requests[0].args[0].task}: needs hidden states, but lm_eval's {type(self).__name__} gives none; use --model hf"
    )


def _states(self, requests) -> list[HiddenStates | None]:
    """The mean of the states after each span, by layer; None if no token follows. A request's arguments are `(After,)`.

    A text longer than the model's context is cut in front.
    """
    asked: list[After] = [request.args[0] for request in requests]
    if self.backend != "causal":
        raise SlungError(f"{asked[0].task}: needs a causal model, but this is an encoder-decoder model")
    with private(self, asked[0]):
        rows = [_tokens(self, its.front, its.after) for its in asked]
        there = [place for place, (ids, first) in enumerate(rows) if first < len(ids)]
        wanted = [(asked[place].layers, rows[place][1]) for place in there]
        states = iter(states_of(self, [rows[place][0] for place in there], wanted, "SLUNG_IDENTITY_LAYER"))
        read = {*there}
        return [next(states) if place in read else None for place in range(len(asked))]


def _tokens(self, front: str, after: str) -> tuple[list[int], int]:
    """The tokens of a text, cut to fit, and which of them is the first after the span."""
    before, ids = self.tok_encode(front), self.tok_encode(front + after)
    first = len(before)
    if ids[:first] != before:
        # a token would have characters of both; the span's end is then kept apart from what follows
        ids = before + self.tok_encode(after, add_special_tokens=False)
    ids = ids[: first + AFTER]
    cut = max(0, len(ids) - self.max_length)
    return ids[cut:], first - cut
