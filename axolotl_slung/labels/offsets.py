"""Finds the exact characters of each token. The tokenizer's own offsets are not always exact.

The offsets of two kinds of fast tokenizers need fixing:

- Byte-level tokenizers may leave the space of ` word` out of its offsets (`trim_offsets`). A span over only that space
  would then touch no token.
- SentencePiece-like tokenizers add a blank before a text and give it the offsets of the first character. They also give
  each byte token of several unknown characters the offsets of all these characters.

If byte-level tokens spell the text byte for byte, the offsets follow from the tokens' lengths. The tokenizer then need
not compute them, which saves a quarter of its time.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import BatchEncoding
from transformers.convert_slow_tokenizer import bytes_to_unicode

_BLANK = "\u2581"


_PROBES = (
    "a",
    " a  b\n\n c\t",
    "  Über naïve\u00a0 \U0001f600\U0001f600 \u4e2d\u6587  \u2003x \r\n  ",
    "\u3000\u0301a \ufffd  \n",
)


class Spelt(BatchEncoding):
    """The encoding of a text that its tokens spell. The full encodings are computed on first use.

    Attributes:
        ask: returns the tokenizer's full answer.
    """

    ask: Callable[[], BatchEncoding] | None = None
    _known = None

    @property
    def _encodings(self):
        if self._known is None and self.ask is not None:
            self._known = self.ask().encodings
        return self._known

    @_encodings.setter
    def _encodings(self, encodings):
        self._known = encodings


class Offsets:
    """Tokenizes like a given tokenizer and returns the exact characters of each token.

    Args:
        tokenizer: a fast tokenizer of Transformers. It is copied and not changed.

    Attributes:
        tokenizer: the copy, which gives the same answers.
        untrimmed: a tokenizer with the same ids whose offsets include all blanks.
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
        self._pieces = _byte_pieces(tokenizer, state)
        self._lengths = None if self._pieces is None else np.array([len(piece) for piece in self._pieces])
        self._around = _around(tokenizer) if self._pieces is not None else ([], [])
        self._last: tuple | None = None
        self._trims = (
            None if self._pieces is None else _trims(tokenizer, json.loads(tokenizer.backend_tokenizer.to_str()))
        )
        self._own_known = self._pieces is not None and self._own_as_asked()
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
            answer = Spelt({"input_ids": list(ids), "attention_mask": [1] * len(ids)}, n_sequences=1)
            answer.ask = partial(self.tokenizer, text, **kwargs)
            if own:
                answer["offset_mapping"] = self._own(ids, offsets)
            return answer, offsets
        data = {key: list(encoding[key]) for key in encoding if own or key != "offset_mapping"}
        return BatchEncoding(data, encoding=encoding.encodings), offsets

    def _answered(self, text: str, **kwargs):
        """Token ids, the tokenizer's full answer (None if it was not called), and exact offsets."""
        if self._own_known and (spelt := self._spelt(text, **kwargs)) is not None:
            ids, offsets = spelt
            return ids, None, offsets
        encoding = self.tokenizer(text, return_offsets_mapping=True, **kwargs)
        offsets = self.exact(text, encoding["input_ids"], encoding["offset_mapping"])
        if offsets is None:
            offsets = self.untrimmed(text, return_offsets_mapping=True, **kwargs)["offset_mapping"]
        return encoding["input_ids"], encoding, offsets

    def _own(self, ids, offsets: np.ndarray) -> list[tuple[int, int]]:
        """The offsets that the tokenizer itself would give for a text that its tokens spell."""
        starts, ends = offsets[:, 0], offsets[:, 1]
        if self._trims is not None:
            before, after, prefixed = self._trims
            leading, trailing = before[ids], after[ids]
            if prefixed:
                # one blank at the very beginning counts as added by the tokenizer
                leading = np.where((starts == 0) & (leading == 1), 0, leading)
            starts = np.minimum(starts + leading, ends)
            ends = np.where(ends >= trailing, np.maximum(ends - trailing, starts), ends)
        return list(zip(starts.tolist(), ends.tolist()))

    def _own_as_asked(self) -> bool:
        """Whether `_own` equals the tokenizer's own offsets on the probe texts, which cover all known differences."""
        for text in _PROBES:
            for special in (False, True):
                asked = self.tokenizer(text, return_offsets_mapping=True, add_special_tokens=special)
                offsets = self._by_length(text, asked["input_ids"])
                if offsets is not None and self._own(asked["input_ids"], offsets) != list(
                    map(tuple, asked["offset_mapping"])
                ):
                    return False
        return True

    def __getstate__(self):
        # `datasets` hashes this object to name its cache files
        return {**self.__dict__, "_last": None}

    def has_suspects(self, ids: Iterable[int]) -> bool:
        """Whether any of the token ids may have inexact offsets."""
        return not self._suspects.isdisjoint(ids)

    def exact(self, text: str, ids: Sequence[int], offsets: Any) -> Any:
        """Exact offsets from a tokenizer's own, or None if only the untrimmed tokenizer can give them."""
        if self._pieces is not None and (found := self._by_length(text, ids)) is not None:
            return found
        if self.untrimmed is not self.tokenizer:
            return None
        if self.has_suspects(ids):
            if (quick := self._walk_quickly(text, ids, offsets)) is not None:
                return quick
            return self._walk(text, ids, offsets) or offsets
        return offsets

    def _spelt(self, text: str, truncation=None, max_length=None, add_special_tokens=True, **others):
        """Ids and offsets of a text that its tokens spell; None for other texts and for unsupported options."""
        if any(others.values()) or truncation not in (None, False, True):
            return None
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        (encoding,) = self.tokenizer.backend_tokenizer.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        ids = encoding.ids
        if truncation and len(ids) > (max_length or self.tokenizer.model_max_length):
            return None
        offsets = self._by_length(text, ids)
        return None if offsets is None else (ids, offsets)

    def _by_length(self, text: str, ids):
        """The offsets of byte-level tokens, int64 `[tokens, 2]`; None if the tokens do not spell the text.

        Special tokens that the tokenizer puts around the text have no characters. They get `(0, 0)`, as in the
        tokenizer's own offsets.
        """
        data, pieces = text.encode(), self._pieces
        first, last = 0, len(ids)
        if b"".join([pieces[i] for i in ids]) != data:
            before, after = self._around
            first, last = len(before), len(ids) - len(after)
            around = ids[:first] == before and ids[last:] == after
            if not around or first >= last or b"".join([pieces[i] for i in ids[first:last]]) != data:
                return None
        ends = np.cumsum(self._lengths[np.fromiter(ids[first:last], np.int64, last - first)])
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        if len(data) != len(text):
            # the character that each byte belongs to
            owner = np.cumsum((np.frombuffer(data, np.uint8) & 0xC0) != 0x80) - 1
            starts, ends = owner[starts], owner[ends - 1] + 1
        offsets = np.zeros((len(ids), 2), dtype=np.int64)
        offsets[first:last, 0], offsets[first:last, 1] = starts, ends
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


def _byte_pieces(tokenizer, state) -> list[bytes] | None:
    """The bytes of each token of a byte-level tokenizer, by id."""
    byte_level = '"ByteLevel"' in json.dumps(state.get("pre_tokenizer"))
    inputs = set(tokenizer.model_input_names) <= {"input_ids", "attention_mask"}
    if not (byte_level and inputs and tokenizer.truncation_side == "right"):
        return None
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    added = {i: token.content.encode() for i, token in tokenizer.added_tokens_decoder.items()}
    vocabulary = {i: token for token, i in tokenizer.get_vocab().items()}
    pieces = []
    for i in range(max(vocabulary, default=-1) + 1):
        token = vocabulary.get(i, "")
        # a token with other characters matches no text; 0xFF occurs in no UTF-8
        spelt = bytes(byte_of[c] for c in token) if all(c in byte_of for c in token) else b"\xff"
        pieces.append(added.get(i, spelt))
    return pieces


def _trims(tokenizer, state) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """The number of blanks that a tokenizer's own offsets leave out at the start and at the end of each token.

    Returns:
        Two int64 arrays `[vocabulary]`, by token id, and whether a blank at the beginning of a text stays. None if the
        offsets leave out no blanks.
    """
    after = state.get("post_processor") or {}
    parts = [
        part for part in after.get("processors", [after]) if part.get("type") == "ByteLevel" and part["trim_offsets"]
    ]
    if not parts:
        return None
    [blank] = (character for byte, character in bytes_to_unicode().items() if byte == 0x20)
    spelt = dict.fromkeys(range(max(tokenizer.get_vocab().values()) + 1), "")
    spelt |= {i: token.replace(blank, " ") for token, i in tokenizer.get_vocab().items()}
    leading = np.array([len(token) - len(token.lstrip()) for token in spelt.values()], dtype=np.int64)
    trailing = np.array([len(token) - len(token.rstrip()) for token in spelt.values()], dtype=np.int64)
    return leading, trailing, any(part["add_prefix_space"] for part in parts)


def _around(tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after every text."""
    bare, whole = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return whole[:at], whole[at + len(bare) :]


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
