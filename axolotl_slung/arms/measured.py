"""The data of one config, prepared by Axolotl as for training, and what the loss will do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute
from datasets import Dataset

from ..labels.buckets import Action, Bucket
from ..labels.codec import FIRST_CODE, decode
from ..labels.weights import ACTIONS, actions_of_codes
from ..training.data import outcomes
from ..training.data.look import training_data
from ..training.data.setup import Setup
from .steps import Pass, Rows, passed

_NONE, _TRAIN = 0, 1
"""What the loss does with a token: nothing, or plain cross-entropy. Other objectives have hashes."""

_BY_VALUE = (Action.SOFT, Action.WEIGHTED)
"""Actions whose loss depends on the number in the label."""


@dataclass(frozen=True)
class Measured:
    """What one config trains on.

    Attributes:
        documents: how many are left.
        digest: of the token ids in their order, and of what the loss does with each token. Equal digests are equal arms.
        one_pass: its optimizer steps.
        is_plain: whether it trains every token as it is, as `toxic_baseline` does.
    """

    documents: int
    digest: str
    one_pass: Pass
    is_plain: bool


def measured(cfg: Mapping, ranks: int) -> Measured:
    """Label and prepare the data of a config, and read it once.

    Axolotl saves it in `dataset_prepared_path`, where training finds it.

    Args:
        cfg: Axolotl's config, validated.
        ranks: processes that train.

    Raises:
        SlungError: a data set cannot be labeled, or a labeler cannot work.
    """
    data, setup = training_data(cfg), Setup(cfg)
    digest, coded = hashlib.sha256(), False
    lengths, losses, starts = [], [], []
    for ids, labels, of_rows in _chunks(data.train_dataset):
        does = _does(labels, setup.buckets)
        coded |= bool((labels < 0).any())
        for part in (of_rows, ids, does):
            digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
        has_loss = does != _NONE
        sums = np.concatenate([[0], np.cumsum(has_loss)])
        ends = np.cumsum(of_rows)
        lengths.append(of_rows)
        losses.append(sums[ends] - sums[ends - of_rows])
        starts.append(has_loss[ends - of_rows])
    config = setup.config
    of_all = [config.train_objective]
    if coded:
        of_all += [config.normalize_by, config.weight_start, config.weight_warmup]
    digest.update(repr(of_all).encode())
    rows = Rows(*(np.concatenate(part) for part in (lengths, losses, starts)))
    return Measured(
        outcomes.documents(data.train_dataset),
        digest.hexdigest(),
        passed(rows, cfg, ranks),
        all(action is Action.TRAIN for action in config.actions) and config.train_objective == "cross_entropy",
    )


def _chunks(dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Up to 1,000 rows at a time: token ids and labels `[tokens]`, and the rows' lengths `[rows]`."""
    for table in dataset.with_format("arrow", columns=["input_ids", "labels"]).iter(1000):
        for batch in table.combine_chunks().to_batches():
            ids, labels = batch.column("input_ids"), batch.column("labels")
            lengths = pyarrow.compute.list_value_length(ids).to_numpy(zero_copy_only=False).astype(np.int64)
            yield (*(one.flatten().to_numpy(zero_copy_only=False) for one in (ids, labels)), lengths)


def _does(labels: np.ndarray, buckets: Sequence[Bucket]) -> np.ndarray:
    """A number for what the loss does with each token, int64 `[tokens]`: equal for equal, whichever config wrote it."""
    does = np.where(labels >= 0, _TRAIN, _NONE).astype(np.int64)
    (coded,) = np.nonzero(labels <= FIRST_CODE)
    codes = labels[coded].astype(np.int64)
    _, bucket, value, given = decode(codes)
    action = actions_of_codes(codes, buckets)
    # of each bucket the objectives that its tokens may have: its own, or what a weight of the data makes of it
    for index, of_bucket in enumerate(buckets):
        for number in np.unique(action[bucket == index]).tolist():
            chosen = (bucket == index) & (action == number)
            if not ACTIONS[number].traits.has_loss:
                continue
            objective = (ACTIONS[number].value, of_bucket.weight, of_bucket.threshold, of_bucket.objective)
            kind = int.from_bytes(hashlib.sha256(repr(objective).encode()).digest()[:7], "big")
            counts = chosen & (given | np.isin(number, [ACTIONS.index(one) for one in _BY_VALUE]))
            does[coded[chosen]] = kind
            does[coded[counts]] = kind ^ value[counts].view(np.int32).astype(np.int64)
    return does
