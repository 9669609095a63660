"""Data sets that come as token ids: their actions from a column of token spans, or from codes in `labels`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from datasets import Dataset, List, Value

from ...labeling.base import Labeler
from ...labels.codec import FIRST_CODE, IGNORE, decode
from ...labels.tokens import buckets_of, char_scores
from .policy import Policy
from .row_labels import SlungDataError
from .tagging import TaggingTokenizer


def label_pretokenized(dataset: Dataset, policy: Policy, tagging: TaggingTokenizer) -> Dataset:
    """The data set with actions in `labels`, which become int64 whatever they were.

    With a `spans` labeler its column holds `[start, end, score]` in tokens of `input_ids`; the column is taken out.
    Without one, `labels` must already hold codes (or -100 for masked tokens) that an earlier run wrote.

    Args:
        dataset: with `input_ids` and `labels`.
        policy: how it is labeled.
        tagging: gives tokens their labels.

    Raises:
        SlungDataError: labelers that need a text; labels that do not fit their token ids.
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
                f"{on_text[0].key}: it reads text, and {where} is already tokenized; give it raw text, or label it "
                "with token spans only (`type: spans`)"
            )
        drop = [labeler.field for labeler in by_span if getattr(labeler, "field", None) in dataset.column_names]
        label = _Spans(by_span, tagging, policy)
        return dataset.map(label, batched=True, remove_columns=drop, desc="Labeling token spans")
    codes = 0
    for start in range(0, len(dataset), 1000):
        rows = dataset[start : start + 1000]
        for ids, labels in zip(rows["input_ids"], rows["labels"]):
            codes += _check(np.asarray(ids), np.asarray(labels, dtype=np.int64), len(policy.buckets), where)
    if not codes:
        raise SlungDataError(
            f"{where}: it is already tokenized, so that {on_text[0].key} has no text to read, and its `labels` hold no "
            "codes; give raw text, or a column of token spans (`type: spans`)"
        )
    return dataset


def _wide(dataset, where):
    """The data set with labels in a list of int64, in which codes have room."""
    wide = List(Value("int64"))
    kind = dataset.features["labels"]
    if kind == wide:
        return dataset
    number = getattr(kind, "feature", None)
    if not isinstance(number, Value) or not (pa.types.is_integer(number.pa_type) or pa.types.is_null(number.pa_type)):
        raise SlungDataError(f"{where}: `labels` is a column of {kind}; it has to hold lists of whole numbers")
    return dataset.cast_column("labels", wide)


def _check(ids, labels, n_buckets, where) -> int:
    """How many codes there are; an error for labels that do not belong to their ids."""
    coded = labels <= FIRST_CODE
    token_ids, bucket, _ = decode(labels[coded])
    fits = len(ids) == len(labels) and (token_ids == ids[coded]).all() and (bucket < n_buckets).all()
    if not fits or not ((labels >= 0) | (labels == IGNORE) | coded).all():
        raise SlungDataError(
            f"{where}: `labels` hold numbers below -100 that are not slung's codes for these token ids"
        )
    return int(coded.sum())


class _Spans:
    """Token spans to labels, a batch at a time."""

    def __init__(self, labelers: list[Labeler], tagging: TaggingTokenizer, policy: Policy):
        self.labelers, self.tagging = labelers, tagging
        self.policy = policy  # `datasets` names its cache files by this object's pickle

    def __call__(self, batch):
        rows = [dict(zip(batch, values)) for values in zip(*batch.values())]
        # a span column counts tokens here: any text of as many characters has the right bounds
        texts = ["x" * len(row["input_ids"]) for row in rows]
        found = [labeler.label(texts, rows) for labeler in self.labelers]
        labels = []
        for index, row in enumerate(rows):
            ids = np.asarray(row["input_ids"], dtype=np.int64)
            scores = char_scores(len(ids), [span for spans in found for span in spans[index]])
            actions = self.tagging.labels(ids, buckets_of(scores, self.policy.buckets), scores)
            given = np.asarray(row["labels"], dtype=np.int64)
            labels.append(np.where(given == IGNORE, IGNORE, actions).tolist())
        return {"labels": labels}
