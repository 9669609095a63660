"""From what token ids carry to the labels of a row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..codec import FIRST_CODE, IGNORE, decode, encode
from ..errors import SlungError
from .tagging import UNLABELED, Tagged, TaggingTokenizer


class SlungDataError(SlungError):
    """A data set that cannot be labelled; the message names the YAML key, the value and the mend."""


class RowLabels:
    """The labels of rows that a strategy has tokenised; a row may have come out in several parts.

    Args:
        tokenizer: with which the strategy tokenises.
        where: the data set's place in the YAML, for messages.
        eos: the rule for end-of-sequence tokens: train, mask or inherit.
        mask_document_starts: no loss on a row's first token.
    """

    def __init__(self, tokenizer: TaggingTokenizer, where: str, eos: str, mask_document_starts: bool):
        self.where = where
        self.eos = eos
        self.eos_id = tokenizer.eos_token_id
        self.mask_document_starts = mask_document_starts
        # the only ids that a strategy may write by itself
        self._special_ids = frozenset(tokenizer.all_special_ids) | frozenset(tokenizer.added_tokens_decoder)

    def of_tags(self, parts: Sequence[dict]) -> list[list[int]]:
        """The labels of each part: Axolotl's choice of tokens, and the actions that the tags carry.

        Raises:
            SlungDataError: an id without a tag that is no special token, or one of an unknown text.
        """
        labels = [self._of_part(part) for part in parts]
        if self.mask_document_starts and labels and labels[0]:
            labels[0][0] = IGNORE
        return labels

    def without_tags(self, parts: Sequence[dict], texts: Sequence[tuple[list[int], list[int]]]) -> list[list[int]] | None:
        """The same from plain ids, for a type that only cuts up one text; with the rule `train` for eos.

        Args:
            parts: the strategy's output.
            texts: ids and labels of each text that it tokenised.

        Returns:
            None unless the parts' ids, one after the other, are those of the one text and special tokens after it, and
            all of them are trained.
        """
        if not parts:
            return []
        if len(texts) != 1:
            return None
        ((ids, labels),) = texts
        made = [token_id for part in parts for token_id in part["input_ids"]]
        more = made[len(ids) :]
        trained = all(part.get("labels", part["input_ids"]) == part["input_ids"] for part in parts)
        if made[: len(ids)] != ids or not self._special_ids.issuperset(more) or not trained:
            return None
        labels = labels + more
        if self.mask_document_starts:
            labels[0] = IGNORE
        rest = iter(labels)
        return [list(islice(rest, len(part["input_ids"]))) for part in parts]

    def _of_part(self, part) -> list[int]:
        ids, labels = part["input_ids"], part.get("labels")
        out = self._actions(ids if labels is None else labels)
        if self.eos != "train":
            for position in [p for p, (i, action) in enumerate(zip(ids, out)) if i == self.eos_id and action >= 0]:
                before = self._action(ids[position - 1]) if position and self.eos == "inherit" else IGNORE
                out[position] = _moved(before, self.eos_id) if self.eos == "inherit" else IGNORE
        return out

    def _actions(self, labels) -> list[int]:
        """What each label carries, -100 where Axolotl leaves the token out."""
        actions = [
            label.label if type(label) is Tagged else IGNORE if label == IGNORE else self._action(label)
            for label in labels
        ]
        return [self._action(label) for label in labels] if UNLABELED in actions else actions

    def _action(self, token) -> int:
        """What a token id carries; ids that strategies add by themselves are special tokens, and trained."""
        label = token.label if isinstance(token, Tagged) else int(token)
        if label is UNLABELED or (not isinstance(token, Tagged) and token not in self._special_ids):
            raise SlungDataError(
                f"{self.where}.type: this type makes token ids in a way that their characters cannot be followed, so "
                "that risky text could slip through; use completion, an alpaca type or chat_template"
            )
        return label


def _moved(label: int, token_id: int) -> int:
    """The action in `label`, on another token."""
    if label <= FIRST_CODE:
        _, bucket, score = decode(label)
        return int(encode(token_id, bucket, score))
    return IGNORE if label == IGNORE else token_id
