"""The places of a strategy's tokens in the row's texts, and the labels of these tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import SlungError
from ...labels.codec import FIRST_CODE, IGNORE, decode, encode
from .policy import Policy
from .tagging import Tagged, TaggingTokenizer, Text

ADDED = -1
"""The place of a special token that a strategy added."""


class SlungDataError(SlungError):
    """A data set cannot be labeled. The message names the YAML key, the value and the fix."""


@dataclass
class Part:
    """One row of a strategy's output. A raw row may give several parts.

    Attributes:
        output: all columns, `input_ids` as plain integers.
        places: the place of each token among the tokens of the row's texts, or `ADDED`, int64 `[tokens]`.
        trained: whether Axolotl trains the token, bool `[tokens]`.
    """

    output: dict
    places: np.ndarray
    trained: np.ndarray


class RowLabels:
    """Follows tokens through strategies and labels them.

    Args:
        tokenizer: the strategy's tokenizer.
        policy: how the data set is labeled.
    """

    def __init__(self, tokenizer: TaggingTokenizer, policy: Policy):
        self.policy = policy
        self.eos_id = tokenizer.eos_token_id
        self._tokenizer = tokenizer
        # the only ids that a strategy may add
        self._special_ids = frozenset(tokenizer.all_special_ids) | frozenset(tokenizer.added_tokens_decoder)

    # places

    def of_order(self, rows: Sequence[dict], texts: Sequence[Text]) -> list[Part] | None:
        """Parts with the places of their tokens, from plain ids.

        Returns:
            One part per row, or None if the tokens cannot be followed. The ids of all rows, joined, must be those of
            one text with only special tokens after it. Every label must be -100 or its token's id.
        """
        made = [token_id for row in rows for token_id in row["input_ids"]]
        if not made:
            return []
        special = self._special_ids
        whole = (t for t in texts if made[: len(t.ids)] == t.ids and special.issuperset(made[len(t.ids) :]))
        text = next(whole, None)
        if text is None:
            return None
        places = np.full(len(made), ADDED, dtype=np.int64)
        places[: len(text.ids)] = np.arange(text.first, text.first + len(text.ids))
        parts, start = [], 0
        for row in rows:
            ids = np.asarray(row["input_ids"], dtype=np.int64)
            labels = np.asarray(row.get("labels", ids), dtype=np.int64)
            trained = labels != IGNORE
            if len(labels) != len(ids) or (labels != ids)[trained].any():
                return None
            parts.append(Part(row, places[start : start + len(ids)], trained))
            start += len(ids)
        return parts

    def of_tags(self, rows: Sequence[dict]) -> list[Part]:
        """Parts with the places of their tokens, from `Tagged` ids.

        Raises:
            SlungDataError: an id without a tag is not a special token, or a label is not its token's id.
        """
        parts = []
        for row in rows:
            tags, labels = row["input_ids"], row.get("labels", row["input_ids"])
            places = [tag.at if type(tag) is Tagged else self._added(tag) for tag in tags]
            if len(labels) != len(tags) or any(a != b and a != IGNORE for a, b in zip(labels, tags)):
                raise SlungDataError(
                    f"{self.policy.where}.type: this type's labels do not match its token ids; use another type"
                )
            output = {**row, "input_ids": list(map(int, tags))}
            trained = np.fromiter((label != IGNORE for label in labels), bool, len(tags))
            parts.append(Part(output, np.array(places, dtype=np.int64), trained))
        return parts

    def _added(self, token_id) -> int:
        if token_id not in self._special_ids:
            raise SlungDataError(
                f"{self.policy.where}.type: this type's tokens cannot be traced back to characters, so risky text "
                "could go unmasked; use completion, an alpaca type or chat_template"
            )
        return ADDED

    def used(self, parts: Sequence[Part], texts: Sequence[Text]) -> list[Text]:
        """The texts that the parts' tokens come from."""
        places = np.concatenate([np.zeros(0, dtype=np.int64), *(part.places for part in parts)])
        return [t for t in texts if ((t.first <= places) & (places < t.first + len(t.ids))).any()]

    # labels

    def labels(self, parts: Sequence[Part], texts: Sequence[Text]) -> list[np.ndarray]:
        """The labels of each part, from Axolotl's choice of tokens and the actions for the texts' spans.

        Args:
            parts: the parts of one row.
            texts: the texts that the parts' tokens come from, with their spans.

        Returns:
            int64 `[tokens]` for each part.
        """
        flat = np.zeros(max((text.first + len(text.ids) for text in texts), default=0) + 1, dtype=np.int64)
        for text in texts:
            flat[text.first : text.first + len(text.ids)] = self._tokenizer.labels_of(text)
        labeled = []
        for part in parts:
            ids = np.asarray(part.output["input_ids"], dtype=np.int64)
            actions = np.where(part.places == ADDED, ids, flat[part.places])
            labels = np.where(part.trained, actions, IGNORE)
            self._end(ids, labels, actions)
            labeled.append(labels)
        if self.policy.mask_document_starts and labeled and len(labeled[0]):
            labeled[0][0] = IGNORE
        return labeled

    def inputs(self, parts: Sequence[Part], texts: Sequence[Text]) -> list:
        """The token ids of each part that the model reads: its own, with the reserved tokens of `hidden_token`.

        Args:
            parts, texts: as in `labels`.

        Returns:
            `[tokens]` for each part: its list of ids if no bucket hides tokens, otherwise int64.
        """
        if not self._tokenizer.hides:
            return [part.output["input_ids"] for part in parts]
        flat = np.zeros(max((text.first + len(text.ids) for text in texts), default=0) + 1, dtype=np.int64)
        for text in texts:
            flat[text.first : text.first + len(text.ids)] = self._tokenizer.inputs_of(text)
        return [np.where(part.places == ADDED, part.output["input_ids"], flat[part.places]) for part in parts]

    def _end(self, ids, labels, actions) -> None:
        """Apply the rule for end-of-sequence tokens to `labels`, in place."""
        if self.policy.eos == "train":
            return
        for position in np.flatnonzero((ids == self.eos_id) & (labels >= 0)):
            before = int(actions[position - 1]) if position and self.policy.eos == "inherit" else IGNORE
            labels[position] = _moved(before, self.eos_id) if self.policy.eos == "inherit" else IGNORE


def _moved(label: int, token_id: int) -> int:
    """The label that gives token `token_id` the action of `label`."""
    if label <= FIRST_CODE:
        _, bucket, score = decode(label)
        return int(encode(token_id, bucket, score))
    return IGNORE if label == IGNORE else token_id
