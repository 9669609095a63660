"""Fits a student: a regression on each word's features, and a second one on how the word compares with those near it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from .. import __version__, regression
from ..errors import SlungError
from ..labeling.student.context import surroundings
from ..labeling.student.file import FORMAT, Student
from ..labeling.student.words import Words, columns_of, hashes_of, words_of
from .measure import HeldOut, measured
from .rows import Document, targets_of

BUCKETS = 1 << 20
"""Columns of features."""

PENALTIES = (30.0, 10.0, 3.0)
FOLDS = 5
"""The second regression learns from log-odds that the first one gives to documents that it was not fitted to."""

CONTEXT_PENALTY = 1.0
HELD_OUT = 0.2
FEWEST = 5
"""Documents with a span that must be on each side."""

FLOOR = 0.1
"""Words below it get no span, unless the cuts are close to it."""


class Fitted(NamedTuple):
    """A student fitted to all documents, and what is known of it from those that were held out."""

    student: Student
    trial: Student
    """The student that was fitted without the held-out documents. The figures are its."""
    held_out: list[Document]
    figures: HeldOut


class _Table(NamedTuple):
    """The words of documents as a sparse matrix, with what they should score."""

    words: Words
    features: Any
    """scipy CSR (words, BUCKETS)."""
    targets: np.ndarray
    documents: np.ndarray
    """int64 (words,): the number of each word's document."""


def fit_student(
    documents: Sequence[Document],
    also: Sequence[Document] = (),
    *,
    name: str = "student",
    seed: int = 0,
    held_out: float = HELD_OUT,
    tell: Callable[[str], None] = lambda step: None,
) -> Fitted:
    """Fit a student. The penalty and the cuts are chosen on held-out documents; then all documents are fitted.

    Args:
        documents: what to learn from, in any order.
        also: more to learn from, which is never held out.
        name: what the card calls the student.
        seed: decides which documents are held out.
        held_out: the share of documents that are held out, in (0, 1).
        tell: called before each step with what it is.

    Raises:
        SlungError: too few documents have spans.
    """
    # rows in another order give the same bytes
    ordered, more = (sorted(part, key=lambda one: (one.place(seed), one.text, one.spans)) for part in (documents, also))
    learned_from = [one for one in ordered if one.place(seed) >= held_out] + more
    held = [one for one in ordered if one.place(seed) < held_out]
    for part, what in ((learned_from, "to learn from"), (held, "held out")):
        if (marked := sum(bool(one.spans) for one in part)) < FEWEST:
            raise SlungError(
                f"DATA: {marked} documents {what} have a span, and {FEWEST} are needed; give more documents, or check "
                "--spans-field and --held-out"
            )
    tell("reading words")
    learned, trial = _table(learned_from), _table(held)
    tried, weights = [], None
    for penalty in PENALTIES:
        tell(f"fitting with the penalty {penalty:g}")
        weights = _fit(learned, penalty, start=weights)
        logits = trial.features @ weights[:-1] + weights[-1]
        tried.append((regression.cross_entropy(logits, trial.targets), penalty, weights))
    _, penalty, weights = min(tried, key=lambda one: one[0])
    tell("fitting the words near each other")
    context = _fit_context(learned, penalty, weights)
    student = Student({"floor": FLOOR}, *_rounded(weights), context)
    tell("measuring on held-out documents")
    figures = measured(held, trial.words, student)
    card = {
        "format": FORMAT,
        "kind": "student",
        "name": name,
        "cuts": list(figures.cuts),
        "floor": min(FLOOR, figures.cuts[0] / 2),
        "chosen": {"penalty": penalty},
        "tried": [{"penalty": one, "cross_entropy": round(loss, 5)} for loss, one, _ in tried],
        "held_out": figures.card,
        "data": _about(ordered),
        "also": _about(more),
        "seed": seed,
        "share_held_out": held_out,
        "versions": {
            "axolotl-slung": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "scipy")},
        },
    }
    student = student._replace(card=card)
    tell("fitting all documents")
    final = student._replace(
        **dict(zip(("weights", "intercept"), _rounded(_fit(_table([*ordered, *more]), penalty, start=weights))))
    )
    return Fitted(final, student, held, figures)


def _table(documents: Sequence[Document]) -> _Table:
    from scipy.sparse import csr_matrix

    words = words_of([document.text for document in documents])
    count = len(words.starts)
    places, columns = columns_of(words, hashes_of(words), BUCKETS, 0, count)
    features = csr_matrix((np.ones(len(columns), np.float32), columns, places), (count, BUCKETS))
    features.sum_duplicates()
    whose = np.repeat(np.arange(len(documents)), np.diff(words.firsts))
    return _Table(words, features, targets_of(documents, words.starts, words.ends), whose)


def _fit(
    table: _Table, penalty: float, chosen: np.ndarray | None = None, start: np.ndarray | None = None
) -> np.ndarray:
    """The weights of all columns and the intercept, float64 (BUCKETS + 1,). Columns without a word have the weight 0.

    Args:
        table: all words.
        penalty: see `regression.fit`.
        chosen: bool (words,), the words to fit; None for all.
        start: weights to begin from.
    """
    features, targets = table.features, table.targets
    if chosen is not None:
        features, targets = features[chosen], targets[chosen]
    used = np.unique(features.indices)
    places = np.append(used, BUCKETS)
    found = np.zeros(BUCKETS + 1)
    found[places] = regression.fit(
        features[:, used], targets, np.ones(len(targets)), penalty, None if start is None else start[places]
    )
    return found


def _fit_context(table: _Table, penalty: float, weights: np.ndarray) -> np.ndarray:
    """See `Student.context`."""
    logits = np.empty(len(table.targets), np.float32)
    for fold in range(FOLDS):
        out = table.documents % FOLDS == fold
        if not out.any() or out.all():
            logits[out] = table.features[out] @ weights[:-1] + weights[-1]
            continue
        of_fold = _fit(table, penalty, ~out, weights)
        logits[out] = table.features[out] @ of_fold[:-1] + of_fold[-1]
    measures = surroundings(logits, table.words.firsts).astype(np.float64)
    center, spread = measures.mean(0), measures.std(0)
    spread[spread == 0] = 1
    found = regression.fit((measures - center) / spread, table.targets, np.ones(len(logits)), CONTEXT_PENALTY)
    slopes = found[:-1] / spread
    return np.append(slopes, found[-1] - slopes @ center).astype(np.float32)


def _rounded(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercept as the file has them."""
    return weights[:-1].astype(np.float16).astype(np.float32), weights[-1:].astype(np.float32)


def _about(documents: Sequence[Document]) -> dict:
    """What the card says of the data. It quotes nothing."""
    digest = hashlib.sha256()
    for document in documents:
        spans = [span[:3] for span in document.spans]
        digest.update(json.dumps([document.text, spans]).encode())
    return {
        "documents": len(documents),
        "with_spans": sum(bool(one.spans) for one in documents),
        "spans": sum(len(one.spans) for one in documents),
        "characters": sum(len(one.text) for one in documents),
        "sha256": digest.hexdigest(),
    }
