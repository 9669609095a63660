"""Make invisible characters visible."""

from __future__ import annotations

from functools import cache

# The same expression is in page_documents.js. It matches control, format and surrogate characters, all white space but
# the plain space, and characters that fonts draw as nothing.
_HIDDEN = r"(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]"
_SIGNS = {"\n": "⏎", "\t": "⇥"}


def visible(text: str) -> str:
    """Replace each character that is invisible, or moves or reorders others, with a sign such as ⟨U+202E⟩.

    The result is one line without control characters and surrogates. A terminal can show it and a file can store it.
    """
    if text.isascii() and text.isprintable():
        return text
    return _hidden().sub(lambda hit: _SIGNS.get(hit[0]) or f"⟨U+{ord(hit[0]):04X}⟩", text)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: it has only white space and invisible characters."""
    return not text.strip() or not _hidden().sub("", text).strip(" ")


@cache
def _hidden():
    import regex  # 40 ms, and most messages are printable ASCII

    return regex.compile(_HIDDEN)
