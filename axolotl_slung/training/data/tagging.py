"""A tokenizer that records what a strategy tokenizes and gives token ids that know their origin.

Each of Axolotl's strategies cuts, joins and copies lists of token ids in its own way. If the result is the ids of the
row's texts in order, plain ids are enough to follow them. Otherwise the ids are integers that also remember their
place. An id that a strategy makes in any other way has no place, so it can be told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import BatchEncoding

from ...errors import SlungError
from ...labeling.base import Span, utf8_safe
from ...labels.buckets import Action, Bucket
from ...labels.codec import IGNORE, check_vocabulary, encode
from ...labels.goldfish import goldfish
from ...labels.offsets import Offsets
from ...labels.tokens import Overlap, char_scores, token_buckets, token_scores
from ...labels.weights import check_weights, token_weights


class Tagged(int):
    """A token id with its place `at` among the tokens of a row's texts."""

    at: int


@dataclass
class Text:
    """A text that a strategy tokenized.

    Attributes:
        text: the characters.
        ids: its token ids.
        offsets: the characters `[start, end)` of each token: pairs, or an int64 array `[tokens, 2]`.
        first: the place of its first token among the tokens of all texts of the row.
        number: the index of the text in the row.
        spans: the spans that the labelers found in it.
        left: the spans whose action on text could not be applied. They are masked.
        missed: the spans that `label_noise` dropped. They are not in `spans`.
        weights: the weight that the data gives to each character, float64 `[characters]`. None: 1 for all.
    """

    text: str
    ids: list[int]
    offsets: object
    first: int
    number: int = 0
    spans: list[Span] = field(default_factory=list)
    left: list[Span] = field(default_factory=list)
    weights: np.ndarray | None = None
    missed: list[Span] = field(default_factory=list)

    def token_weights(self, overlap: Overlap) -> np.ndarray | None:
        """The weight of each token, float64 `[tokens]` (see `weights.token_weights`). None: 1 for all."""
        return None if self.weights is None else token_weights(self.offsets, self.weights, overlap)


class RowSeen(Exception):
    """All prompts of a row have been rendered. This ends a strategy's rendering early."""


class TaggingTokenizer:
    """Replaces a fast tokenizer while a data set is tokenized.

    Args:
        tokenizer: the model's tokenizer. It is copied, never changed.
        buckets: in ascending order.
        overlap: see `tokens.token_buckets`.
        code_masked: whether masked tokens are written as codes (`monitor_masked`) instead of -100.
        random_control: whether each text's scores are moved to random tokens of it.

    Attributes:
        offsets: tokenizes with exact offsets.
        overlap, code_masked, random_control: as given.
        rendered: the texts so far inside `rendering`, otherwise None.

    Raises:
        SlungError: the tokenizer gives no offsets, the vocabulary is too large for the codec, or the token of a bucket
            is not a single token or has another use.
    """

    def __init__(self, tokenizer, buckets: Sequence[Bucket], overlap, code_masked: bool, random_control: bool = False):
        if not getattr(tokenizer, "is_fast", False):
            raise SlungError(
                f"tokenizer_type: {type(tokenizer).__name__} gives no character offsets, but slung needs them to find "
                "the tokens of a span; use the model's fast tokenizer (`tokenizer_use_fast: true`, without "
                "`tokenizer_use_mistral_common`)"
            )
        check_vocabulary(len(tokenizer))
        self.offsets = Offsets(tokenizer)
        self._tokenizer = self.offsets.tokenizer
        self._buckets = tuple(buckets)
        self.overlap = overlap
        self.code_masked = code_masked
        self.random_control = random_control
        self._special_ids = tokenizer.all_special_ids
        self._control_ids = [self._id_of(b, "control") for b in buckets if b.action is Action.CONTROL_TOKEN]
        self._hidden = np.array([self._hidden_id(b) if b.action is Action.HIDDEN_TOKEN else -1 for b in buckets])
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
        # `datasets` hashes this object to name its cache files: leave out what changes per row
        return {**self.__dict__, "_texts": [], "rendered": None}

    def __setstate__(self, state):
        self.__dict__.update(state)

    # the current row

    @contextmanager
    def noting(self, tagged: bool) -> Iterator[list[Text]]:
        """Record the texts that are tokenized.

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
        """Only record the texts that would be tokenized, without tokenizing them."""
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

    def apply_chat_template(self, conversation: Any, tokenize: bool = True, return_dict: bool = True, **kwargs) -> Any:
        """Render with the tokenizer's template, then tokenize the text with this tokenizer."""
        if self.rendered is not None and not tokenize:
            raise RowSeen
        text = self._tokenizer.apply_chat_template(conversation, tokenize=False, **kwargs)
        if not tokenize:
            return text
        encoding = self(text, add_special_tokens=False)
        return encoding if return_dict else encoding["input_ids"]

    def note(self, text: str, ids: list[int], offsets: Any) -> list[int]:
        """Record a tokenized text, see `Text`. Returns the ids, which are `Tagged` inside `noting(tagged=True)`."""
        texts = self._texts
        first = texts[-1].first + len(texts[-1].ids) if texts else 0
        texts.append(Text(text, list(ids), offsets, first, len(texts)))  # a copy: strategies append to their list
        return [_tagged(i, at) for at, i in enumerate(ids, first)] if self._tagging else ids

    # labels

    def labeled(self, text: str, spans: Sequence[Span]) -> tuple[list[int], np.ndarray]:
        """The token ids of one text and their labels, int64 `[tokens]`."""
        with self.noting(tagged=False) as texts:
            self(text)
        texts[0].spans = list(spans)
        return texts[0].ids, self.labels_of(texts[0])

    def labels_of(self, text: Text) -> np.ndarray:
        """The label of each token of a text from the text's spans and weights, int64 `[tokens]`.

        Raises:
            WeightError: a weight cannot be used with the action of its token.
        """
        bucket, score = self._buckets_of(text)
        weights = text.token_weights(self.overlap)
        labels = self.labels(np.asarray(text.ids, dtype=np.int64), bucket, score, weights)
        if text.left:
            left = char_scores(len(text.text), [span._replace(score=1.0) for span in text.left])
            labels[token_scores(text.offsets, left) > 0] = IGNORE
        return labels

    def inputs_of(self, text: Text) -> np.ndarray:
        """The token ids of a text that the model reads, int64 `[tokens]`, see `inputs`."""
        return self.inputs(np.asarray(text.ids, dtype=np.int64), self._buckets_of(text)[0])

    def _buckets_of(self, text: Text) -> tuple[np.ndarray, np.ndarray]:
        scores = char_scores(len(text.text), text.spans)
        return token_buckets(text.offsets, scores, self._buckets, self.overlap)

    @property
    def hides(self) -> bool:
        """Whether a bucket puts a reserved token in place of its tokens."""
        return bool((self._hidden >= 0).any())

    def inputs(self, ids: np.ndarray, bucket: np.ndarray) -> np.ndarray:
        """The token ids that the model reads: the reserved token of its bucket in place of a hidden token.

        Args:
            ids: token ids, int64 `[tokens]`.
            bucket: bucket indices, `[tokens]`.

        Returns:
            int64 `[tokens]`.
        """
        hidden = self._hidden[bucket[self.order(ids)]]
        return np.where(hidden >= 0, hidden, ids)

    def labels(
        self, ids: np.ndarray, bucket: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """The label of each token, by the action of its bucket.

        Args:
            ids: token ids, int64 `[tokens]`.
            bucket: bucket indices, `[tokens]`.
            score: float `[tokens]`.
            weights: what the data multiplies each token's loss by, float64 `[tokens]`. None: 1 for all.

        Returns:
            int64 `[tokens]`.

        Raises:
            WeightError: a weight cannot be used with the action of its token.
        """
        order, original, ids = self.order(ids), ids, self.inputs(ids, bucket)
        labels, bucket, score = ids.copy(), bucket[order], score[order]
        for index, description in enumerate(self._buckets):
            chosen = bucket == index
            if not chosen.any():
                continue
            if description.action is Action.GOLDFISH:
                chosen &= goldfish(original, description.k)
            elif description.action.traits.has_loss and not description.action.traits.coded:
                continue
            coded = self.code_masked or description.action.traits.coded
            # a span whose action on text could not be applied (it crosses two fields of a prompt) is masked
            labels[chosen] = encode(ids[chosen], bucket[chosen], score[chosen]) if coded else IGNORE
        if weights is not None:
            self._weigh(labels, ids, bucket, score, weights[order])
        if self._control_ids:
            # a control token is context: the model must not learn to predict it
            labels[np.isin(ids, self._control_ids)] = IGNORE
        if self.hides:
            # nor a reserved token that the text itself contains
            labels[np.isin(ids, self._hidden) & (labels >= 0)] = IGNORE
        return labels

    def _weigh(self, labels, ids, bucket, score, weights) -> None:
        """Write weights into labels, in place. Masked tokens have no loss, and stay as they are."""
        check_weights(weights, bucket, self._buckets)
        coded = np.array([one.action.traits.coded for one in self._buckets])[bucket]
        signed = np.array([one.action is Action.WEIGHTED for one in self._buckets])[bucket]
        chosen = (weights != 1) & (coded | (labels >= 0))
        values = np.where(signed, score * weights, weights)
        labels[chosen] = encode(ids[chosen], bucket[chosen], values[chosen], given=True)
        if not self.code_masked:
            labels[chosen & (weights == 0)] = IGNORE

    def order(self, ids: np.ndarray) -> np.ndarray:
        """For each token, the index of the token whose score it gets: its own, or a random one in a random control.

        Args:
            ids: token ids, int64 `[tokens]`. The same ids always give the same order.

        Returns:
            A permutation, int64 `[tokens]`. Special tokens stay in place.
        """
        order = np.arange(len(ids))
        if self.random_control:
            (movable,) = np.nonzero(~np.isin(ids, self._special_ids))
            order[movable] = np.random.default_rng(np.asarray(ids, dtype=np.uint64)).permutation(movable)
        return order

    def _id_of(self, bucket: Bucket, what: str) -> int:
        ids = self._tokenizer(bucket.token, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise SlungError(
                f"slung.buckets: the {what} token {bucket.token!r} of bucket {bucket.name!r}: expected 1 token in "
                f"this tokenizer, got {len(ids)}; add it to the vocabulary under `tokens:` in the config"
            )
        return ids[0]

    def _hidden_id(self, bucket: Bucket) -> int:
        token_id = self._id_of(bucket, "reserved")
        uses = {name: getattr(self._tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "pad", "unk")}
        used = next((f"its {name} token" for name, one in uses.items() if one == token_id), None)
        if used is None and token_id not in self._tokenizer.added_tokens_decoder:
            used = "a token of ordinary text"
        if used is not None:
            raise SlungError(
                f"slung.buckets: the reserved token {bucket.token!r} of bucket {bucket.name!r}: is {used} in this "
                "tokenizer; use a token that nothing else uses, or add one under `tokens:` in the config"
            )
        return token_id


def _tagged(token_id, at):
    tag = Tagged(token_id)
    tag.at = at
    return tag
