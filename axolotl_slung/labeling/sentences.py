"""Texts into sentences, as spans of characters."""

from __future__ import annotations

from collections.abc import Sequence

from .base import LabelerError, utf8_safe

# what blingfire counts as white space, which is not quite what Python does
_WHITE = "".join(map(chr, [*range(0x21), 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060, 0x2420, 0x2424]))
_WHITE += "\u3000\ufeff"

def _blingfire(text: str) -> list[tuple[int, int]]:
    import blingfire

    if not text:
        return []
    sentences, spans = blingfire.text_to_sentences_and_offsets(text)
    if sentences:
        return spans
    # of a text of white space alone blingfire returns no sentence, but a made-up span; of a text it cannot
    # take (a gigabyte or more) it returns neither
    if text.strip(_WHITE):
        raise LabelerError(
            f"slung.sentence_splitter: blingfire cannot split a text of {len(text)} characters; cut it into "
            "smaller ones"
        )
    return []


SPLITTERS = {"blingfire": _blingfire}


def split(texts: Sequence[str], splitter: str = "blingfire") -> list[list[tuple[int, int]]]:
    """Split texts into sentences.

    Args:
        texts: any Unicode; a lone surrogate counts as one ordinary character.
        splitter: a key of `SPLITTERS`. `blingfire` cuts as Dolma's taggers do.

    Returns:
        For each text the characters `[start, end)` of its sentences: in order, not overlapping, each with at
        least one character. A sentence begins at a character that is not white space; it may end with some.
        Every character outside the sentences is white space (blingfire's notion of it, which has U+200B to
        U+200F, U+2420 and U+2424 too). A text of white space has no sentences.

    Raises:
        LabelerError: a text of a gigabyte or more.
    """
    return [SPLITTERS[splitter](utf8_safe(text)) for text in texts]
