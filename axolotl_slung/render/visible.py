"""Characters that hide, made visible."""

from __future__ import annotations

import regex

# the same expression stands in page.js: control, format and surrogate characters, white space but the plain one, and
# what fonts draw as nothing
_HIDDEN = regex.compile(r"(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]")
_SIGNS = {"\n": "⏎", "\t": "⇥"}


def visible(text: str) -> str:
    """`text` with a sign for every character that hides, moves or reorders others, such as ⟨U+202E⟩.

    The result holds no control characters and no surrogates, so that a terminal can show it and a file can keep it.
    """
    return _HIDDEN.sub(lambda hit: _SIGNS.get(hit[0]) or f"⟨U+{ord(hit[0]):04X}⟩", text)
