"""A tokenizer that notes down what a strategy tokenizes, and whose token ids say where they come from.

Axolotl's strategies cut, join and copy lists of token ids, each in its own way. Where the ids handed to them are those of
the row's texts in order, nothing more is needed to follow them. Elsewhere the ids are integers like any other that also
remember their place, and an id that came about in any other way can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from transformers import BatchEncoding

from ...labeling.base import Span, utf8_safe
from ...labels.buckets import Action, Bucket
from ...labels.codec import IGNORE, check_vocabulary, encode
from ...labels.goldfish import goldfish
from ...labels.offsets import Offsets
from ...labels.tokens import char_scores, token_buckets, token_scores


class Tagged(int):
    """A token id that knows its place among the tokens of a row's texts, `at`."""

    at: int


@dataclass
class Text:
    """A text that a strategy tokenized.

    Attributes:
        text: the characters.
        ids: its token ids.
        offsets: the characters `[start, end)` of each token: pairs, or an int64 array `[tokens, 2]`.
        first: the place of its first token among those of all texts of the row.
        number: of the text in the row.
        spans: what the labelers found in it.
        left: spans that an action on text could not be applied to; they are masked.
    """

    text: str
    ids: list[int]
    offsets: object
    first: int
    number: int = 0
    spans: list[Span] = field(default_factory=list)
    left: list[Span] = field(default_factory=list)


class RowSeen(Exception):
    """All prompts of a row have been rendered; ends a strategy's rendering early."""


class TaggingTokenizer:
    """Stands in for a fast tokenizer while a data set is tokenized.

    Args:
        tokenizer: the model's own; it is copied, never changed.
        buckets: ascending.
        overlap: see `tokens.token_buckets`.
        code_masked: write masked tokens as codes (`monitor_masked`) instead of -100.
        random_control: put each text's scores on random tokens of it.

    Attributes:
        offsets: tokenizes with exact offsets.
        rendered: in `rendering`, the texts so far; else None.

    Raises:
        ValueError: a tokenizer without offsets, a vocabulary too large for the codec, or a control token that the
            tokenizer would cut into pieces.
    """

    def __init__(self, tokenizer, buckets: Sequence[Bucket], overlap, code_masked: bool, random_control: bool = False):
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"tokenizer_type: {type(tokenizer).__name__} gives no character offsets, which slung needs to tell "
                "the tokens of a span; use the model's fast tokenizer (`tokenizer_use_fast: true`, and no "
                "`tokenizer_use_mistral_common`)"
            )
        check_vocabulary(len(tokenizer))
        self.offsets = Offsets(tokenizer)
        self._tokenizer = self.offsets.tokenizer
        self._buckets = tuple(buckets)
        self._overlap = overlap
        self._code_masked = code_masked
        self._random_control = random_control
        self._special_ids = tokenizer.all_special_ids
        self._control_ids = [self._control_id(b) for b in buckets if b.action is Action.CONTROL_TOKEN]
        self._texts: list[Text] = []
        self._tagging = False
        self.rendered: list[str] | None = None

    def __getattr__(self, name):
        if name.startswith("__") or name == "_tokenizer":
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def __len__(self):
        return len(self._tokenizer)

    def __getstate__(self):
        # `datasets` hashes this object to name its cache files: what changes from row to row stays out
        return {**self.__dict__, "_texts": [], "rendered": None}

    def __setstate__(self, state):
        self.__dict__.update(state)

    # the row at hand

    @contextmanager
    def noting(self, tagged: bool) -> Iterator[list[Text]]:
        """Note down what is tokenized.

        Args:
            tagged: whether the ids are `Tagged`.
        """
        self._texts, self._tagging = [], tagged
        try:
            yield self._texts
        finally:
            self._texts, self._tagging = [], False

    @contextmanager
    def rendering(self) -> Iterator[list[str]]:
        """Only note down the texts that would be tokenized."""
        self.rendered = []
        try:
            yield self.rendered
        finally:
            self.rendered = None

    # what strategies call

    def __call__(self, text=None, *args, **kwargs):
        if not isinstance(text, str) or args or kwargs.get("return_tensors") or "text_pair" in kwargs:
            return self._tokenizer(text, *args, **kwargs)
        if self.rendered is not None:
            self.rendered.append(str(text))
            return BatchEncoding({"input_ids": [0], "attention_mask": [1], "offset_mapping": [(0, 0)]})
        text = utf8_safe(text)
        encoding, offsets = self.offsets(text, **kwargs)
        encoding["input_ids"] = self.note(text, encoding["input_ids"], offsets)
        return encoding

    def apply_chat_template(self, conversation, tokenize=True, return_dict=True, **kwargs):
        """Render with the tokenizer's template, and tokenize the text here."""
        if self.rendered is not None and not tokenize:
            raise RowSeen
        text = self._tokenizer.apply_chat_template(conversation, tokenize=False, **kwargs)
        if not tokenize:
            return text
        encoding = self(text, add_special_tokens=False)
        return encoding if return_dict else encoding["input_ids"]

    def note(self, text: str, ids: list[int], offsets) -> list[int]:
        """Note down a text that was tokenized; see `Text`. Gives the ids, which know their places while tagging."""
        texts = self._texts
        first = texts[-1].first + len(texts[-1].ids) if texts else 0
        texts.append(Text(text, list(ids), offsets, first, len(texts)))  # a copy: strategies append to theirs
        return [_tagged(i, at) for at, i in enumerate(ids, first)] if self._tagging else ids

    # labels

    def labeled(self, text: str, spans: Sequence[Span]):
        """The token ids of one text, and their labels, int64 `[tokens]`."""
        with self.noting(tagged=False) as texts:
            self(text)
        texts[0].spans = list(spans)
        return texts[0].ids, self.labels_of(texts[0])

    def labels_of(self, text: Text):
        """The label of each token of a text whose spans are known: int64 `[tokens]`."""
        scores = char_scores(len(text.text), text.spans)
        bucket, score = token_buckets(text.offsets, scores, self._buckets, self._overlap)
        labels = self.labels(np.asarray(text.ids, dtype=np.int64), bucket, score)
        if text.left:
            left = char_scores(len(text.text), [span._replace(score=1.0) for span in text.left])
            labels[token_scores(text.offsets, left) > 0] = IGNORE
        return labels

    def labels(self, ids, bucket, score):
        """The label of each token, by the action of its bucket.

        Args:
            ids: int64 `[tokens]`.
            bucket: indices `[tokens]`.
            score: float `[tokens]`.

        Returns:
            int64 `[tokens]`.
        """
        order = self.order(ids)
        labels, bucket, score = ids.copy(), bucket[order], score[order]
        for index, description in enumerate(self._buckets):
            chosen = bucket == index
            if not chosen.any():
                continue
            if description.action is Action.GOLDFISH:
                chosen &= goldfish(ids, description.k)
            elif description.action.traits.has_loss and not description.action.traits.coded:
                continue
            coded = self._code_masked or description.action.traits.coded
            # a span that a text action left standing (it lies across two fields of a prompt) is masked
            labels[chosen] = encode(ids[chosen], bucket[chosen], score[chosen]) if coded else IGNORE
        if self._control_ids:
            # a control token is context: the model is told, and does not learn to announce
            labels[np.isin(ids, self._control_ids)] = IGNORE
        return labels

    def order(self, ids):
        """Which token's score each token gets: its own, or, for a random control, that of another one of the text.

        Args:
            ids: int64 `[tokens]`; the same ids always give the same order.

        Returns:
            int64 `[tokens]`: a permutation in which special tokens stay where they are.
        """
        order = np.arange(len(ids))
        if self._random_control:
            (movable,) = np.nonzero(~np.isin(ids, self._special_ids))
            order[movable] = np.random.default_rng(np.asarray(ids, dtype=np.uint64)).permutation(movable)
        return order

    def _control_id(self, bucket):
        ids = self._tokenizer(bucket.token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise ValueError(
                f"slung.buckets: the control token {bucket.token!r} of bucket {bucket.name!r} is {len(ids)} tokens to "
                "this tokenizer; add it to the vocabulary under `tokens:` in the config"
            )
        return ids[0]


def _tagged(token_id, at):
    tag = Tagged(token_id)
    tag.at = at
    return tag
