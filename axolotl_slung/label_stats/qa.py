"""How well labels match spans that people marked: by characters, by tokens, and as probabilities."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from ..errors import SlungError
from ..labeling.base import Span
from ..labels.buckets import Action, Bucket
from ..labels.tokens import Overlap, char_scores, token_scores
from ..render.formats import ratio
from .tally import Quality, Tally
from .words import WordCounts

BINS = 10
"""Number of bins of the calibration, all equally wide."""


@dataclass(frozen=True)
class GoldDocument:
    """One document with its true spans and the labelers' spans.

    Attributes:
        text: the document.
        gold: the risky spans; their scores are ignored.
        predicted: the labelers' spans. `Span.labeler` says which labeler found each.
        offsets: integers `[tokens, 2]`, the characters `[start, end)` of each token; None leaves tokens out.
    """

    text: str
    gold: Sequence[Span]
    predicted: Sequence[Span]
    offsets: Sequence | None = None


@dataclass(frozen=True)
class Calibration:
    """Whether spans with score 0.8 are right 8 times in 10. A span is right if it touches a gold span.

    Attributes:
        spans: number of spans with a score in each of the `BINS`.
        score: mean score per bin; None for an empty bin.
        right: share of right spans per bin; None for an empty bin.
        error: mean over spans of the distance between `score` and `right` of the span's bin (the expected calibration
            error); None without spans.
    """

    spans: list[int]
    score: list[float | None]
    right: list[float | None]
    error: float | None


@dataclass(frozen=True)
class LabelerQuality:
    """Quality of one labeler, or of all combined. `tokens` is None without a tokenizer."""

    characters: Quality
    tokens: Quality | None
    calibration: Calibration


@dataclass(frozen=True)
class QaReport:
    """One pass over documents with gold spans.

    Attributes:
        whole_documents: whether the truth is about whole documents. Each is then one unit, and `characters` and the
            qualities of characters count documents.
        documents, characters, tokens: their numbers; `tokens` is None without a tokenizer.
        gold_documents, gold_spans: number of documents with a gold span, and of gold spans.
        overlap: how many of a token's characters make it predicted. One character makes it gold.
        combined: quality of the labelers' maximum. Its calibration uses the spans of all labelers.
        labelers: quality of each labeler that found something in any document.
        judged_at: the threshold of `missed` and `false`: the lowest score that the buckets do not train.
        missed, false: words that are gold but not predicted, and words that are predicted but not gold, the most
            telling first (see `WordCounts.top`). None if they were not requested. **They quote the data.**
    """

    whole_documents: bool
    documents: int
    characters: int
    tokens: int | None
    gold_documents: int
    gold_spans: int
    overlap: Overlap
    combined: LabelerQuality
    labelers: dict[str, LabelerQuality]
    judged_at: float
    missed: list[dict] | None
    false: list[dict] | None

    def to_json(self) -> dict:
        """As plain lists, mappings, numbers and strings. It contains the words, if they were requested."""
        return asdict(self)


def qa_report(
    documents: Iterable[GoldDocument],
    buckets: Sequence[Bucket],
    *,
    overlap: Overlap = "any",
    thresholds: Sequence[float] = (),
    words: int = 40,
    whole_documents: bool = False,
) -> QaReport:
    """Compare labels with the truth, in one pass. Memory does not grow with the number of documents.

    Args:
        documents: any iterable, read once. Either all or none of them have offsets.
        buckets: ascending. Their bounds are among the reported thresholds.
        overlap: how many of a token's characters make it predicted.
        thresholds: more thresholds, in (0, 1].
        words: number of missed and false words to report; 0 counts no words.
        whole_documents: whether each document stands for a whole one by a single character.

    Raises:
        SlungError: a threshold is outside (0, 1], a span is outside its text, or only some documents have offsets.
    """
    bounds = [bucket.below for bucket in buckets[:-1]]
    asked = sorted({*thresholds, *bounds})
    if not all(0 < threshold <= 1 for threshold in asked):
        raise SlungError(f"thresholds: {asked}: expected numbers above 0 and at most 1; change them")
    judged_at = next((low.below for low, high in pairwise(buckets) if high.action is not Action.TRAIN), bounds[0])

    combined, nothing = _Judge(asked), _Judge(asked)
    labelers: dict[str, _Judge] = {}
    missed, false = WordCounts(), WordCounts()
    number = characters = tokens = gold_documents = gold_spans = 0
    with_tokens = None
    for document in documents:
        if with_tokens not in (None, document.offsets is not None):
            raise SlungError("offsets: only some documents have them; give them to all documents or to none")
        with_tokens = document.offsets is not None
        truth = _Truth(document, overlap)
        number += 1
        characters += len(document.text)
        tokens += len(truth.offsets)
        gold_documents += bool(document.gold)
        gold_spans += len(document.gold)
        by_labeler: dict[str, list[Span]] = {}
        for span in document.predicted:
            by_labeler.setdefault(span.labeler, []).append(span)
        for name in by_labeler:
            if name not in labelers:
                # it found nothing in the documents before this one
                labelers[name] = copy.deepcopy(nothing)
        for name, judge in labelers.items():
            judge.add(truth, by_labeler.get(name, []))
        nothing.add(truth, [])
        said = combined.add(truth, document.predicted) >= judged_at
        if words:
            missed.add(document.text, truth.gold & ~said)
            false.add(document.text, said & ~truth.gold)

    return QaReport(
        whole_documents=whole_documents,
        documents=number,
        characters=characters,
        tokens=tokens if with_tokens else None,
        gold_documents=gold_documents,
        gold_spans=gold_spans,
        overlap=overlap,
        combined=combined.quality(bool(with_tokens)),
        labelers={name: judge.quality(bool(with_tokens)) for name, judge in labelers.items()},
        judged_at=judged_at,
        missed=missed.top(words)["telling"] if words else None,
        false=false.top(words)["telling"] if words else None,
    )


class _Truth:
    """The gold characters and tokens of a document, without tokens that have no characters."""

    def __init__(self, document: GoldDocument, overlap: Overlap):
        self.length = len(document.text)
        self.overlap = overlap
        marked = char_scores(self.length, [Span(start, end, 1.0) for start, end, *_ in document.gold])
        offsets = np.asarray([] if document.offsets is None else document.offsets, dtype=np.int64).reshape(-1, 2)
        self.offsets = offsets[offsets[:, 1] > offsets[:, 0]]
        self.gold = marked > 0
        self.gold_tokens = token_scores(self.offsets, marked, "any") > 0


class _Judge:
    """Compares one labeler, or all combined, with the truth."""

    def __init__(self, thresholds: Sequence[float]):
        self._characters, self._tokens = Tally(thresholds), Tally(thresholds)
        self._spans, self._scores, self._right = np.zeros((3, BINS))

    def add(self, truth: _Truth, spans: Sequence[Span]) -> np.ndarray:
        """Compare the spans of a document. Returns the score of each character."""
        scores = char_scores(truth.length, spans)
        self._characters.add(scores, truth.gold)
        self._tokens.add(token_scores(truth.offsets, scores, truth.overlap), truth.gold_tokens)
        if spans:
            start, end, score = np.array([span[:3] for span in spans]).T
            before = np.append(0, truth.gold.cumsum())
            right = before[end.astype(np.int64)] > before[start.astype(np.int64)]
            place = np.minimum((score * BINS).astype(np.int64), BINS - 1)
            for sums, weights in ((self._spans, None), (self._scores, score), (self._right, right)):
                sums += np.bincount(place, weights, minlength=BINS)
        return scores

    def quality(self, with_tokens: bool) -> LabelerQuality:
        tokens = self._tokens.quality() if with_tokens else None
        return LabelerQuality(self._characters.quality(), tokens, self._calibration())

    def _calibration(self) -> Calibration:
        spans = self._spans.astype(np.int64).tolist()
        score = [ratio(total, number) for total, number in zip(self._scores.tolist(), spans)]
        right = [ratio(total, number) for total, number in zip(self._right.tolist(), spans)]
        apart = np.abs(self._scores - self._right).sum()
        return Calibration(spans, score, right, ratio(float(apart), sum(spans)))
