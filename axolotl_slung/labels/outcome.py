"""What the labels do to a data set, and the warnings about it. Every command gives these warnings in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from ..labeling.base import Span
from .buckets import Action, Bucket
from .documents import LabeledDocument
from .tokens import buckets_of, char_scores

_MOST = 5
"""The most scores that a warning lists."""


class Outcome:
    """Counts of what happens to labeled documents.

    Args:
        buckets: ascending.
        finders: the labelers that find instead of scoring: whatever they find is meant to be risky.
        unit: what is counted: tokens or characters.

    Attributes:
        trainable: number of tokens that would be trained without slung.
        lost: number of these that lose their loss.
        trained: the number of trained tokens by the labeler that found them, its score, and their bucket.
    """

    def __init__(self, buckets: Sequence[Bucket], finders: Collection[str], unit: str = "tokens"):
        self.buckets, self.finders, self.unit = tuple(buckets), frozenset(finders), unit
        self.trainable = self.lost = 0
        self.trained: Counter[tuple[str, float, str]] = Counter()
        self._loses = np.array([not bucket.action.traits.has_loss for bucket in buckets])
        self._trains = np.array([bucket.action is Action.TRAIN for bucket in buckets])
        self._drops = np.array([bucket.action is Action.DROP_DOCUMENT for bucket in buckets])

    def add(self, document: LabeledDocument) -> None:
        """Count a tokenized document."""
        self._add(document.score, document.scores, document.trainable.astype(np.int64), document.weight)

    def add_text(self, length: int, spans: Sequence[Span]) -> None:
        """Count the characters of a text, all of which are trainable.

        Args:
            length: of the text, in characters.
            spans: of all labelers.
        """
        # between two edges of spans all characters are alike
        edges = np.unique([0, length, *(span.start for span in spans), *(span.end for span in spans)])
        place = {edge: index for index, edge in enumerate(edges.tolist())}
        moved = [span._replace(start=place[span.start], end=place[span.end]) for span in spans]
        by_name = {name: [span for span in moved if span.labeler == name] for name in {s.labeler for s in moved}}
        scores = {name: char_scores(len(edges) - 1, of_name) for name, of_name in by_name.items()}
        self._add(char_scores(len(edges) - 1, moved), scores, np.diff(edges))

    def trained_finds(self, document: LabeledDocument) -> Counter:
        """The document's part of `trained`."""
        bucket = buckets_of(document.score, self.buckets)
        return self._trained(document.scores, bucket, document.trainable * (document.weight > 0))

    def _add(
        self,
        score: np.ndarray,
        scores: Mapping[str, np.ndarray],
        trainable: np.ndarray,
        weight: float | np.ndarray = 1.0,
    ) -> None:
        """Count tokens, or characters that are alike. `trainable` says how many of each are trainable."""
        bucket = buckets_of(score, self.buckets)
        loses = self._loses[bucket] | self._drops[bucket].any() | (np.asarray(weight) == 0)
        self.trainable += int(trainable.sum())
        self.lost += int(trainable[loses].sum())
        self.trained.update(self._trained(scores, bucket, trainable * (np.asarray(weight) > 0)))

    def _trained(self, scores: Mapping[str, np.ndarray], bucket: np.ndarray, trainable: np.ndarray) -> Counter:
        trainable = trainable * self._trains[bucket]
        found: Counter[tuple[str, float, str]] = Counter()
        for name in self.finders & scores.keys():
            (chosen,) = np.nonzero((scores[name] > 0) & (trainable > 0))
            for index in chosen.tolist():
                found[name, float(scores[name][index]), self.buckets[bucket[index]].name] += int(trainable[index])
        return found

    # for journals and the columns of rows

    def to_json(self) -> list:
        """The counts as JSON values."""
        return [self.trainable, self.lost, [[*key, number] for key, number in self.trained.items()]]

    def add_json(self, counts: Sequence) -> None:
        """Add counts that `to_json` gave."""
        trainable, lost, trained = counts
        self.trainable, self.lost = self.trainable + trainable, self.lost + lost
        self.trained.update({tuple(key): number for *key, number in trained})

    def watched(self, documents: Iterable[LabeledDocument]) -> Iterator[LabeledDocument]:
        """The same documents; each is counted when it is taken."""
        for document in documents:
            self.add(document)
            yield document

    @property
    def mostly_lost(self) -> bool:
        """Whether more than half of the trainable tokens lose their loss."""
        return self.lost > 0.5 * self.trainable

    def warnings(self) -> list[str]:
        """What a user should know before a run. Empty if there is nothing."""
        return [*self._finds(), *self._loss()]

    def _finds(self) -> Iterator[str]:
        for name, bucket in dict.fromkeys((name, bucket) for name, _, bucket in sorted(self.trained)):
            scores = {score: n for (*who, score, which), n in self._by_score() if (*who, which) == (name, bucket)}
            listed = [f"{number:,} with the score {score:g}" for score, number in [*scores.items()][:_MOST]]
            listed += [f"{len(scores) - _MOST} more scores"] if len(scores) > _MOST else []
            yield (
                f"the model learns to say what {name} found: {sum(scores.values()):,} {self.unit} are in the bucket "
                f"{bucket!r}, whose action is train ({', '.join(listed)})"
            )

    def _by_score(self) -> list[tuple[tuple[str, float, str], int]]:
        return sorted(self.trained.items(), key=lambda item: -item[1])

    def _loss(self) -> Iterator[str]:
        if self.mostly_lost:
            yield (
                f"{self.lost / self.trainable:.1%} of the {self.trainable:,} trainable {self.unit} lose their loss; "
                "`slung sweep` shows what other cuts or buckets would do"
            )
