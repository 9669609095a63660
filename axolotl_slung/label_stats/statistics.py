"""Statistics of a data set's labels: how much is risky, what the loss leaves out, and which words are risky."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..labels.buckets import Action, Bucket
from ..labels.documents import NOISE, LabeledDocument
from ..labels.tokens import buckets_of
from ..labels.weights import ACTIONS, weighed
from .batches import Batches, BatchSpread
from .scale import BINS, bins_of
from .words import WordCounts

_WITH_LOSS = np.array([action.traits.has_loss for action in ACTIONS])
_DROPPED = np.array([action.traits.edits_text and not action.traits.has_loss for action in ACTIONS])

SHARE_BINS = 12
"""Bins of the risky share of a document: exactly 0, ten equal bins, exactly 1."""

RUN_BINS = 17
"""Bins of the length of a run in tokens: 1, 2 to 3, 4 to 7, ... 65536 and more."""


@dataclass(frozen=True)
class Counts:
    """Numbers per bucket: documents (each in the highest bucket that it touches), tokens, and trainable tokens."""

    documents: list[int]
    tokens: list[int]
    trainable: list[int]


@dataclass(frozen=True)
class WeightCounts:
    """The weights that the data gives to tokens: how many are not 1, how many of these are 0, and their range."""

    other: int = 0
    zero: int = 0
    lowest: float = 1.0
    highest: float = 1.0

    def add(self, weights: np.ndarray) -> WeightCounts:
        """With those of more tokens, float64 `[tokens]`."""
        return WeightCounts(
            self.other + int((weights != 1).sum()),
            self.zero + int((weights == 0).sum()),
            float(min(self.lowest, weights.min(initial=1.0))),
            float(max(self.highest, weights.max(initial=1.0))),
        )


@dataclass(frozen=True)
class Runs:
    """Runs of neighboring tokens with the same action: their number, tokens, longest, and histogram by `RUN_BINS`."""

    runs: int
    tokens: int
    longest: int
    histogram: list[int]


@dataclass(frozen=True)
class RiskReport:
    """One pass over labeled documents.

    Attributes:
        buckets: ascending.
        documents, tokens: number of all documents and tokens.
        trainable: tokens that Axolotl would train on without slung.
        partial: tokens with characters in different buckets.
        combined: numbers per bucket, by the labelers' maximum.
        labelers: numbers per bucket, for each labeler that found something in any document.
        outcomes: number of trainable tokens per action. In a dropped document, all tokens are dropped.
        without_loss: documents without any token with a loss, for any reason, including empty documents.
        fully_masked: documents among them that Axolotl would have trained on without slung.
        dropped: documents with a token in a bucket with the action `drop_document`.
        batch: loss tokens per batch; None if no sequence length was given or no batch is full.
        runs: runs of each action except `train`.
        scores: tokens by score, for each labeler; see `scale.bin_names`.
        combined_scores: tokens by combined score.
        shares: documents by the share of their tokens that is risky (in a bucket that does not train).
        missed, false: numbers of spans and of tokens that `label_noise` dropped, and that it added.
        found: numbers of documents and of tokens with a score above 0, by labeler. Also for labelers that found nothing.
        words: see `WordCounts.top`; None if they were not requested. **They quote the data.**
        weights: of the trainable tokens.
    """

    buckets: tuple[Bucket, ...]
    documents: int
    tokens: int
    trainable: int
    partial: int
    combined: Counts
    labelers: dict[str, Counts]
    outcomes: dict[str, int]
    without_loss: int
    fully_masked: int
    dropped: int
    batch: BatchSpread | None
    runs: dict[str, Runs]
    scores: dict[str, list[int]]
    combined_scores: list[int]
    shares: list[int]
    missed: tuple[int, int]
    false: tuple[int, int]
    found: dict[str, tuple[int, int]]
    words: dict | None
    weights: WeightCounts = WeightCounts()

    @property
    def loss_tokens(self) -> int:
        """Tokens that keep a loss."""
        return sum(self.outcomes[action.value] for action, kept in zip(ACTIONS, _WITH_LOSS) if kept)

    def to_json(self) -> dict:
        """As plain lists, mappings, numbers and strings. It contains the words, if they were requested."""
        buckets = [{"name": b.name, "below": b.below, "action": b.action.value} for b in self.buckets]
        return asdict(self) | {"buckets": buckets, "loss_tokens": self.loss_tokens}


class _Counter:
    """Adds up `Counts` and scores, for one labeler or for all combined."""

    def __init__(self, buckets: Sequence[Bucket]):
        self._buckets = buckets
        self.documents, self.tokens, self.trainable = np.zeros((3, len(buckets)), dtype=np.int64)
        self.scores = np.zeros(BINS, dtype=np.int64)

    def add(self, scores: np.ndarray, trainable: np.ndarray) -> np.ndarray:
        """Count a document. Returns the bucket of each token."""
        bucket = buckets_of(scores, self._buckets)
        self.documents[bucket.max(initial=0)] += 1
        self.tokens += np.bincount(bucket, minlength=len(self._buckets))
        self.trainable += np.bincount(bucket[trainable], minlength=len(self._buckets))
        self.scores += np.bincount(bins_of(scores), minlength=BINS)
        return bucket

    def found_nothing_in(self, rest: _Counter) -> None:
        """Add the documents of `rest` that were never added here. Their tokens have score 0."""
        for name in ("documents", "tokens", "trainable", "scores"):
            mine = getattr(self, name)
            mine[0] += getattr(rest, name).sum() - mine.sum()

    def counts(self) -> Counts:
        return Counts(self.documents.tolist(), self.tokens.tolist(), self.trainable.tolist())


def action_numbers(buckets: Sequence[Bucket]) -> np.ndarray:
    """Each bucket's action as an index into `ACTIONS`: int64 `[buckets]`."""
    return np.array([ACTIONS.index(bucket.action) for bucket in buckets])


def outcomes(action: np.ndarray) -> np.ndarray:
    """The effective action of each token of a document, given the actions of its other tokens.

    Args:
        action: indices into `ACTIONS`, int64 `[tokens]`.

    Returns:
        The same array, or `drop_document` for every token if any token has it.
    """
    drop = ACTIONS.index(Action.DROP_DOCUMENT)
    return np.full_like(action, drop) if (action == drop).any() else action


def risk_report(
    documents: Iterable[LabeledDocument],
    buckets: Sequence[Bucket],
    *,
    sequence_len: int | None = None,
    sequences_per_batch: int = 1,
    packing: bool = True,
    words: int = 40,
    labelers: Sequence[str] = (),
) -> RiskReport:
    """Count labeled documents, in one pass. Memory does not grow with the number of documents.

    Args:
        documents: any iterable, read once.
        buckets: ascending.
        sequence_len: tokens per sequence, for the loss tokens per batch; None leaves these out.
        sequences_per_batch: micro_batch_size times gradient_accumulation_steps.
        packing: whether documents share sequences.
        words: number of the most frequent risky words to report; 0 counts no words.
        labelers: names of labelers to report even if they find nothing.

    Raises:
        SlungError: `sequence_len` or `sequences_per_batch` is below 1.
    """
    buckets = tuple(buckets)
    numbers = action_numbers(buckets)
    combined, counters = _Counter(buckets), {}
    found = dict.fromkeys(labelers, (0, 0))
    number = partial = without_loss = fully_masked = dropped = 0
    of_action = np.zeros(len(ACTIONS), dtype=np.int64)
    shares = np.zeros(SHARE_BINS, dtype=np.int64)
    noise = np.zeros((len(NOISE), 2), dtype=np.int64)  # spans and tokens
    runs = {action: [0, 0, 0, np.zeros(RUN_BINS, dtype=np.int64)] for action in ACTIONS if action is not Action.TRAIN}
    batches = None if sequence_len is None else Batches(sequence_len, sequences_per_batch, packing)
    counted_words, weights = WordCounts() if words else None, WeightCounts()

    for document in documents:
        number += 1
        bucket = combined.add(document.score, document.trainable)
        for name, scores in document.scores.items():
            if name not in counters:
                counters[name] = _Counter(buckets)
            counters[name].add(scores, document.trainable)
            before, touched = found.get(name, (0, 0)), int(np.count_nonzero(scores))
            found[name] = before[0] + bool(touched), before[1] + touched
        partial += int(document.partial.sum())
        if document.noise is not None:
            for kind in range(1, len(NOISE)):
                its = document.noise == kind
                noise[kind] += np.count_nonzero(np.diff(its, prepend=False) & its), its.sum()
        action = numbers[bucket]
        outcome = weighed(outcomes(action), document.weight)
        weights = weights.add(document.weight[document.trainable])
        of_action += np.bincount(outcome[document.trainable], minlength=len(ACTIONS))
        loss = _WITH_LOSS[outcome] & document.trainable
        without_loss += not loss.any()
        fully_masked += bool(document.trainable.any() and not loss.any())
        dropped += bool((outcome == ACTIONS.index(Action.DROP_DOCUMENT)).any())
        _add_runs(runs, action)
        risky = action != ACTIONS.index(Action.TRAIN)
        shares[_share_bin(risky)] += 1
        if batches is not None:
            stays = ~_DROPPED[outcome]
            batches.add(document.trainable[stays], loss[stays])
        if counted_words is not None:
            counted_words.add(document.tokens, risky)

    for counter in counters.values():
        counter.found_nothing_in(combined)

    return RiskReport(
        buckets=buckets,
        documents=number,
        tokens=int(combined.tokens.sum()),
        trainable=int(combined.trainable.sum()),
        partial=partial,
        combined=combined.counts(),
        labelers={name: counter.counts() for name, counter in counters.items()},
        outcomes={action.value: n for action, n in zip(ACTIONS, of_action.tolist())},
        without_loss=without_loss,
        fully_masked=fully_masked,
        dropped=dropped,
        batch=None if batches is None else batches.spread(),
        runs={action.value: Runs(*map(int, run[:3]), run[3].tolist()) for action, run in runs.items() if run[0]},
        scores={name: counter.scores.tolist() for name, counter in counters.items()},
        combined_scores=combined.scores.tolist(),
        shares=shares.tolist(),
        missed=tuple(noise[1].tolist()),
        false=tuple(noise[2].tolist()),
        found=found,
        words=None if counted_words is None else counted_words.top(words),
        weights=weights,
    )


def _share_bin(risky: np.ndarray) -> int:
    if not risky.any():
        return 0
    return SHARE_BINS - 1 if risky.all() else 1 + int(10 * risky.sum()) // len(risky)


def _add_runs(runs: dict, action: np.ndarray) -> None:
    """Count the runs of equal actions, int64 `[tokens]`."""
    starts = np.flatnonzero(np.diff(action, prepend=-1))
    lengths = np.diff(starts, append=len(action))
    for kind, run in runs.items():
        of_kind = lengths[action[starts] == ACTIONS.index(kind)]
        if len(of_kind):
            bins = np.minimum(np.log2(of_kind).astype(np.int64), RUN_BINS - 1)
            run[0] += len(of_kind)
            run[1] += of_kind.sum()
            run[2] = max(run[2], of_kind.max())
            run[3] += np.bincount(bins, minlength=RUN_BINS)
