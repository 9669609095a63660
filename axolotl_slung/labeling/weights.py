"""Reads weights from the data: numbers by which the loss of a text's tokens is multiplied."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from ..errors import kind_of
from .base import LabelerError, Span

LARGEST = 1e30
"""The largest size of a weight. The smallest, apart from 0, is its inverse. Labels hold weights as float32."""

_FORMS = "write a number, [[start, end, weight], ...], or one number for each character"


def parse_weights(value: Any, text: str, where: str) -> np.ndarray | None:
    """Check the weights in a data set's value.

    Args:
        value: None; a number for the whole text; a sequence of `[start, end, weight]` or mappings with these keys; or a
            sequence of numbers, one for each character. Or one of these as a string of JSON. In a mapping, JSON
            pointers (`spans.by_pointer`) and their weights are left out.
        text: the text whose characters the weights count.
        where: the beginning of errors.

    Returns:
        The weight of each character, float64 `[characters]`, or None if all are 1. Weights of spans that overlap are
        multiplied.

    Raises:
        LabelerError: the value is anything else, a span is empty or outside the text, or a weight is not 0 and its
            size not in [1e-30, 1e30].
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise LabelerError(f"{where}: the string is not valid JSON; {_FORMS}") from None
    if isinstance(value, Mapping) and all(str(key).startswith("/") for key in value):
        return None
    if value is None:
        return None
    if isinstance(value, Real):
        return _unless_one(np.full(len(text), _number(value, where)))
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise LabelerError(f"{where}: expected weights, got {kind_of(value)}; {_FORMS}")
    value = list(value)
    if value and all(isinstance(one, Real) for one in value):
        if len(value) != len(text):
            raise LabelerError(
                f"{where}: {len(value)} numbers for a text of {len(text)} characters; expected one for each character "
                "(of tokenized data: for each token)"
            )
        return _unless_one(np.array([_number(one, f"{where}, number {at}") for at, one in enumerate(value)], float))
    weights = np.ones(len(text))
    for number, one in enumerate(value):
        start, end, weight = _span(one, text, f"{where}, span {number}")
        weights[start:end] *= weight
    return _unless_one(weights)


def runs(weights: np.ndarray) -> list[Span]:
    """The runs of equal weights other than 1, as spans whose score is the weight.

    Args:
        weights: float64 `[characters]`.
    """
    edges = [0, *(np.flatnonzero(np.diff(weights)) + 1).tolist(), len(weights)]
    found = (Span(start, end, float(weights[start])) for start, end in pairwise(edges) if start < end)
    return [span for span in found if span.score != 1]


def of_runs(length: int, spans: Sequence[Span]) -> np.ndarray:
    """The weights of the characters of spans whose score is a weight, float64 `[length]`; 1 outside them."""
    weights = np.ones(length)
    for span in spans:
        weights[span.start : span.end] = span.score
    return weights


def _unless_one(weights: np.ndarray) -> np.ndarray | None:
    return weights if (weights != 1).any() else None


def _span(span: Any, text: str, where: str) -> tuple[int, int, float]:
    if isinstance(span, Mapping):
        span = [span.get("start"), span.get("end"), span.get("weight")]
    if isinstance(span, (str, bytes)) or not hasattr(span, "__len__") or len(span) != 3:
        raise LabelerError(f"{where}: expected [start, end, weight] or a mapping with these keys")
    start, end, weight = span
    for name, number in (("start", start), ("end", end)):
        # Arrow makes [0, 5, 0.9] a list of floats, so 5.0 counts as 5
        if isinstance(number, bool) or not isinstance(number, Real) or number % 1 != 0:
            raise LabelerError(
                f"{where}: {name}: expected an integer; spans count characters, or tokens of tokenized data"
            )
    if not 0 <= start < end <= len(text):
        raise LabelerError(
            f"{where}: it is empty or outside the text of {len(text)} characters (of tokenized data: tokens); count these, "
            "not bytes; end is the first one after the span"
        )
    return int(start), int(end), _number(weight, f"{where}: weight")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or value != value or abs(value) == math.inf:
        # nothing else is quoted: it may be the text that is labeled
        what = repr(value) if isinstance(value, float) else kind_of(value)
        raise LabelerError(f"{where}: expected a finite number, got {what}")
    size: Any = abs(value)
    if size and not 1 / LARGEST <= size <= LARGEST:
        raise LabelerError(f"{where}: expected 0 or a size from {1 / LARGEST:g} to {LARGEST:g}")
    return float(value)
