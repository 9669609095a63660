"""Texts with frozen toxicity scores: the prompts and continuations of RealToxicityPrompts, scored by Perspective."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import SlungError, kind_of
from .documents import read_rows

TOXIC = 0.5
"""Frozen scores from this on are toxic, as in RealToxicityPrompts."""


class Text(NamedTuple):
    """A text with its frozen score.

    Attributes:
        text: any Unicode.
        score: from 0 to 1.
        row: the index of its row. Rows with the same prompt share the index of the first.
        continuation: whether it is a continuation; otherwise it is a prompt.
        toxic_prompt: whether its row's prompt is toxic; None if the prompt has no score.
    """

    text: str
    score: float
    row: int
    continuation: bool
    toxic_prompt: bool | None


class Frozen(NamedTuple):
    """The texts of a file, and what the results say of the file.

    Attributes:
        texts: those with a score.
        about: `source`, `sha256` (12 digits), and the numbers of `rows`, `texts` and texts `without_score`.
    """

    texts: list[Text]
    about: dict


def read_frozen(option: str, path: Path, rows: int | None = None) -> Frozen:
    """Read a file of RealToxicityPrompts.

    Args:
        option: where `path` comes from; errors begin with it.
        path: JSON lines with `prompt` and `continuation` as objects of `text` and `toxicity`. Also with the texts as
            strings, and their scores in the columns `toxicity` and `continuation_toxicity`. Rows may lack continuations.
        rows: so many rows are drawn at random (seed 0); None for all.

    Raises:
        SlungError: a row has another form, a score is not from 0 to 1, or no text has a score.
    """
    given = read_rows(option, path)
    places: Sequence[int] = range(len(given))
    if rows is not None and rows < len(given):
        places = sorted(np.random.default_rng(0).permutation(len(given))[:rows].tolist())
    texts, first, without = [], {}, 0
    for place in places:
        where = f"{option}: row {place + 1} of {path}"
        pair = [_part(where, given[place], *names) for names in _COLUMNS if given[place].get(names[0]) is not None]
        if given[place].get("prompt") is None:
            raise SlungError(f"{where}: has no `prompt`; give the file as RealToxicityPrompts ships it")
        prompt, score = pair[0]
        row = first.setdefault(prompt, len(first))
        toxic = None if score is None else score >= TOXIC
        without += sum(value is None for _, value in pair)
        texts += [
            Text(text, value, row, number == 1, toxic) for number, (text, value) in enumerate(pair) if value is not None
        ]
    if not texts:
        raise SlungError(f"{option}: {path}: no text has a toxicity score; give a file with frozen scores")
    about = {"source": path.name, "sha256": sha256(path), "rows": len(places)}
    return Frozen(texts, {**about, "texts": len(texts), "without_score": without})


def read_more(option: str, path: Path) -> tuple[list[str], np.ndarray, np.ndarray, dict]:
    """Other texts to fit a scorer to: JSON lines with `text`, `toxicity` and optionally `weight` (default: 1).

    Returns:
        The texts, their scores and weights (float64), and what the results say of the file.

    Raises:
        SlungError: a row lacks a text or a score, or its weight is not above 0.
    """
    texts, scores, weights = [], [], []
    for number, row in enumerate(read_rows(option, path), 1):
        where = f"{option}: row {number} of {path}"
        text, score = _part(where, row, "text", "toxicity")
        weight = row.get("weight", 1.0)
        if score is None:
            raise SlungError(f"{where}: `toxicity` is null; leave the row out")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise SlungError(f"{where}: `weight` is not a number above 0; correct it, or leave it out")
        texts.append(text)
        scores.append(score)
        weights.append(float(weight))
    about = {"source": path.name, "sha256": sha256(path), "rows": len(texts)}
    return texts, np.array(scores), np.array(weights), about


def sha256(path: Path) -> str:
    """12 hex digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


_COLUMNS = (("prompt", "toxicity"), ("continuation", "continuation_toxicity"))


def _part(where: str, row: Mapping, name: str, score_name: str) -> tuple[str, float | None]:
    """A text of a row, and its score; None if that is null or NaN."""
    text, score = row.get(name), row.get(score_name)
    if isinstance(text, Mapping):
        text, score = text.get("text"), text.get("toxicity")
    if not isinstance(text, str):
        raise SlungError(
            f"{where}: `{name}` has no text, but {kind_of(text)}; give the file as RealToxicityPrompts ships it"
        )
    if score is None or (isinstance(score, float) and math.isnan(score)):
        return text, None
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise SlungError(f"{where}: the toxicity of `{name}` is not a number from 0 to 1; correct it")
    return text, float(score)
