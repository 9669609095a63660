"""What the labels do to a data set, and the warnings about it. Every command gives these warnings in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from .buckets import Action, Bucket
from .documents import LabeledDocument
from .tokens import buckets_of

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
        """Count a document."""
        bucket = buckets_of(document.score, self.buckets)
        loses = self._loses[bucket] | self._drops[bucket].any()
        self.trainable += int(document.trainable.sum())
        self.lost += int((document.trainable & loses).sum())
        self.trained.update(self.trained_finds(document, bucket))

    def trained_finds(self, document: LabeledDocument, bucket: np.ndarray | None = None) -> Counter:
        """The document's part of `trained`."""
        bucket = buckets_of(document.score, self.buckets) if bucket is None else bucket
        trained = document.trainable & self._trains[bucket]
        found: Counter[tuple[str, float, str]] = Counter()
        for name in self.finders & document.scores.keys():
            chosen = trained & (document.scores[name] > 0)
            for score, index in zip(document.scores[name][chosen].tolist(), bucket[chosen].tolist()):
                found[name, score, self.buckets[index].name] += 1
        return found

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
