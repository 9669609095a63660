"""Tokenized documents with the scores of each labeler, as training sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from ..labeling.base import Span
from .buckets import Bucket
from .noise import FALSE
from .replacement import Replaced, replacements
from .tokens import Overlap, buckets_of, char_scores, token_scores
from .weights import token_weights

LEFT_OUT_BY = ("Axolotl", "eos: mask", "mask_document_starts", "its control token")
"""What leaves a token out of training although its bucket would train it: Axolotl itself, or a rule of slung."""

NOISE = ("", "its span was dropped by label_noise", "in a false span of label_noise")
"""What `label_noise` did to a token."""


@dataclass(frozen=True)
class LabeledDocument:
    """One row of a data set.

    Attributes:
        name: a name for it, such as its id.
        tokens: the characters of each token, with the characters before it that belong to no token. A special token has
            its own name. A token that shares its only character with the token before it is empty.
        scores: for each labeler that found something, by its name, float64 `[tokens]` (see `tokens.token_scores`).
        score: float64 `[tokens]`: the maximum over the labelers, combined by character.
        trainable: bool `[tokens]`: whether the token is trained if its bucket allows it.
        partial: bool `[tokens]`: whether the token has characters in different buckets.
        left_out_by: for tokens that are not trainable, what leaves them out: indices into `LEFT_OUT_BY`, int `[tokens]`.
            None: Axolotl.
        weights: what the data multiplies each token's loss by, float64 `[tokens]`. None: 1 for all.
        put_in: what `replace` puts in place of a span, by the index of the span's last token.
        noise: what `label_noise` did: indices into `NOISE`, int `[tokens]`. None: nothing.
    """

    name: str
    tokens: list[str]
    scores: dict[str, np.ndarray]
    score: np.ndarray
    trainable: np.ndarray
    partial: np.ndarray
    left_out_by: np.ndarray | None = None
    weights: np.ndarray | None = None
    put_in: Mapping[int, str] = field(default_factory=dict)
    noise: np.ndarray | None = None

    @property
    def weight(self) -> np.ndarray:
        """`weights`, or ones."""
        return np.ones(len(self.tokens)) if self.weights is None else self.weights

    @property
    def reasons(self) -> np.ndarray:
        """`left_out_by`, or zeros."""
        return np.zeros(len(self.tokens), dtype=np.int64) if self.left_out_by is None else self.left_out_by

    @property
    def noises(self) -> np.ndarray:
        """`noise`, or zeros."""
        return np.zeros(len(self.tokens), dtype=np.int64) if self.noise is None else self.noise

    def reordered(self, order: np.ndarray) -> LabeledDocument:
        """The same tokens with the scores of the tokens at `order`, int `[tokens]` (`random_control`)."""
        scores = {labeler: of_tokens[order] for labeler, of_tokens in self.scores.items()}
        weights, noise = (None if its is None else its[order] for its in (self.weights, self.noise))
        score, partial = self.score[order], self.partial[order]
        return replace(self, scores=scores, score=score, partial=partial, weights=weights, noise=noise)


def document(
    name: str,
    text: str,
    offsets: ArrayLike,
    spans: Sequence[Span],
    buckets: Sequence[Bucket],
    overlap: Overlap,
    missed: Sequence[Span] = (),
    weights: np.ndarray | None = None,
) -> LabeledDocument:
    """A tokenized text and its spans as a `LabeledDocument` with only trainable tokens.

    Args:
        name: a name for it.
        text: the complete text.
        offsets: integers `[tokens, 2]`: the characters `[start, end)` of each token.
        spans: the spans of any labelers. They may overlap.
        buckets, overlap: see `tokens.token_buckets`.
        missed: the spans that `label_noise` dropped.
        weights: the weight that the data gives to each character, float64 `[characters]`. None: 1 for all.
    """
    offsets = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    scores = char_scores(len(text), spans)
    by_labeler = {
        labeler: token_scores(offsets, char_scores(len(text), [s for s in spans if s.labeler == labeler]), overlap)
        for labeler in sorted({span.labeler for span in spans})
    }
    highest = buckets_of(token_scores(offsets, scores, "any"), buckets)
    lowest = buckets_of(token_scores(offsets, scores, "all"), buckets)
    return LabeledDocument(
        name=name,
        tokens=_pieces(text, offsets.tolist()),
        scores=by_labeler,
        score=token_scores(offsets, scores, overlap),
        trainable=np.ones(len(offsets), dtype=bool),
        partial=highest != lowest,
        weights=None if weights is None else token_weights(offsets, weights, overlap),
        put_in=_put_in(offsets, replacements(text, spans, buckets_of(scores, buckets), buckets)),
        noise=_noise(text, offsets, spans, missed, overlap),
    )


def _noise(text, offsets, spans, missed, overlap) -> np.ndarray | None:
    false = [span for span in spans if span.labeler == FALSE]
    if not (false or missed):
        return None
    of_token = np.zeros(len(offsets), dtype=np.int64)
    for kind, of_kind in ((1, missed), (2, false)):
        scores = char_scores(len(text), [span._replace(score=1.0) for span in of_kind])
        of_token[token_scores(offsets, scores, overlap) > 0] = kind
    return of_token


def joined(name: str, documents: Sequence[LabeledDocument]) -> LabeledDocument:
    """Several documents as one, with an empty line between them."""
    tokens: list[str] = []
    for one in documents:
        if tokens and one.tokens:
            tokens[-1] += "\n\n"
        tokens += one.tokens
    labelers = sorted({labeler for one in documents for labeler in one.scores})
    scores = {
        labeler: np.concatenate([one.scores.get(labeler, np.zeros(len(one.tokens))) for one in documents])
        for labeler in labelers
    }
    score, trainable, partial, weights, noise = (
        np.concatenate([np.zeros(0, kind), *(getattr(one, key) for one in documents)])
        for key, kind in (
            ("score", float), ("trainable", bool), ("partial", bool), ("weight", float), ("noises", np.int64)
        )
    )  # fmt: skip
    weighed = weights if (weights != 1).any() else None
    firsts = np.cumsum([0, *(len(one.tokens) for one in documents)]).tolist()
    put_in = {first + at: text for one, first in zip(documents, firsts) for at, text in one.put_in.items()}
    return LabeledDocument(name, tokens, scores, score, trainable, partial, None, weighed, put_in, noise)


def _put_in(offsets: np.ndarray, replaced: Sequence[Replaced]) -> dict[int, str]:
    """See `LabeledDocument.put_in`. A token in which several spans end has all that is put in."""
    found: dict[int, list[str]] = {}
    for one in replaced:
        (touched,) = np.nonzero((offsets[:, 0] < one.end) & (offsets[:, 1] > one.start))
        if len(touched):
            found.setdefault(int(touched[-1]), []).append(one.by)
    return {at: ", ".join(texts) for at, texts in found.items()}


def _pieces(text: str, offsets) -> list[str]:
    """The text cut at the ends of the tokens. The pieces always join to the whole text."""
    pieces, position = [], 0
    for _, end in offsets:
        end = max(end, position)
        pieces.append(text[position:end])
        position = end
    if pieces:
        pieces[-1] += text[position:]
    return pieces
