"""Labeled rows as `LabeledDocument`s."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from ...labels.buckets import Action, Bucket
from ...labels.codec import IGNORE
from ...labels.documents import LabeledDocument, document
from ...labels.tokens import buckets_of
from .row_labels import ADDED
from .row_spans import Row
from .tagging import TaggingTokenizer


def row_documents(
    row: Row, labels: Sequence[np.ndarray], tokenizer: TaggingTokenizer, buckets: Sequence[Bucket], name: str = ""
) -> Iterator[LabeledDocument]:
    """Each part of a labeled row as a document.

    Args:
        row: with spans on its texts.
        labels: of each part, int64 `[tokens]`.
        tokenizer: of its strategy.
        buckets: in ascending order.
        name: a name for the documents.
    """
    of_text = [
        document("", text.text, text.offsets, text.spans, buckets, tokenizer.overlap).reordered(
            tokenizer.order(np.asarray(text.ids))
        )
        for text in row.texts
    ]
    firsts = [text.first for text in row.texts]
    trains = np.array([bucket.action is Action.TRAIN for bucket in buckets])
    for part, of_part in zip(row.parts, labels):
        ids = part.output["input_ids"]
        found = {labeler: np.zeros(len(ids)) for labeler in sorted({name for one in of_text for name in one.scores})}
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
        # a token in a `train` bucket may lose its loss through the rules for eos and document starts
        trainable = part.trained & ~(trains[buckets_of(score, buckets)] & (np.asarray(of_part) == IGNORE))
        yield LabeledDocument(name, tokens, found, score, trainable, partial)
