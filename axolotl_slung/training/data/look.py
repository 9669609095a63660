"""A config's data sets and labeled documents. `slung inspect`, `stats`, `sweep`, `doctor` and `audit` get them only here."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl.utils.dict import DictDefault
from datasets import Dataset, IterableDataset

from ...labels.documents import LabeledDocument
from ...labels.spanned import SpannedText
from ..stream_source import form_of, stream_key
from . import hooks
from .holdout import Rows
from .local_files import local_files, stream_files
from .row_documents import row_documents
from .row_labels import SlungDataError
from .row_texts import spanned_texts
from .strategy import SlungStrategy

BATCH = 64
"""Number of rows labeled at once."""


@dataclass
class DataSet:
    """One of the config's data sets.

    Attributes:
        strategy: labels its rows.
        rows: the raw rows. A stream is read as training reads it, from its start.
        entry: its entry in the config.
    """

    strategy: SlungStrategy
    rows: Dataset | IterableDataset
    entry: Mapping

    @property
    def where(self) -> str:
        """The data set's place in the YAML."""
        return self.strategy.policy.where

    def documents(self, limit: int | None = None, seed: int = 0) -> Iterator[LabeledDocument]:
        """The rows as tokens, as training sees them, but without actions on text: what will be dropped is included.

        Args:
            limit: the number of rows to draw at random, given in order; of a stream, the first rows. None for all rows.
            seed: the seed of the draw.
        """
        policy, tokenizer = self.strategy.policy, self.strategy.tokenizer
        # in batches, as in training: labelers check a batch as a whole, such as the order of its rows
        for some, batch in self._batches(limit, seed):
            for number, labeled in zip(some, self.strategy.labeled(batch, edited=False, numbers=some)):
                identity = labeled.source.get("id")
                name = f"{self.where}, {f'row {number}' if identity is None else identity}"
                yield from row_documents(labeled, self.strategy.labels(labeled), tokenizer, policy, name)

    def spanned(self) -> Iterator[list[SpannedText]]:
        """Each row as texts with spans, as the model would read them without actions on text. In the order of the rows."""
        for some, batch in self._batches(None, 0):
            for labeled in self.strategy.labeled(batch, edited=False, numbers=some):
                yield spanned_texts(labeled, self.strategy.tokenizer)

    @property
    def size(self) -> int | None:
        """The number of rows; None for a stream."""
        return len(self.rows) if isinstance(self.rows, Dataset) else None

    def _batches(self, limit: int | None, seed: int) -> Iterator[tuple[list[int], Mapping[str, list]]]:
        if not isinstance(self.rows, Dataset):
            first = 0
            for batch in (self.rows if limit is None else self.rows.take(limit)).iter(BATCH):
                number = len(next(iter(batch.values())))
                yield list(range(first, first + number)), batch
                first += number
            return
        numbers = range(len(self.rows))
        if limit is not None and limit < len(numbers):
            numbers = sorted(random.Random(seed).sample(numbers, limit))
        for start in range(0, len(numbers), BATCH):
            some = list(numbers[start : start + BATCH])
            yield some, self.rows[some]


def data_sets(cfg: Mapping, tokenizer: Any, held_out: bool = False, rows: Rows = "trained") -> list[DataSet]:
    """The training data sets of a config with a `slung:` block, opened.

    Args:
        cfg: Axolotl's config, validated.
        tokenizer: the model's tokenizer.
        held_out: whether those of `test_datasets:` follow.
        rows: which rows of the training data sets, by `holdout_share`.

    Raises:
        SlungDataError: a data set is already tokenized.
    """
    found = []
    for strategy, raw, entry in opened_sets(cfg, tokenizer, held_out, rows):
        if strategy is None:
            raise SlungDataError(
                f"{entry.get('path')}: it is already tokenized, so there is no text to show; give its raw text"
            )
        found.append(DataSet(strategy, raw, entry))
    return found


def data_set_of(path: str, cfg: Mapping, tokenizer: Any) -> DataSet:
    """A file that is not among the config's data sets, read and labeled as the first of them is.

    Raises:
        SlungDataError: it is already tokenized.
    """
    first = dict((cfg.get(stream_key(cfg) or "datasets") or [{}])[0])
    entry = {**first, "path": path, "split": "train", "ds_type": form_of(Path(path)) or "json"}
    for key in ("name", "data_files", "shards", "shards_idx", "skip", "revision"):
        entry.pop(key, None)
    if first.get("type") in (None, "pretrain"):
        entry |= {"type": "completion", "field": first.get("text_column") or "text"}
    block = cfg["slung"].to_dict()
    for labeler in block["labelers"]:
        if first.get("path") in (labeler.get("datasets") or []):
            labeler["datasets"] = [*labeler["datasets"], path]
    only = {"streaming": False, "pretraining_dataset": None, "datasets": [], "test_datasets": [entry]}
    return data_sets(DictDefault({**cfg, "slung": block, **only}), tokenizer, held_out=True)[0]


def opened_sets(
    cfg: Mapping, tokenizer: Any, held_out: bool = False, rows: Rows = "trained"
) -> Iterator[tuple[SlungStrategy | None, Dataset | IterableDataset, Mapping]]:
    """As `data_sets`: the strategy, the raw rows and the entry of each. The strategy is None if its rows are token ids."""
    hooks.install()
    streamed = stream_key(cfg)
    # Axolotl streams only the first entry, and then uses no other data set
    entries = [(entry, "train") for entry in (cfg[streamed][:1] if streamed else cfg.get("datasets") or [])]
    entries += [(entry, "test") for entry in (cfg.get("test_datasets") or []) if held_out]
    for entry, split in entries:
        stream = streamed and split == "train"
        if stream:
            opened = hooks.opened_stream(entry, cfg, tokenizer, rows)
        else:
            opened = hooks.opened(entry, cfg, tokenizer, split, rows)
        yield *opened, entry


def files_of(cfg: Mapping) -> list[Path]:
    """The local files of the training data sets, in the order of reading."""
    streamed = stream_key(cfg)
    if streamed:
        return stream_files(cfg[streamed][0])
    return [path for entry in cfg.get("datasets") or [] for _, path in local_files(entry)]


def training_data(cfg: Mapping, most: int | None = None) -> Any:
    """Axolotl's `TrainDatasetMeta` of a config, labeled and prepared as for training.

    Args:
        cfg: Axolotl's config, validated.
        most: the number of rows to use from the start of each data set, or None for all. A stream is not cut.

    Raises:
        SlungError: a data set cannot be labeled, or a labeler cannot work.
    """
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager

    with hooks.at_most(most):
        return PluginManager.get_instance().load_datasets(cfg) or load_datasets(cfg=cfg, cli_args=TrainerCliArgs())
