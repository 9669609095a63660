"""A config's data sets and labeled documents. `slung inspect`, `stats`, `sweep` and `doctor` get them only here."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset

from ...labels.buckets import Action
from ...labels.codec import IGNORE
from ...labels.documents import LEFT_OUT_BY, LabeledDocument, document
from ...labels.tokens import buckets_of
from ..stream_source import stream_key
from . import hooks
from .local_files import local_files, stream_files
from .row_labels import ADDED, SlungDataError
from .setup import Setup
from .strategy import SlungStrategy


@dataclass
class DataSet:
    """One of the config's data sets.

    Attributes:
        strategy: labels its rows.
        rows: the raw rows. A stream is read as training reads it, from its start.
        overlap: see `tokens.token_buckets`.
    """

    strategy: SlungStrategy
    rows: Dataset | IterableDataset
    overlap: str

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
        for number, row in self._chosen(limit, seed):
            name = f"{self.where}, {row['id']}" if row.get("id") is not None else f"{self.where}, row {number}"
            for labeled in self.strategy.labeled({key: [value] for key, value in row.items()}, edited=False):
                yield from self._documents(name, labeled)

    @property
    def size(self) -> int | None:
        """The number of rows; None for a stream."""
        return len(self.rows) if isinstance(self.rows, Dataset) else None

    def _chosen(self, limit, seed) -> Iterator[tuple[int, dict]]:
        if not isinstance(self.rows, Dataset):
            yield from enumerate(itertools.islice(self.rows, limit))
            return
        numbers = range(len(self.rows))
        if limit is not None and limit < len(numbers):
            numbers = sorted(random.Random(seed).sample(numbers, limit))
        yield from ((number, self.rows[number]) for number in numbers)

    def _documents(self, name, row) -> Iterator[LabeledDocument]:
        tokenizer, buckets = self.strategy.tokenizer, self.strategy.policy.buckets
        of_text = [
            document("", text.text, text.offsets, text.spans, buckets, self.overlap).reordered(
                tokenizer.order(np.asarray(text.ids))
            )
            for text in row.texts
        ]
        firsts = [text.first for text in row.texts]
        for part, labels in zip(row.parts, self.strategy.labels(row)):
            ids = part.output["input_ids"]
            found = {
                labeler: np.zeros(len(ids)) for labeler in sorted({name for one in of_text for name in one.scores})
            }
            score, partial = np.zeros(len(ids)), np.zeros(len(ids), dtype=bool)
            tokens = []
            for position, place in enumerate(part.places.tolist()):
                if place == ADDED:
                    tokens.append(str(tokenizer.convert_ids_to_tokens(int(ids[position]))))
                    continue
                number = bisect_right(firsts, place) - 1
                of, index = of_text[number], place - firsts[number]
                tokens.append(of.tokens[index])
                score[position], partial[position] = of.score[index], of.partial[index]
                for labeler, scores in of.scores.items():
                    found[labeler][position] = scores[index]
            ids = np.asarray(ids)
            ends = part.trained & (ids == tokenizer.eos_token_id)
            if self.strategy.policy.eos == "inherit":
                for position in np.flatnonzero(ends[1:]) + 1:
                    for scores in (score, *found.values()):
                        scores[position] = scores[position - 1]
            # a token in a `train` bucket may lose its loss through the rules for eos and document starts
            trains = np.array([bucket.action is Action.TRAIN for bucket in buckets])
            trainable = part.trained & ~(trains[buckets_of(score, buckets)] & (np.asarray(labels) == IGNORE))
            rules = np.where(ends, LEFT_OUT_BY.index("eos: mask"), LEFT_OUT_BY.index("its control token"))
            if self.strategy.policy.mask_document_starts and part is row.parts[0]:
                rules[:1] = LEFT_OUT_BY.index("mask_document_starts")
            reasons = np.where(part.trained, rules, LEFT_OUT_BY.index("Axolotl"))
            yield LabeledDocument(name, tokens, found, score, trainable, partial, reasons)


def data_sets(cfg: Mapping, tokenizer: Any) -> list[DataSet]:
    """The training data sets of a config with a `slung:` block, opened.

    Args:
        cfg: Axolotl's config, validated.
        tokenizer: the model's tokenizer.

    Raises:
        SlungDataError: a data set is already tokenized.
    """
    hooks.install()
    streamed = stream_key(cfg)
    found = []
    # Axolotl streams only the first entry, and then uses no other data set
    for entry in cfg[streamed][:1] if streamed else cfg.get("datasets") or []:
        strategy, rows = hooks.opened_stream(entry, cfg, tokenizer) if streamed else hooks.opened(entry, cfg, tokenizer)
        if strategy is None:
            raise SlungDataError(
                f"{entry.get('path')}: it is already tokenized, so there is no text to show; give its raw text"
            )
        found.append(DataSet(strategy, rows, Setup(cfg).config.overlap))
    return found


def files_of(cfg: Mapping) -> list[Path]:
    """The local files of the training data sets, in the order of reading."""
    streamed = stream_key(cfg)
    if streamed:
        return stream_files(cfg[streamed][0])
    return [path for entry in cfg.get("datasets") or [] for _, path in local_files(entry)]


def training_data(cfg: Mapping, most: int) -> Any:
    """Axolotl's `TrainDatasetMeta` of a config, labeled and prepared as for training, from the first rows.

    Args:
        cfg: Axolotl's config, validated.
        most: the number of rows to use from the start of each data set. A stream is not cut.

    Raises:
        SlungError: a data set cannot be labeled, or a labeler cannot work.
    """
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager

    with hooks.at_most(most):
        return PluginManager.get_instance().load_datasets(cfg) or load_datasets(cfg=cfg, cli_args=TrainerCliArgs())
