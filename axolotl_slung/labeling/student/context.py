"""What surrounds a word: how it compares with the words near it, which raters weigh."""

from __future__ import annotations

import math

import numpy as np

from ...compiled import jit

REACH = 50
"""Words on each side that count."""

MEASURES = 9
"""Columns of `surroundings`."""

_LIMIT = 9.0
"""Log-odds are cut at this distance from 0."""


@jit
def surroundings(logits: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Measures of each word and of the words near it in the same text.

    Args:
        logits: float32 (words,), the log-odds of each word by its features.
        firsts: int64 (texts + 1,), the number of the first word of each text.

    Returns:
        float32 (words, 9): its log-odds, those of the word before and of the word after it; the highest log-odds near it,
        and how far it is below them; ln(1 + x) of the number of words near it with itself, of those with higher log-odds,
        and of the sum of the probabilities near it; and this sum.
    """
    found = np.empty((logits.size, MEASURES), np.float32)
    clipped = np.minimum(np.maximum(logits, -_LIMIT), _LIMIT)
    chances = 1 / (1 + np.exp(-clipped))
    for text in range(firsts.size - 1):
        first, end = firsts[text], firsts[text + 1]
        for i in range(first, end):
            start, stop = max(first, i - REACH), min(end, i + REACH + 1)
            own, highest, higher, total = clipped[i], -_LIMIT, 0, 0.0
            for j in range(start, stop):
                if j != i:
                    highest = max(highest, clipped[j])
                    higher += clipped[j] > own
                    total += chances[j]
            row = found[i]
            row[0] = own
            row[1] = clipped[i - 1] if i > first else -_LIMIT
            row[2] = clipped[i + 1] if i + 1 < end else -_LIMIT
            row[3] = highest
            row[4] = min(own - highest, 0.0)
            row[5] = math.log1p(stop - start)
            row[6] = math.log1p(higher)
            row[7] = math.log1p(total)
            row[8] = total
    return found
