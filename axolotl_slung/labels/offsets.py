"""Finds the exact characters of each token. The tokenizer's own offsets are not always exact.

The offsets of two kinds of fast tokenizers need fixing:

- Byte-level tokenizers may leave the space of ` word` out of its offsets (`trim_offsets`). A span over only that space
  would then touch no token.
- SentencePiece-like tokenizers add a blank before a text and give it the offsets of the first character. They also give
  each byte token of several unknown characters the offsets of all these characters.

If byte-level tokens spell the text byte for byte, the offsets follow from the tokens' lengths (`byte_level.py`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import BatchEncoding

from .byte_level import ByteLevel

_BLANK = "\u2581"


class Offsets:
    """Tokenizes like a given tokenizer and returns the exact characters of each token.

    Args:
        tokenizer: a fast tokenizer of Transformers. It is copied and not changed.

    Attributes:
        tokenizer: the copy, which gives the same answers.
        untrimmed: a tokenizer with the same ids whose offsets include all blanks.
        byte_level: the rules of a byte-level tokenizer; None for other kinds.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer = copy.deepcopy(tokenizer)
        self.untrimmed = self.tokenizer
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        if _untrim(state.get("post_processor")):
            self.untrimmed = copy.deepcopy(tokenizer)
            self.untrimmed._tokenizer = Tokenizer.from_str(json.dumps(state))
        vocabulary = tokenizer.get_vocab()
        byte_tokens = {vocabulary[token]: byte for byte in range(256) if (token := f"<0x{byte:02X}>") in vocabulary}
        self._bytes = {token_id: bytes([byte]) for token_id, byte in byte_tokens.items()}
        self.byte_level = ByteLevel.of(self.tokenizer)
        self._last: tuple | None = None
        self._added = np.array(sorted(tokenizer.added_tokens_decoder), dtype=np.int64)
        self._suspects = frozenset({*byte_tokens, *filter(None, [vocabulary.get(_BLANK)])})

    def __call__(self, text: str, **kwargs):
        """The tokenizer's answer and the characters of each token.

        Args:
            text: one text.
            kwargs: as for the tokenizer. With `return_offsets_mapping` the answer has the tokenizer's own offsets.

        Returns:
            `(encoding, offsets)`: a `BatchEncoding`, and the characters `[start, end)` of each token, as a list of
            pairs or an int64 array `[tokens, 2]`.
        """
        own = kwargs.pop("return_offsets_mapping", False)
        asked = (text, *sorted(kwargs.items(), key=lambda item: item[0]))
        if self._last is None or self._last[0] != asked:
            self._last = (asked, self._answered(text, **kwargs))
        ids, encoding, offsets = self._last[1]
        if encoding is None:
            return self.byte_level.answer(text, ids, offsets if own else None, **kwargs), offsets
        data = {key: list(encoding[key]) for key in encoding if own or key != "offset_mapping"}
        return BatchEncoding(data, encoding=encoding.encodings), offsets

    def _answered(self, text: str, **kwargs):
        """Token ids, the tokenizer's full answer (None if it was not called), and exact offsets."""
        if self.byte_level and (spelt := self.byte_level.spelt(text, **kwargs)) is not None:
            ids, offsets = spelt
            return ids, None, offsets
        encoding = self.tokenizer(text, return_offsets_mapping=True, **kwargs)
        offsets = self.exact(text, encoding["input_ids"], encoding["offset_mapping"])
        if offsets is None:
            offsets = self.untrimmed(text, return_offsets_mapping=True, **kwargs)["offset_mapping"]
        return encoding["input_ids"], encoding, offsets

    def __getstate__(self):
        # `datasets` hashes this object to name its cache files
        return {**self.__dict__, "_last": None}

    def has_suspects(self, ids: Iterable[int]) -> bool:
        """Whether any of the token ids may have inexact offsets."""
        return not self._suspects.isdisjoint(ids)

    def exact(self, text: str, ids: Sequence[int], offsets: Any) -> Any:
        """Exact offsets from a tokenizer's own, or None if only the untrimmed tokenizer can give them."""
        if self.byte_level and (found := self.byte_level.offsets(text, ids)) is not None:
            return found
        if self.untrimmed is not self.tokenizer:
            return None
        if self.has_suspects(ids):
            if (quick := self._walk_quickly(text, ids, offsets)) is not None:
                return quick
            return self._walk(text, ids, offsets) or offsets
        return offsets

    def _walk_quickly(self, text, ids, offsets):
        """A faster `_walk` for tokenizers that add blanks only at the beginning and after special tokens.

        Returns int64 `[tokens, 2]`, or None for other tokenizers.
        """
        walked = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets)).reshape(-1, 2)
        (spelt,) = np.nonzero(walked[:, 0] != walked[:, 1])
        ids = np.asarray(ids, dtype=np.int64)[spelt]
        encoded = text.replace(_BLANK, " ").encode()
        pieces = [self._bytes.get(i) or self._spell(i) for i in ids.tolist()]
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        ends, removed = np.cumsum(lengths), 0
        for index in [0, *(np.flatnonzero(np.isin(ids[:-1], self._added)) + 1).tolist()]:
            if index < len(pieces) and pieces[index].startswith(b" "):
                position = int(ends[index] - lengths[index]) - removed
                if encoded[position : position + 1] != b" ":
                    pieces[index], removed = pieces[index][1:], removed + 1
        if b"".join(pieces) != encoded:
            return None
        ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if len(encoded) != len(text):
            owner = np.cumsum((np.frombuffer(encoded, np.uint8) & 0xC0) != 0x80) - 1
            owner = np.append(owner, len(text))
            starts, ends = owner[starts], np.where(ends > starts, owner[ends - 1] + 1, owner[starts])
        walked[spelt, 0], walked[spelt, 1] = starts, ends
        return walked

    def _walk(self, text, ids, offsets):
        """Offsets from matching the tokens' bytes along the text, or None if they do not spell it.

        They do not spell it if a normalizer changes the text. The tokenizer's own offsets may then contain too many
        characters, but never too few.
        """
        encoded = text.replace(_BLANK, " ").encode()
        owner = np.repeat(np.arange(len(text)), [len(c.encode()) for c in text.replace(_BLANK, " ")])
        owner = np.append(owner, len(text)).tolist()
        walked, position = [], 0
        for token_id, (start, end) in zip(ids, offsets):
            if start == end:
                walked.append((start, end))
                continue
            piece = self._spell(token_id)
            if piece.startswith(b" ") and encoded[position : position + 1] != b" ":
                piece = piece[1:]  # a blank added by the tokenizer
            if encoded[position : position + len(piece)] != piece:
                return None
            following = position + len(piece)
            walked.append((owner[position], owner[following - 1] + 1 if piece else owner[position]))
            position = following
        return walked

    def _spell(self, token_id) -> bytes:
        if token_id not in self._bytes:
            self._bytes[token_id] = self.tokenizer.convert_ids_to_tokens(token_id).replace(_BLANK, " ").encode()
        return self._bytes[token_id]


def _untrim(state) -> bool:
    """Set every `trim_offsets` in a tokenizer's description to false. Returns whether any was true."""
    changed = False
    if isinstance(state, dict):
        if state.get("trim_offsets"):
            state["trim_offsets"] = False
            changed = True
        state = list(state.values())
    if isinstance(state, list):
        for child in state:
            changed = _untrim(child) or changed
    return changed
