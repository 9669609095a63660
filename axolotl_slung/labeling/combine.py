"""Several labelers' spans into one list."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

from .base import Span


def combine(spans_by_labeler: Sequence[Sequence[Span]]) -> list[Span]:
    """The maximum of all spans, character by character.

    Args:
        spans_by_labeler: each labeler's spans of the same text, in any order, overlapping or not.

    Returns:
        Spans in order, without overlaps, each with the highest score over its characters; neighbours that
        touch differ in score. Characters that no span covers stay uncovered.
    """
    waiting = sorted(span for spans in spans_by_labeler for span in spans)
    edges = sorted({edge for span in waiting for edge in span[:2]})
    combined: list[Span] = []
    active: list[tuple[float, int]] = []  # a heap of (-score, end): the highest score comes first
    taken = 0
    for left, right in pairwise(edges):
        while taken < len(waiting) and waiting[taken].start <= left:
            heapq.heappush(active, (-waiting[taken].score, waiting[taken].end))
            taken += 1
        while active and active[0][1] <= left:
            heapq.heappop(active)
        if not active:
            continue
        score = -active[0][0]
        if combined and combined[-1].end == left and combined[-1].score == score:
            combined[-1] = combined[-1]._replace(end=right)
        else:
            combined.append(Span(left, right, score))
    return combined
