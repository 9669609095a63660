"""Labeled rows as `LabeledDocument`s."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from ...labels.buckets import Action
from ...labels.codec import IGNORE
from ...labels.documents import LEFT_OUT_BY, LabeledDocument, document
from ...labels.tokens import buckets_of
from .policy import Policy
from .row_labels import ADDED
from .row_spans import Row
from .tagging import TaggingTokenizer


def row_documents(
    row: Row, labels: Sequence[np.ndarray], tokenizer: TaggingTokenizer, policy: Policy, name: str = ""
) -> Iterator[LabeledDocument]:
    """Each part of a labeled row as a document.

    Args:
        row: with spans on its texts.
        labels: of each part, int64 `[tokens]`.
        tokenizer: of its strategy.
        policy: of its strategy.
        name: a name for the documents.
    """
    buckets = policy.buckets
    of_text = [
        document(
            "", text.text, text.offsets, text.spans, buckets, tokenizer.overlap, text.missed, text.weights
        ).reordered(tokenizer.order(np.asarray(text.ids)))
        for text in row.texts
    ]
    noises = [one.noises for one in of_text]
    firsts = [text.first for text in row.texts]
    trains = np.array([bucket.action is Action.TRAIN for bucket in buckets])
    for part, of_part in zip(row.parts, labels):
        ids = part.output["input_ids"]
        found = {labeler: np.zeros(len(ids)) for labeler in sorted({name for one in of_text for name in one.scores})}
        score, partial, weights = np.zeros(len(ids)), np.zeros(len(ids), dtype=bool), np.ones(len(ids))
        noise = np.zeros(len(ids), dtype=np.int64)
        tokens: list[str] = []
        put_in: dict[int, str] = {}
        for position, place in enumerate(part.places.tolist()):
            if place == ADDED:
                tokens.append(str(tokenizer.convert_ids_to_tokens(int(ids[position]))))
                continue
            number = bisect_right(firsts, place) - 1
            of, index = of_text[number], place - firsts[number]
            tokens.append(of.tokens[index])
            if index in of.put_in:
                put_in[position] = of.put_in[index]
            score[position], partial[position] = of.score[index], of.partial[index]
            weights[position] = of.weight[index]
            noise[position] = noises[number][index]
            for labeler, scores in of.scores.items():
                found[labeler][position] = scores[index]
        ends = part.trained & (np.asarray(ids) == tokenizer.eos_token_id)
        if policy.eos == "inherit":
            for position in np.flatnonzero(ends[1:]) + 1:
                for values in (score, weights, *found.values()):
                    values[position] = values[position - 1]
        # a token in a `train` bucket may lose its loss through the rules for eos and document starts
        left_out = trains[buckets_of(score, buckets)] & (weights != 0) & (np.asarray(of_part) == IGNORE)
        trainable = part.trained & ~left_out
        rules = np.where(ends, LEFT_OUT_BY.index("eos: mask"), LEFT_OUT_BY.index("its control token"))
        if policy.mask_document_starts and part is row.parts[0]:
            rules[:1] = LEFT_OUT_BY.index("mask_document_starts")
        reasons = np.where(part.trained, rules, LEFT_OUT_BY.index("Axolotl"))
        weighed = weights if (weights != 1).any() else None
        yield LabeledDocument(name, tokens, found, score, trainable, partial, reasons, weighed, put_in, noise)
