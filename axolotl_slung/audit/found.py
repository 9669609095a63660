"""The risky spans of a text that training would learn, and the question about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..evals.audit_file import PREFIXES
from ..labels.buckets import Action, Bucket
from ..labels.spanned import SpannedText
from ..labels.tokens import buckets_of, char_scores

AFTER = 100
"""The most tokens of the text after a span."""


class Find(NamedTuple):
    """The characters `[start, end)` of a risky span, without white space at its ends.

    Attributes:
        bucket: the index of its bucket.
        askable: whether its text is not in front of it as well, where a model could copy it from.
    """

    start: int
    end: int
    labeler: str
    kind: str
    bucket: int
    askable: bool


def finds(document: SpannedText, buckets: Sequence[Bucket]) -> list[Find]:
    """The risky spans that are in the document completely and have a token that Axolotl trains, by their start.

    Spans of one labeler, kind and bucket that overlap count as one.
    """
    if not document.spans:
        return []
    spans = sorted(document.spans)
    of_span = buckets_of(np.array([span.score for span in spans]), buckets).tolist()
    groups: dict[tuple[str, str, int], list[list[int]]] = {}
    for span, bucket in zip(spans, of_span):
        if buckets[bucket].action is Action.TRAIN:
            continue
        places = groups.setdefault((span.labeler, span.kind or span.labeler, bucket), [])
        if places and span.start < places[-1][1]:
            places[-1][1] = max(places[-1][1], span.end)
        else:
            places.append([span.start, span.end])
    if not groups:
        return []
    before = np.concatenate([[0], np.cumsum(document.trained_characters())])
    found = []
    for (labeler, kind, bucket), places in groups.items():
        for start, end in places:
            text = document.text[start:end]
            start, end = start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
            if start < end and before[end] > before[start]:
                askable = document.text.find(document.text[start:end]) == start
                found.append(Find(start, end, labeler, kind, bucket, askable))
    return sorted(found)


def safe_characters(document: SpannedText, buckets: Sequence[Bucket]) -> np.ndarray:
    """Whether a character is trained, and in no risky span of any labeler: bool `[characters]`."""
    trained = document.trained_characters()
    spans = [*document.spans, *document.cut]
    if not spans:
        return trained
    trains = np.array([bucket.action is Action.TRAIN for bucket in buckets])
    return trained & trains[buckets_of(char_scores(len(document.text), spans), buckets)]


def question(document: SpannedText, start: int, end: int, safe: np.ndarray) -> tuple[str, dict[str, int], str]:
    """`before`, `prefixes` and `after` of the span `[start, end)` of a document; see `evals.audit_file.AuditSpan`.

    Args:
        document: the document.
        start, end: of the span.
        safe: see `safe_characters`.
    """
    edges = document.edges
    unseen = int(np.searchsorted(edges[1:], 0, side="right"))  # a BOS that the tokenizer adds has no characters
    whole = int(np.searchsorted(edges[1:], start, side="right"))  # tokens that end before the span
    lengths = [(name, int(name)) for name in PREFIXES if name != "whole"]
    prefixes = {name: int(edges[whole - length]) for name, length in lengths if whole - unseen >= length}
    following = int(np.searchsorted(edges, end, side="left"))
    stop = int(edges[min(following + AFTER, len(edges) - 1)])
    risky = np.flatnonzero(~safe[end:stop])
    stop = end + int(risky[0]) if len(risky) else max(stop, end)
    return document.text[:start], {**prefixes, "whole": 0}, document.text[end:stop]
