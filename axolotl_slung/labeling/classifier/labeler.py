"""Scores sentences, documents or tokens with a Hugging Face classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..base import Span, utf8_safe
from ..hub import HubLabeler
from ..text.sentences import split
from .model import ClassifierModel, joined
from .tags import Label, Unit
from .words import word_spans


class ClassifierLabeler(HubLabeler):
    """Probabilities of labels, from a sequence or token classifier of the `transformers` library.

    A sequence classifier scores each sentence (`unit: sentence`, without the white space around it) or the whole text
    (`document`). A token classifier (`unit: token`) scores each word. Each label has a span of its own, with the label
    as its kind. With factors there is one span: its score is the sum of the labels' probabilities times their factors.

    Probabilities are a softmax over the model's tags. They are a sigmoid for a sequence classifier with the problem
    type `multi_label_classification` or one logit. A token's probability of a label is the sum over the label's tags:
    B-, I-, E-, L-, M-, S-, U- and bare. So it does not depend on which tag is the most probable one.

    A word's score is the highest of its tokens' (see `word_spans`).

    Texts longer than the window are cut into windows that overlap by a quarter. The score of a sentence or document is
    the highest over its windows. Each token takes its score from the window with more context around it.
    Special tokens that a text spells out ("[SEP]", for example) are read as ordinary characters. A text without
    tokens has no spans.

    Weights are read as float32. Code that comes with a model is not run.

    Args:
        key: the labeler's place in the YAML.
        model: a folder, or the name of a model on the Hugging Face hub (stored in the hub's own cache).
        label: a label, several, or a mapping of labels to factors. For tokens: without their prefixes.
        unit: what gets one score each.
        floor: for tokens: words with a lower score have no span.
        window: the most tokens to read at once, or the model's own limit if it is lower.
        batch_tokens: the most tokens per batch, with padding.
        revision: commit, tag or branch of a model on the hub.
        thresholds: the scores at which buckets begin. None may be below `floor`.
    """

    scope = "document"
    packages = ("transformers", "tokenizers", "livekit-blingfire")

    def __init__(
        self,
        key: str,
        model: str,
        label: Label = "toxic",
        unit: Unit = "sentence",
        floor: float = 0.01,
        window: int = 4096,
        batch_tokens: int = 4096,
        revision: str | None = None,
        thresholds: Sequence[float] = (),
    ):
        # sentences and documents have a span with any score
        super().__init__(key, model, revision, floor if unit == "token" else 0.0, thresholds)
        self.label_name = label
        self.unit: Unit = unit
        self.window = window
        self.batch_tokens = batch_tokens

    def _load(self, folder: Path) -> ClassifierModel:
        return ClassifierModel(self.key, folder, self.label_name, self.unit, self.window)

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per label and sentence, document or word; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        if self.unit == "sentence":
            places = [(i, *span) for i, spans in enumerate(split(texts)) for span in spans]
        else:
            places = [(i, 0, len(text)) for i, text in enumerate(texts)]
        pieces = [texts[index][start:end] for index, start, end in places]
        if self.unit == "sentence":
            pieces = [piece.strip() for piece in pieces]
        labeled: list[list[Span]] = [[] for _ in texts]
        kinds = self.model.kinds
        for (index, start, end), windows in zip(places, self.model.read(pieces, self.batch_tokens, self.device)):
            if not windows:
                continue
            if self.unit == "token":
                labeled[index] = word_spans(texts[index], *joined(windows), kinds, self.floor)
            else:
                scores = np.max([window.scores for window in windows], 0).tolist()
                labeled[index] += sorted(
                    Span(start, end, min(score, 1.0), kind=kind) for score, kind in zip(scores, kinds)
                )
        return labeled
