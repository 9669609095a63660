"""The truth about chat rows: stock Axolotl's output and the bytes of tokens.

Nothing here knows how the plugin follows text through a template.
"""

import functools
import html
import json
import re

from transformers.convert_slow_tokenizer import bytes_to_unicode

from helpers.chats import NAMES, PHRASES, QUOTED

CODES_BELOW = -100
"""A label below this one carries a token id and the number of its bucket."""

_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


def spelt(tokenizer, ids) -> list[bytes]:
    """Each token in bytes, from its name in the vocabulary: byte-level, or SentencePiece with byte fallback."""
    whole = {token_id: str(token).encode() for token_id, token in tokenizer.added_tokens_decoder.items()}
    bytelevel = type(tokenizer.backend_tokenizer.decoder).__name__ == "ByteLevel"
    spell = _spelt_bytes if bytelevel else _spelt_piece
    return [whole[i] if i in whole else spell(token) for i, token in zip(ids, tokenizer.convert_ids_to_tokens(ids))]


def _spelt_bytes(token: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in token)


def _spelt_piece(token: str) -> bytes:
    if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def forms(phrase: str) -> set[str]:
    """How a template may write a phrase: as it is, on one line, and in the escapes of JSON, of Python and of HTML."""
    found = {phrase, phrase.replace("\n", " ")}
    for _ in range(2):
        found |= {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in found for ascii in (True, False)}
    found |= {
        repr(phrase)[1:-1],
        html.escape(phrase),
        html.escape(phrase).replace("&quot;", "&#34;"),
        html.escape(phrase, quote=False),
    }
    found |= {text.replace('"', "\\u0022") for text in found}
    return found


@functools.lru_cache
def _any_form(phrases: tuple[str, ...]) -> re.Pattern:
    every = sorted({form for phrase in phrases for form in forms(phrase)}, key=len, reverse=True)
    # a template may put line breaks or blanks in place of a blank
    return re.compile("|".join(r"\s+".join(map(re.escape, form.split())) for form in every), re.IGNORECASE)


def ranges(text: str, phrases: tuple[str, ...]) -> list[tuple[int, int]]:
    """Character ranges of every occurrence of the phrases in any form."""
    return [match.span() for match in _any_form(phrases).finditer(text)]


PIECES = (
    *(
        piece
        for phrase in (*NAMES, *PHRASES)
        for piece in (phrase[1:], *(phrase.splitlines() if "\n" in phrase else ()))
    ),
    QUOTED.replace("\n", "\n    "),
)
"""What templates that cut texts leave of a phrase: these tokens may be masked, and need not."""


def risky_tokens(tokenizer, ids, phrases=(*NAMES, *PHRASES)) -> list[bool]:
    """Whether each token overlaps an occurrence of a phrase in the rendered text."""
    pieces = spelt(tokenizer, ids)
    text = b"".join(pieces).decode()
    marked = bytearray(len(text.encode()))
    for start, end in ranges(text, phrases):
        first = len(text[:start].encode())
        length = len(text[start:end].encode())
        marked[first : first + length] = b"\x01" * length
    risky, position = [], 0
    for piece in pieces:
        risky.append(any(marked[position : position + len(piece)]))
        position += len(piece)
    return risky


def quote(tokenizer, ids, chosen) -> str:
    """The chosen tokens as text, runs apart, for a message of a test."""
    runs, last = [], -2
    for index in chosen:
        if index != last + 1:
            runs.append(b"")
        runs[-1] += spelt(tokenizer, [ids[index]])[0]
        last = index
    return " | ".join(repr(run.decode(errors="replace")) for run in runs)


def token_of(code: int) -> int:
    """The token id in a label below -100 (documented in `axolotl_slung/labels/codec.py`)."""
    return (-101 - code) >> 37


def differences(tokenizer, stock: dict, ours: dict) -> list[str]:
    """What is wrong with a row: [] where its ids are stock's, risky tokens masked, and every other label stock's."""
    ids = stock["input_ids"]
    if ours["input_ids"] != ids or ours["attention_mask"] != stock["attention_mask"]:
        return ["the token ids are not stock's"]
    trained, untrained, wrong = [], [], []
    risky, pieces = risky_tokens(tokenizer, ids), risky_tokens(tokenizer, ids, PIECES)
    for index, (token, plain, label) in enumerate(zip(ids, stock["labels"], ours["labels"], strict=True)):
        if plain == -100 or not risky[index]:
            if label != plain and not (pieces[index] and plain != -100 and label <= -100):
                (untrained if plain != -100 else wrong).append(index)
        elif label >= 0:
            trained.append(index)
        elif label < CODES_BELOW and token_of(label) != token:
            wrong.append(index)
    said = {"risky and trained": trained, "harmless and not trained": untrained, "a label of its own": wrong}
    return [f"{what}: {quote(tokenizer, ids, which)}" for what, which in said.items() if which]
