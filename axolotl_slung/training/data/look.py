"""Labelled documents out of an Axolotl config: its own data sets, by way of its own strategies."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ...inspection.documents import LabelledDocument, document
from ...labels.buckets import Action
from ...labels.codec import IGNORE
from ...labels.tokens import buckets_of
from . import hooks
from .row_labels import ADDED
from .setup import Setup


@dataclass
class DataSet:
    """One of the config's data sets.

    Attributes:
        where: its place in the YAML.
        strategy: a `SlungStrategy` whose tokens tell where they come from.
        rows: the raw rows, a `datasets.Dataset`.
    """

    where: str
    strategy: object
    rows: object
    setup: Setup = field(repr=False)

    def documents(self, limit: int | None = None, seed: int = 0) -> Iterator[LabelledDocument]:
        """The rows in tokens, as training will see them, but for actions on text: what will be dropped is there.

        Args:
            limit: this many rows, drawn at random; None for all, in order.
            seed: of the draw.
        """
        numbers = range(len(self.rows))
        if limit is not None and limit < len(numbers):
            numbers = sorted(random.Random(seed).sample(numbers, limit))
        for number in numbers:
            row = self.rows[number]
            name = f"{self.where}, {row['id']}" if row.get("id") is not None else f"{self.where}, row {number}"
            for labelled in self.strategy.labelled({key: [value] for key, value in row.items()}, edited=False):
                yield from self._documents(name, labelled)

    def _documents(self, name, row) -> Iterator[LabelledDocument]:
        tokenizer = self.strategy.tokenizer
        of_text = [
            document("", text.text, text.offsets, text.spans, self.setup.buckets, self.setup.config.overlap).reordered(
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
            # ended up without a loss for another reason than its score: the rules for eos and for document starts
            trains = np.array([bucket.action is Action.TRAIN for bucket in self.setup.buckets])
            trainable = part.trained & ~(trains[buckets_of(score, self.setup.buckets)] & (np.asarray(labels) == IGNORE))
            yield LabelledDocument(name, tokens, found, score, trainable, partial)


def data_sets(cfg: Mapping, tokenizer) -> list[DataSet]:
    """The training data sets of a config with a `slung:` block, opened.

    Args:
        cfg: Axolotl's config, validated.
        tokenizer: the model's own.

    Raises:
        SlungDataError: one that is tokenised already.
    """
    from axolotl.utils.data import sft
    from axolotl.utils.dict import DictDefault

    hooks.install()
    found = []
    entries = list(cfg.get("datasets") or [])
    # whole documents, which is how they are labelled; training cuts them afterwards
    entries += [
        DictDefault({**entry, "type": "completion", "field": entry.get("text_column") or "text"})
        for entry in cfg.get("pretraining_dataset") or []
    ]
    for entry in entries:
        inspect = _Inspector(Setup(cfg))
        token = hooks.inspector.set(inspect)
        try:
            sft._load_and_process_single_dataset(entry, cfg, tokenizer, split="train", seed=cfg.get("seed") or 42)
        except _Inspected as inspected:
            found.append(inspected.data_set)
        else:
            raise hooks.SlungDataError(
                f"{entry.get('path')}: it is tokenised already, and holds no text to show; give its raw text"
            )
        finally:
            hooks.inspector.reset(token)
    return found


class _Inspected(Exception):
    """The data set at hand, thrown out of Axolotl's loader before it tokenises everything."""

    def __init__(self, data_set: DataSet):
        super().__init__()
        self.data_set = data_set


class _Inspector:
    def __init__(self, setup):
        self.setup = setup

    def __call__(self, strategy, rows):
        raise _Inspected(DataSet(strategy.where, strategy, rows, self.setup))
