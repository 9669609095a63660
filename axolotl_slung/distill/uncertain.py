"""The spans that are most worth a person's look: those whose scores are closest to a cut."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from ..labeling.student.file import Student
from ..labeling.student.model import scores_of, spans_of
from ..labeling.student.words import hashes_of, words_of
from ..storage import write_private
from .rows import Document

_BATCH = 512
"""Texts that are scored at once."""

_LEAST = 1e-9


def uncertain(documents: Sequence[Document], student: Student, most: int) -> list[dict]:
    """The words whose scores are closest to the lower cut in log-odds, and of equal words the closest.

    Args:
        documents: what to choose from. Their spans are not read.
        student: the model.
        most: number of words.

    Returns:
        For each word a row with `text`, `spans` (the word with its score, as the `spans` labeler reads it) and `where`, the
        closest first. Case and accents do not make words different.
    """
    cut = _log_odds(student.card["cuts"][0])
    closest: dict[int, tuple[float, int, int, int, float]] = {}
    for first in range(0, len(documents), _BATCH):
        words = words_of([one.text for one in documents[first : first + _BATCH]])
        hashes = dict(zip(zip(*_places(words)), hashes_of(words).tolist()))
        for number, spans in enumerate(spans_of(words, scores_of(words, student), student.card["floor"])):
            for span in spans:
                hashed = hashes.get((number, span.start))
                if hashed is None:  # white space between two words
                    continue
                found = (abs(_log_odds(span.score) - cut), first + number, span.start, span.end, span.score)
                closest[hashed] = min(found, closest.get(hashed, found))
    rows = []
    for _, number, start, end, score in islice(sorted(closest.values()), most):
        one = documents[number]
        rows.append({"text": one.text, "spans": [[start, end, round(score, 4)]], "where": one.where})
    return rows


def write_rows(path: Path, rows: Sequence[dict]) -> None:
    """Write rows as JSON lines that only the owner may read: they quote texts.

    Raises:
        FileError: the file cannot be written.
    """
    write_private(path, "".join(json.dumps(row) + "\n" for row in rows))


def _places(words) -> tuple[list[int], list[int]]:
    """The text of each word, and where it starts in it."""
    texts = np.repeat(np.arange(len(words.bounds) - 1), np.diff(words.firsts))
    return texts.tolist(), (words.starts - words.bounds[texts]).tolist()


def _log_odds(score: float) -> float:
    score = min(max(score, _LEAST), 1 - _LEAST)
    return math.log(score / (1 - score))
