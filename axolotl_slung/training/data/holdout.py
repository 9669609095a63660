"""Rows that `holdout_share` leaves out of training: those with the smallest digests."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Literal, TypeVar

from datasets import Dataset, IterableDataset

Rows = Literal["trained", "heldout"]

_Data = TypeVar("_Data", Dataset, IterableDataset)


def held_out(row: Mapping, share: float) -> bool:
    """Whether a row is left out of training. Equal rows are treated alike, wherever they are."""
    content = json.dumps(row, sort_keys=True, default=str).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) < share * 2**64


def selected(dataset: _Data, share: float, rows: Rows = "trained") -> _Data:
    """The rows of a data set that are trained, or those that are held out.

    Args:
        dataset: raw rows.
        share: `slung.holdout_share`.
        rows: which ones.
    """
    if not share and rows == "trained":
        return dataset
    return dataset.filter(functools.partial(_is_wanted, share=share, wanted=rows == "heldout"))


def _is_wanted(row: Mapping, share: float, wanted: bool) -> bool:
    return held_out(row, share) == wanted
