"""The characters that each token holds, where a tokenizer's own offsets are not quite that.

Two kinds of fast tokenizers need mending:

- byte-level ones may leave the space of ` word` out of its offsets (`trim_offsets`), so that a span over just that
  space would touch no token;
- SentencePiece-like ones give the blank that they put before a text the offsets of its first character, and give each
  byte token of several unknown characters the offsets of all of them.
"""

from __future__ import annotations

import copy
import json

import numpy as np
from tokenizers import Tokenizer

_BLANK = "\u2581"


class Offsets:
    """Tokenises, with exact offsets.

    Args:
        tokenizer: a fast tokenizer of Transformers. It is copied, and never changed.

    Attributes:
        tokenizer: the copy.
    """

    def __init__(self, tokenizer):
        self.tokenizer = copy.deepcopy(tokenizer)
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        if _untrim(state):
            self.tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))
        vocabulary = tokenizer.get_vocab()
        byte_tokens = {vocabulary[token]: byte for byte in range(256) if (token := f"<0x{byte:02X}>") in vocabulary}
        self._bytes = {token_id: bytes([byte]) for token_id, byte in byte_tokens.items()}
        # only these can have offsets that are not theirs
        self._suspects = np.array(sorted({*byte_tokens, *filter(None, [vocabulary.get(_BLANK)])}), dtype=np.int64)

    def __call__(self, text: str, **kwargs):
        """The tokenizer's encoding of `text`, with `offset_mapping`: the characters `[start, end)` of each token."""
        encoding = self.tokenizer(text, return_offsets_mapping=True, **kwargs)
        ids = encoding["input_ids"]
        if len(self._suspects) and np.isin(ids, self._suspects).any():
            walked = self._walk(text, ids, encoding["offset_mapping"])
            if walked is not None:
                encoding["offset_mapping"] = walked
        return encoding

    def _walk(self, text, ids, offsets):
        """Offsets by spelling the tokens out along the text, or None where they do not spell it.

        (Normalisers that change the text make the difference; the tokenizer's own offsets then hold more characters
        than they should, and never fewer.)
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
                piece = piece[1:]  # put there by the tokenizer
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
    """Set every `trim_offsets` in a tokenizer's description to false; whether any was true."""
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
