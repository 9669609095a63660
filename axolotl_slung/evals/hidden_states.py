"""How the hidden states of a text become one vector."""

from __future__ import annotations

POOLINGS = ("last", "mean")
"""The state of the last token, and the mean over all tokens."""


def pooled(states, pooling: str | int):
    """One vector for a text, as a float32 tensor `(width,)`.

    Args:
        states: a tensor `(tokens, width)`: the states of one layer, without padding.
        pooling: one of `POOLINGS`, or a number: the mean over the tokens from this one on.
    """
    if pooling == "last":
        return states[-1].float()
    return states[0 if pooling == "mean" else pooling :].float().mean(0)
