"""A tokenizer whose token ids carry their labels with them.

Axolotl's strategies cut, join and copy lists of token ids, each in its own way. The ids handed to them here are
integers like any other that remember the label their characters ask for, so that it arrives wherever the id does,
and an id that came about in any other way can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from transformers import BatchEncoding

from ..buckets import CODED_ACTIONS, Action, Bucket
from ..codec import IGNORE, check_vocabulary, encode
from ..goldfish import goldfish
from ..labeling.base import Span, utf8_safe
from ..offsets import Offsets
from ..tokens import char_scores, token_buckets

UNLABELED = object()
"""The label of ids from a text that nobody announced to the tokenizer."""


class Tagged(int):
    """A token id that knows its label: an integer (see `codec`), or `UNLABELED`."""

    label: int | object


class _Trained(dict):
    """Token ids to tags that are labelled with the id itself, made as they are asked for."""

    def __missing__(self, token_id):
        tag = self[token_id] = _tagged(token_id, token_id)
        return tag


class DryRunDone(Exception):
    """All prompts of a row have been seen; ends a strategy's dry run early."""


class TaggingTokenizer:
    """Stands in for a fast tokenizer while a data set is tokenised.

    Args:
        tokenizer: the model's own; it is copied, never changed.
        buckets: ascending.
        overlap: see `tokens.token_buckets`.
        code_masked: write masked tokens as codes (`monitor_masked`) instead of -100.
        random_control: put each text's scores on random tokens of it.

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
        self._encode = Offsets(tokenizer)
        self._tokenizer = self._encode.tokenizer
        self._buckets = tuple(buckets)
        self._overlap = overlap
        self._code_masked = code_masked
        self._random_control = random_control
        self._special_ids = tokenizer.all_special_ids
        self._control_ids = [self._control_id(b) for b in buckets if b.action is Action.CONTROL_TOKEN]
        self._trained = _Trained()
        self._spans: Mapping[str, list[Span]] = {}
        self._seen: list[str] | None = None
        self.untagged: list[tuple[list[int], list[int]]] | None = None
        """Where a list: ids stay plain, and this collects those of each text with their labels."""

    def __getattr__(self, name):
        if name.startswith("__") or name == "_tokenizer":
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def __len__(self):
        return len(self._tokenizer)

    def __getstate__(self):
        # `datasets` hashes this object to name its cache files: what changes from row to row stays out
        return {**self.__dict__, "_trained": _Trained(), "_spans": {}, "_seen": None}

    def __setstate__(self, state):
        self.__dict__.update(state)

    # the row at hand

    def announce(self, spans: Mapping[str, list[Span]]) -> None:
        """The texts that are about to be tokenised, and their spans."""
        self._spans = spans

    def start_dry_run(self) -> list[str]:
        """From here to `end_dry_run`, only collect texts, into the list returned."""
        self._seen = []
        return self._seen

    def end_dry_run(self) -> None:
        """Tokenise again."""
        self._seen = None

    # what strategies call

    def __call__(self, text=None, *args, **kwargs):
        if not isinstance(text, str) or args or kwargs.get("return_tensors") or "text_pair" in kwargs:
            return self._tokenizer(text, *args, **kwargs)
        if self._seen is not None:
            self._seen.append(text)
            stub = {"input_ids": [0], "attention_mask": [1], "offset_mapping": [(0, 0)]}
            return BatchEncoding(stub)

        text = utf8_safe(text)
        wants_offsets = kwargs.pop("return_offsets_mapping", False)
        encoding = self._encode(text, **kwargs)
        spans = self._spans.get(text)
        if spans is None:
            encoding["input_ids"] = [_tagged(i, UNLABELED) for i in encoding["input_ids"]]
        else:
            encoding["input_ids"] = self._tag(encoding["input_ids"], encoding["offset_mapping"], text, spans)
        if not wants_offsets:
            del encoding["offset_mapping"]
        elif not isinstance(encoding["offset_mapping"], list):
            encoding["offset_mapping"] = [tuple(pair) for pair in encoding["offset_mapping"].tolist()]
        return encoding

    def apply_chat_template(self, conversation, tokenize=True, return_dict=True, **kwargs):
        """Render with the tokenizer's template and tokenise the text here, so that its ids are tagged."""
        if self._seen is not None and not tokenize:
            raise DryRunDone
        text = self._tokenizer.apply_chat_template(conversation, tokenize=False, **kwargs)
        if not tokenize:
            return text
        encoding = self(text, add_special_tokens=False)
        return encoding if return_dict else encoding["input_ids"]

    # labels

    def _tag(self, ids, offsets, text, spans):
        scores = char_scores(len(text), spans)
        bucket, score = token_buckets(offsets, scores, self._buckets, self._overlap)
        labels = self.labels(np.asarray(ids, dtype=np.int64), bucket, score).tolist()
        if self.untagged is not None:
            self.untagged.append((list(ids), labels))  # a copy: strategies append to theirs
            return ids
        trained = self._trained
        return [trained[i] if i == label else _tagged(i, label) for i, label in zip(ids, labels)]

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
            if description.action in (Action.TRAIN, Action.CONTROL_TOKEN) or not chosen.any():
                continue
            if description.action is Action.GOLDFISH:
                chosen &= goldfish(ids, description.k)
            coded = self._code_masked or description.action in CODED_ACTIONS
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


def _tagged(token_id, label):
    tag = Tagged(token_id)
    tag.label = label
    return tag

