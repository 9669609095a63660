"""Several labelers over one batch of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import Labeler, Span


def clean(text: str) -> str:
    """`text` with lone surrogates replaced one for one by U+FFFD: no tokenizer or C library takes them."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def annotate(
    labelers: Sequence[Labeler], texts: Sequence[str], rows: Sequence[Mapping]
) -> list[list[Span]]:
    """The spans of every text by all labelers together; see `Labeler.label` for the arguments and errors.

    Spans may overlap: a character's score is the maximum over them (`tokens.char_scores`).
    """
    by_labeler = [labeler.label(texts, rows) for labeler in labelers]
    return [[span for found in spans for span in found] for spans in zip(*by_labeler)]
