"""Checks that the data set's labels reach the loss: on the CPU as a batch is made, later by a digest of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from ...labels.codec import FIRST_CODE, IGNORE, decode
from ...loss.reader import shifted
from . import LoopError

DIGEST = "slung_digest"
"""The key of a training batch that holds int64 `[rows, 2]`: each row's digest, and its number of codes."""

_MIX = np.int64(0x5851F42D4C957F2D)  # odd, so no two ids collide


class WatchedCollator:
    """A collator that stops the run if a batch does not hold the labels of its rows.

    Every label except -100 must decode to its own token id. Every pair of token id and label must come from the rows.
    Rows may be packed, padded, cut or reordered. The first token of a row may become -100, because nothing in the row
    predicts it.

    Args:
        collator: the run's collator.
        name: the collator's name in errors.
        pad_token_id: the token id that padding puts into `input_ids`, or None.
        codes: whether labels may be codes. With a fused loss that reads only -100, they may not.
        digest: whether to add `DIGEST` to each batch.
    """

    def __init__(self, collator: Callable, name: str, pad_token_id: int | None, codes: bool, digest: bool):
        self.collator = collator
        self._name, self._pad, self._codes, self._digest = name, pad_token_id, codes, digest

    def __call__(self, features):
        # read the rows first: the collator may change them in place
        rows = list(_rows(features))
        ids = _flat(rows, "input_ids")
        labels = _flat(rows, "labels")
        starts = np.cumsum([0, *(len(row["input_ids"]) for row in rows)])[:-1]
        batch = self.collator(features)
        self._check(batch, ids, labels, ids[starts[starts < len(ids)]])
        if self._digest:
            batch[DIGEST] = digest_of(torch.as_tensor(batch["labels"]), batch.get("shift_labels"))
        return batch

    def _check(self, batch, ids, labels, first_ids):
        if "labels" not in batch or "input_ids" not in batch:
            raise LoopError(f"slung: {self._name} makes batches without labels; remove it from the config")
        found = np.asarray(batch["labels"]).astype(np.int64, copy=False)
        found_ids = np.asarray(batch["input_ids"]).astype(np.int64, copy=False)
        if found.shape != found_ids.shape:
            raise LoopError(
                f"slung: {self._name} changes the shape of labels: expected {found_ids.shape} as for token ids, got "
                f"{found.shape}; remove it from the config"
            )
        if not self._codes and (found <= FIRST_CODE).any():
            raise LoopError(
                "slung: the labels hold codes, but the config's fused loss reads only -100: the prepared data set "
                "was made with other settings; run `axolotl preprocess` again"
            )
        named = np.where(found <= FIRST_CODE, decode(found)[0], found)
        strays = int(((named != found_ids) & (found != IGNORE)).sum())
        if strays:
            raise LoopError(
                f"slung: {strays} labels do not match their token ids: something between the data set and the trainer "
                f"changed them; check the plugins in the config and {self._name}, which makes the batches"
            )
        if "shift_labels" in batch:
            moved = np.asarray(batch["shift_labels"])
            expected = np.asarray(shifted(torch.as_tensor(found)))
            if moved.shape != expected.shape or ((moved != expected) & (moved != IGNORE)).any():
                raise LoopError(
                    f"slung: {self._name} makes `shift_labels` that differ from its shifted labels; "
                    "remove it from the config"
                )
        padding = (found_ids == self._pad) & (found == IGNORE)
        if batch.get("attention_mask") is not None:
            mask = np.asarray(batch["attention_mask"])
            if mask.shape == found.shape:
                padding |= (mask == 0) & (found == IGNORE)
        real = ~padding
        pairs, had = _pairs(found_ids[real], found[real]), _pairs(ids, labels)
        if np.array_equal(pairs, had):
            return
        places, more = _excess(pairs, np.concatenate([had, _pairs(first_ids, np.full(len(first_ids), IGNORE))]))
        if len(places):
            changed = found[real][places]
            trained, lost, coded = (
                int(more[kind].sum()) for kind in (changed >= 0, changed == IGNORE, changed <= FIRST_CODE)
            )
            raise LoopError(
                f"slung: {self._name} changes labels: in one batch {trained} tokens are trained, {lost} are -100 and "
                f"{coded} have codes, but not in its rows; remove it from the config"
            )


def digest_of(labels: torch.Tensor, shift_labels: torch.Tensor | None = None) -> torch.Tensor:
    """Each row's digest and its number of codes.

    Args:
        labels: int64 `[rows, length]`, not shifted.
        shift_labels: the shifted labels, if the batch has them.

    Returns:
        int64 `[rows, 2]`, on the device of `labels`.
    """
    return _digest_of_shifted(shifted(labels, shift_labels))


def _digest_of_shifted(labels):
    odd = torch.arange(1, 2 * labels.shape[-1], 2, device=labels.device)
    return torch.stack([(labels * odd).sum(-1), (labels <= FIRST_CODE).sum(-1)], dim=-1)


def differs(labels: torch.Tensor, digest: torch.Tensor) -> torch.Tensor:
    """Whether shifted labels differ from a digest's: a bool scalar tensor, computed without waiting for the device."""
    if labels.dim() != 2 or len(labels) != len(digest) or labels.dtype != torch.int64:
        return torch.tensor(True, device=labels.device)
    return (_digest_of_shifted(labels) != digest.to(labels.device)).any()


def _rows(features):
    """The rows given to a collator: mappings, in lists of any depth."""
    if isinstance(features, Mapping):
        ids = features.get("input_ids")
        if ids is None or "labels" not in features:
            raise LoopError(
                "slung: a row without `input_ids` or `labels` reached the collator; check the plugins in the config"
            )
        if len(ids) and np.ndim(ids[0]):  # a mapping of rows
            for row in zip(ids, features["labels"]):
                yield dict(zip(("input_ids", "labels"), row))
        elif len(ids) != len(features["labels"]):
            raise LoopError(
                f"slung: a row has {len(ids)} token ids, expected as many labels, got {len(features['labels'])}; "
                "check the plugins in the config"
            )
        else:
            yield features
        return
    for part in features:
        yield from _rows(part)


def _flat(rows, key):
    parts = [np.asarray(row[key], dtype=np.int64).reshape(-1) for row in rows]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _pairs(ids, labels):
    with np.errstate(over="ignore"):
        return ids * _MIX + labels


def _excess(found, allowed):
    """Places in `found`, one per value that occurs there more often than in `allowed`, and the surplus of each."""
    values, first, counts = np.unique(found, return_index=True, return_counts=True)
    may, times = np.unique(allowed, return_counts=True)
    at = np.searchsorted(may, values).clip(max=max(0, len(may) - 1))
    most = np.where(may[at] == values, times[at], 0) if len(may) else np.zeros(len(values), int)
    return first[counts > most], (counts - most)[counts > most]


def check_rows(dataset: Any, name: str, most: int = 200) -> float:
    """Compare the labels that a data set returns with those that it stores, on evenly spaced rows.

    Args:
        dataset: a `datasets.Dataset`.
        name: the data set's name in errors.
        most: the maximum number of rows to compare.

    Returns:
        The share of the compared rows that hold codes.

    Raises:
        LoopError: a transform changes the labels of a row.
    """
    places = range(0, len(dataset), max(1, -(-len(dataset) // most)))
    coded = 0
    stored = dataset.with_format("numpy", columns=["input_ids", "labels"])
    for place in places:
        held = np.asarray(stored[place]["labels"])
        coded += bool((held <= FIRST_CODE).any())
        given = dataset[place]
        if "labels" not in given or not np.array_equal(np.asarray(given["labels"]), held):
            raise LoopError(
                f"slung: {name} returns other labels than it stores: a transform changes them; remove the transform"
            )
    return coded / max(1, len(places))
