"""Whether a risky document meets the criteria."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..labeling.base import Span
from ..labeling.text.sentences import split
from .config import Criteria
from .documents import Document

_WRITTEN = re.compile(r"\S")


def highest(document: Document) -> float:
    """The highest score of a span; 0 without spans."""
    return max((span.score for span in document.spans), default=0.0)


def lowest(document: Document) -> float:
    """The lowest score of a span; 0 if other characters than white space lie outside all spans."""
    scores = [span.score for span in document.spans]
    if not scores or _uncovered(document.text, document.spans):
        return 0.0
    return min(scores)


def _uncovered(text: str, spans: Sequence[Span]) -> bool:
    outside = np.ones(len(text), bool)
    for span in spans:
        outside[span.start : span.end] = False
    return any(_WRITTEN.match(text[place]) for place in np.flatnonzero(outside).tolist())


def _at_least(value: Callable[[Document], float | None]) -> Callable[[Document, Any], bool]:
    return lambda document, bound: (value(document) or 0.0) >= bound


def _at_most(value: Callable[[Document], float]) -> Callable[[Document, Any], bool]:
    return lambda document, bound: value(document) <= bound


_TESTS = {
    "min_language": _at_least(lambda document: document.language),
    "min_document": _at_least(lambda document: document.document),
    "min_highest": _at_least(highest),
    "max_lowest": _at_most(lowest),
    "min_characters": _at_least(lambda document: len(document.text)),
    "max_characters": _at_most(lambda document: len(document.text)),
    # the splitter of Dolma's taggers; last, because it takes the longest
    "min_sentences": _at_least(lambda document: len(split([document.text])[0])),
}


def failed(document: Document, criteria: Criteria) -> str | None:
    """The first criterion that a document does not meet, in the order of the YAML; None if it meets all."""
    for name, test in _TESTS.items():
        bound = getattr(criteria, name)
        if bound is not None and not test(document, bound):
            return name
    return None
