"""Data sets of token ids: actions come from a column of token spans, or from codes in `labels`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from datasets import Dataset, List, Value

from ...labeling.base import Labeler, Span
from ...labels.codec import FIRST_CODE, IGNORE, decode
from ...labels.documents import document
from ...labels.outcome import Outcome
from ...labels.tokens import buckets_of, char_scores
from . import outcomes
from .policy import Policy
from .row_labels import SlungDataError
from .tagging import TaggingTokenizer


def label_pretokenized(dataset: Dataset, policy: Policy, tagging: TaggingTokenizer) -> Dataset:
    """The data set with actions in `labels`, which become int64.

    With a `spans` labeler, its column holds `[start, end, score]`, counted in tokens of `input_ids`. The column is
    removed. Without one, `labels` must already hold codes (or -100 for masked tokens) from an earlier run. The result has
    the columns that `outcomes.take` removes.

    Args:
        dataset: a data set with `input_ids` and `labels`.
        policy: how it is labeled.
        tagging: gives tokens their labels.

    Raises:
        SlungDataError: a labeler needs text, or labels do not match their token ids.
    """
    labelers, where = policy.labelers, policy.where
    dataset = _wide(dataset, where)
    if not labelers:
        return dataset
    on_text = [labeler for labeler in labelers if not labeler.reads_row]
    by_span = [labeler for labeler in labelers if labeler.reads_row]
    if by_span:
        if on_text:
            raise SlungDataError(
                f"{on_text[0].key}: it reads text, but {where} is already tokenized; give raw text, or label it only "
                "with token spans (`type: spans`)"
            )
        _check_actions(policy)
        dataset = _holding(dataset, tagging)
        drop = [labeler.field for labeler in by_span if getattr(labeler, "field", None) in dataset.column_names]
        label = _Spans(by_span, tagging, policy)
        return dataset.map(label, batched=True, remove_columns=drop, desc="Labeling token spans")
    codes, counts = 0, []
    for start in range(0, len(dataset), 1000):
        rows = dataset[start : start + 1000]
        for ids, given in zip(rows["input_ids"], rows["labels"]):
            labels = np.asarray(given, dtype=np.int64)
            codes += _check(np.asarray(ids), labels, len(policy.buckets), where)
            # whether -100 was masked by slung is not known, nor which tokens were found and trained
            counts.append(outcomes.columns(Counter(), *outcomes.counted(labels != IGNORE, labels, policy, True)))
    if not codes:
        raise SlungDataError(
            f"{where}: it is already tokenized, so {on_text[0].key} has no text to read, and `labels` hold no codes; "
            "give raw text, or a column of token spans (`type: spans`)"
        )
    for name in counts[0]:
        dataset = dataset.add_column(name, [row[name] for row in counts])
    return dataset


def _wide(dataset, where):
    """The data set with labels as lists of int64, which can hold codes."""
    wide = List(Value("int64"))
    kind = dataset.features["labels"]
    if kind == wide:
        return dataset
    number = getattr(kind, "feature", None)
    if not isinstance(number, Value) or not (pa.types.is_integer(number.pa_type) or pa.types.is_null(number.pa_type)):
        raise SlungDataError(f"{where}: `labels` is a column of {kind}; expected lists of whole numbers")
    return dataset.cast_column("labels", wide)


def _check_actions(policy: Policy) -> None:
    """Raise `SlungDataError` if a bucket edits text, which tokenized data does not have."""
    for bucket in policy.buckets:
        if bucket.action.traits.edits_text:
            raise SlungDataError(
                f"{policy.where}: it is already tokenized, so action: {bucket.action.value} of bucket {bucket.name!r} "
                "has no text to edit; give raw text, or use mask or hidden_token"
            )


def _holding(dataset: Dataset, tagging: TaggingTokenizer) -> Dataset:
    """The data set with token ids of a type that can hold the tokens that `hidden_token` puts in."""
    number = getattr(dataset.features["input_ids"], "feature", None)
    if not tagging.hides or not isinstance(number, Value) or not pa.types.is_integer(number.pa_type):
        return dataset
    most = np.iinfo(number.pa_type.to_pandas_dtype()).max
    return dataset if most >= len(tagging) else dataset.cast_column("input_ids", List(Value("int32")))


def _check(ids, labels, n_buckets, where) -> int:
    """The number of codes. Raises `SlungDataError` if labels do not match their token ids."""
    coded = labels <= FIRST_CODE
    token_ids, bucket, _ = decode(labels[coded])
    fits = len(ids) == len(labels) and (token_ids == ids[coded]).all() and (bucket < n_buckets).all()
    if not fits or not ((labels >= 0) | (labels == IGNORE) | coded).all():
        raise SlungDataError(
            f"{where}: `labels` hold numbers below -100 that are not slung's codes for these token ids; use "
            "labels that slung wrote for these ids, or -100"
        )
    return int(coded.sum())


class _Spans:
    """Turns token spans into labels, one batch at a time."""

    def __init__(self, labelers: list[Labeler], tagging: TaggingTokenizer, policy: Policy):
        self.labelers, self.tagging = labelers, tagging
        self.policy = policy  # `datasets` uses this object's pickle to name its cache files

    def __call__(self, batch):
        rows = [dict(zip(batch, values)) for values in zip(*batch.values())]
        # spans count tokens here: a text with one character per token has the right bounds
        texts = ["x" * len(row["input_ids"]) for row in rows]
        found = [labeler.annotate(texts, rows) for labeler in self.labelers]
        out: dict[str, list] = {"labels": []}
        for index, row in enumerate(rows):
            ids, given = (np.asarray(row[name], dtype=np.int64) for name in ("input_ids", "labels"))
            spans = [span for of_labeler in found for span in of_labeler[index]]
            scores = char_scores(len(ids), spans)
            bucket = buckets_of(scores, self.policy.buckets)
            actions = self.tagging.labels(ids, bucket, scores)
            if self.tagging.hides:
                out.setdefault("input_ids", []).append(self.tagging.inputs(ids, bucket).tolist())
            labels = np.where(given == IGNORE, IGNORE, actions)
            numbers = outcomes.counted(given != IGNORE, labels, self.policy, self.tagging.code_masked)
            counts = outcomes.columns(self._trained_finds(ids, spans, given != IGNORE), *numbers)
            for name, value in {"labels": labels.tolist(), **counts}.items():
                out.setdefault(name, []).append(value)
        return out

    def _trained_finds(self, ids: np.ndarray, spans: Sequence[Span], trainable: np.ndarray) -> Counter:
        """See `Outcome.trained_finds`."""
        policy = self.policy
        if not any(span.labeler in policy.finders for span in spans):
            return Counter()
        each = np.arange(len(ids))
        row = document("", "x" * len(ids), np.stack([each, each + 1], 1), spans, policy.buckets, "any")
        row = replace(row.reordered(self.tagging.order(ids)), trainable=trainable)
        return Outcome(policy.buckets, policy.finders).trained_finds(row)
