"""Make invisible characters visible."""

from __future__ import annotations

import regex

# The same expression is in page_documents.js. It matches control, format and surrogate characters, all white space but
# the plain space, and characters that fonts draw as nothing.
_HIDDEN = regex.compile(r"(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]")
_SIGNS = {"\n": "⏎", "\t": "⇥"}


def visible(text: str) -> str:
    """Replace each character that is invisible, or moves or reorders others, with a sign such as ⟨U+202E⟩.

    The result has no control characters and no surrogates. A terminal can show it and a file can store it.
    """
    return _HIDDEN.sub(lambda hit: _SIGNS.get(hit[0]) or f"⟨U+{ord(hit[0]):04X}⟩", text)
