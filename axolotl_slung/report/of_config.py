"""Labelled documents out of an Axolotl config: its own data sets, by way of its own strategies."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..buckets import Action
from ..codec import IGNORE
from ..data import hooks
from ..data.setup import Setup
from ..data.tagging import Tagged, TaggingTokenizer
from ..tokens import buckets_of
from .documents import LabelledDocument, document


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
            for tokenised, labels in self.strategy.tokenised({key: [value] for key, value in row.items()}, edited=False):
                yield self._document(name, tokenised, labels)

    def _document(self, name, tokenised, labels) -> LabelledDocument:
        ids = tokenised["input_ids"]
        seen = [token.seen if isinstance(token, Tagged) and hasattr(token, "seen") else None for token in ids]
        labelers = sorted({labeler for one in seen if one for labeler in one[0].scores})
        found = {labeler: np.zeros(len(ids)) for labeler in labelers}
        score, partial = np.zeros(len(ids)), np.zeros(len(ids), dtype=bool)
        tokens = []
        for position, one in enumerate(seen):
            if one is None:
                tokens.append(str(self.strategy.tokenizer.convert_ids_to_tokens(int(ids[position]))))
                continue
            of, index = one
            tokens.append(of.tokens[index])
            score[position], partial[position] = of.score[index], of.partial[index]
            for labeler, scores in of.scores.items():
                found[labeler][position] = scores[index]
        given = tokenised.get("labels")
        trainable = np.ones(len(ids), dtype=bool) if given is None else np.asarray(given) != IGNORE
        # ended up without a loss for another reason than its score: the rules for eos and for document starts
        trains = np.array([bucket.action is Action.TRAIN for bucket in self.setup.buckets])
        trainable &= ~(trains[buckets_of(score, self.setup.buckets)] & (np.asarray(labels) == IGNORE))
        return LabelledDocument(name, tokens, found, score, trainable, partial)


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
    entries = [entry for entry in cfg.get("datasets") or []]
    for entry in cfg.get("pretraining_dataset") or []:
        # whole documents, which is how they are labelled; training cuts them afterwards
        entries.append(DictDefault({**entry, "type": "completion", "field": entry.get("text_column") or "text"}))
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

    def tokenizer(self, *args, **kwargs):
        return _InspectingTokenizer(*args, **kwargs)

    def __call__(self, strategy, rows):
        raise _Inspected(DataSet(strategy.where, strategy, rows, self.setup))


class _InspectingTokenizer(TaggingTokenizer):
    """Its tokens know the text that they come from, and each labeler's score of it."""

    def _tag(self, ids, offsets, text, spans):
        labels = [tag.label for tag in super()._tag(ids, offsets, text, spans)]
        of = document("", text, offsets, spans, self._buckets, self._overlap).reordered(self.order(np.asarray(ids)))
        tags = []
        for index, (token_id, label) in enumerate(zip(ids, labels)):
            tag = Tagged(token_id)
            tag.label, tag.seen = label, (of, index)
            tags.append(tag)
        return tags
