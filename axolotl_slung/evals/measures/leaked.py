"""Which texts of a list an answer holds."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Listed:
    """Finds texts of a list in other texts.

    Case and the kind and number of blanks do not count. A text that begins or ends with a letter or digit has to begin or
    end there: "Mariana" does not hold "Maria".
    """

    def __init__(self, texts: Iterable[str]):
        plain = {_plain(text) for text in texts} - {""}
        self._patterns = {text: _pattern(text) for text in sorted(plain)}

    def __len__(self) -> int:
        return len(self._patterns)

    def found(self, text: str) -> set[str]:
        """The texts of the list that `text` holds, in lower case."""
        plain = _plain(text)
        return {its for its, pattern in self._patterns.items() if its in plain and pattern.search(plain)}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _pattern(text: str) -> re.Pattern[str]:
    start = r"(?<!\w)" if re.match(r"\w", text) else ""
    end = r"(?!\w)" if re.search(r"\w\Z", text) else ""
    return re.compile(start + re.escape(text) + end)
