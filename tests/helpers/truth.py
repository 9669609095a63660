"""Which characters each token holds, worked out without the tokenizer's offsets.

Slow and readable: the tokens are spelt out again and walked along the text.
"""

import re

from transformers.convert_slow_tokenizer import bytes_to_unicode

_BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


def characters_of_tokens(tokenizer, kind: str, text: str) -> list[set[int]]:
    """For every token of `tokenizer(text)` the indices of the characters that it holds, empty for special tokens."""
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    special = set(tokenizer.all_special_tokens)
    if kind == "wordpiece":
        held = _wordpiece(tokenizer, text)
    else:
        spell = _spell_bytes if kind.startswith("bytelevel") else _spell_pieces
        held = _walk(text, [spell(t) for t in tokens if t not in special], kind)
    held = iter(held)
    return [set() if t in special and t != tokenizer.unk_token else next(held) for t in tokens]


def _spell_bytes(token: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in token)


def _spell_pieces(token: str) -> bytes:
    if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def _walk(text: str, spelt: list[bytes], kind: str) -> list[set[int]]:
    """Bytes of tokens along the bytes of the text."""
    owner = [index for index, character in enumerate(text) for _ in character.encode()]
    # SentencePiece writes blanks and its own marker alike, and puts one in front of a text that begins with neither
    position = -1 if kind == "unigram" and text and text[0] not in " ▁" else 0
    encoded = text.replace("▁", " ").encode() if kind == "unigram" else text.encode()
    if kind == "unigram":
        owner = [index for index, character in enumerate(text.replace("▁", " ")) for _ in character.encode()]
    held = []
    for piece in spelt:
        start = max(position, 0)
        position += len(piece)
        assert encoded[start:position] == piece[start - (position - len(piece)) :], (text, piece)
        held.append({owner[i] for i in range(start, position)})
    assert position == len(encoded), text
    return held


def _wordpiece(tokenizer, text: str) -> list[set[int]]:
    """BERT: characters normalized one by one, cut into words, each word into its pieces."""
    backend = tokenizer.backend_tokenizer
    stream = [(c, index) for index, character in enumerate(text) for c in backend.normalizer.normalize_str(character)]
    words, word = [], []
    for c, index in stream:
        if c.isspace():
            words, word = words + [word], []
        elif len(backend.pre_tokenizer.pre_tokenize_str(f"a{c}a")) == 3:  # punctuation stands alone
            words, word = words + [word, [(c, index)]], []
        else:
            word.append((c, index))
    held = []
    words.append(word)
    for word in filter(None, words):
        pieces = backend.model.tokenize("".join(c for c, _ in word))
        position = 0
        for piece in pieces:
            length = len(word) if piece.value == tokenizer.unk_token else len(piece.value.removeprefix("##"))
            of_piece = [index for _, index in word[position : position + length]]
            # a character that the normalizer takes out of the middle of a token still lies in it
            held.append(set(range(min(of_piece), max(of_piece) + 1)))
            position += length
    return held


NAME = "Maria Hernandez"


def risky(tokenizer, ids):
    """Whether each token touches a name, by spelling the tokens out (a byte-level vocabulary, ASCII text)."""
    tokens = [tokenizer.decode([i]) for i in ids]
    text = "".join(tokens)
    marks = [False] * len(text)
    start = text.find(NAME)
    while start >= 0:
        marks[start : start + len(NAME)] = [True] * len(NAME)
        start = text.find(NAME, start + 1)
    position, touched = 0, []
    for token in tokens:
        touched.append(any(marks[position : position + len(token)]))
        position += len(token)
    return touched
