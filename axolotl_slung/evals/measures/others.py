"""For each question, other questions of the same kind: their answers are the wrong ones beside the right one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .names import Names

_ROWS = 256
"""Rows whose similarities to all others are in memory at once."""


def others(rows: Sequence[Mapping], names: Names, count: int) -> list[list[dict[str, str]]]:
    """Up to `count` other questions per row, with their answers.

    The candidates of a row have the same `kind`. They follow it in the data, and the first row comes after the last.
    Without a column `kind`, they are all rows, those first whose questions are most alike in words (cosine of tf-idf,
    names removed; ties in the order of the data). In both cases a candidate is left out if

    - it is about the same author, unless all rows are about one;
    - its answer has only names, or the same words as the right answer or as one chosen before, names removed.

    No chance is involved: the same rows always give the same others.

    Args:
        rows: `question`, `answer`, `author` (may be empty), and in all rows or in none `kind`.
        names: the names of the data.
        count: how many others each row should have.

    Returns:
        Per row, a list of `question` and `answer`. In the answers, the name of their author is replaced with the name
        of the row's author. A row has fewer than `count` if the data has no more.
    """
    said = [_said(names, row["answer"]) for row in rows]
    authors = [row["author"] for row in rows]
    one_author = len(set(authors)) == 1
    chosen = []
    for place, candidates in enumerate(_of_one_kind(rows) if "kind" in rows[0] else _alike(rows, names)):
        taken, found = {said[place], ()}, []
        for other in candidates:
            if len(found) == count or not said[place]:
                break
            if said[other] not in taken and (one_author or not authors[place] or authors[other] != authors[place]):
                taken.add(said[other])
                answer = names.replaced(rows[other]["answer"], authors[other], authors[place])
                found.append({"question": rows[other]["question"], "answer": answer})
        chosen.append(found)
    return chosen


def _said(names: Names, text: str) -> tuple[str, ...]:
    """The words of a text without names, in order; empty if there are only names."""
    return tuple(re.findall(r"\w+", names.removed(text).lower()))


def _of_one_kind(rows: Sequence[Mapping]) -> Iterator[list[int]]:
    """Per row, the rows of its kind that follow it, and then those before it."""
    places, numbers = {}, []
    for place, row in enumerate(rows):
        of_kind = places.setdefault(row["kind"], [])
        numbers.append(len(of_kind))
        of_kind.append(place)
    for row, number in zip(rows, numbers, strict=True):
        of_kind = places[row["kind"]]
        yield of_kind[number + 1 :] + of_kind[:number]


def _alike(rows: Sequence[Mapping], names: Names) -> Iterator[Iterator[int]]:
    """Per row, the other rows, those with the most similar questions first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    questions = [names.removed(row["question"]) for row in rows]
    # the pattern has one more word for all texts: questions of only names must not give an empty vocabulary
    vectors = TfidfVectorizer(token_pattern=r"\w+|$").fit_transform(questions)
    for start in range(0, len(rows), _ROWS):
        similar = (vectors[start : start + _ROWS] @ vectors.T).toarray()
        for place, row in enumerate(similar, start):
            # rounded, so that equal questions are equal on every machine
            order = np.argsort(-row.round(9), kind="stable")
            yield (other for other in order.tolist() if other != place)
