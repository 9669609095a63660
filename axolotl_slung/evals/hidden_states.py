"""How the hidden states of a text become one vector."""

from __future__ import annotations

POOLINGS = ("last", "mean")
"""The state of the last token, and the mean over all tokens."""


def pooled(states, pooling: str):
    """One vector for a text, as a float32 tensor `(width,)`.

    Args:
        states: a tensor `(tokens, width)`: the states of one layer, without padding.
        pooling: one of `POOLINGS`.
    """
    return states[-1].float() if pooling == "last" else states.float().mean(0)
