"""Which words are risky. Counts whole words in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import regex

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]+(?:['’-][\p{L}\p{M}\p{N}_]+)*")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")

LONGEST = 64
"""Number of characters of a word that are kept."""


def words_of(tokens: Sequence[str], risky: np.ndarray) -> Iterator[tuple[str, bool]]:
    """The words of a document in lowercase, each with whether any of its tokens is risky.

    The tokens' characters are joined unchanged, so a character that two tokens share must be in only one of them. In
    scripts without spaces, a run of letters can be a whole sentence. There it is cut where risk begins and ends.

    Args:
        tokens: the characters of each token.
        risky: bool `[tokens]`.
    """
    text = "".join(tokens)
    of_char = np.repeat(np.asarray(risky, dtype=bool), [len(token) for token in tokens])
    before = np.concatenate([[0], np.cumsum(of_char)]).tolist()
    for match in _WORD.finditer(text):
        start, end = match.span()
        cuts = [start, end]
        if before[start] < before[end] < before[start] + end - start and _UNSPACED.search(text, start, end):
            cuts[1:1] = (np.flatnonzero(np.diff(of_char[start:end])) + start + 1).tolist()
        for low, high in pairwise(cuts):
            yield text[low : min(high, low + LONGEST)].lower(), before[high] > before[low]


class WordCounts:
    """Counts words, in all and where they are risky.

    Args:
        limit: most words to store. If there are more, the rarer half is dropped. After that, counts may be too low by
            up to `missed`.

    Attributes:
        missed: the most that any count can be too low by; 0 if nothing was dropped.
    """

    def __init__(self, limit: int = 200_000):
        self.limit = limit
        self.missed = 0
        self._risky: Counter[str] = Counter()
        self._all: Counter[str] = Counter()

    def add(self, tokens: Sequence[str], risky: np.ndarray) -> None:
        """Count a document's words; see `words_of`."""
        for word, is_risky in words_of(tokens, risky):
            self._all[word] += 1
            if is_risky:
                self._risky[word] += 1
        for counter in (self._risky, self._all):
            if len(counter) > self.limit:
                self._forget(counter)

    def _forget(self, counter: Counter) -> None:
        ranked = counter.most_common()
        self.missed += ranked[self.limit // 2][1]
        counter.clear()
        counter.update(dict(ranked[: self.limit // 2]))

    def top(self, number: int = 40) -> dict:
        """The words that are risky most often, and the most telling ones.

        A sentence classifier makes every word of a sentence risky, most often `the`. `telling` therefore ranks words by
        how much more often they are risky than their share of the text explains (Dunning's log-likelihood, 1993).

        Returns:
            `frequent` and `telling`, each a list of `{word, risky, total}`, and `missed`.
        """
        risky, total = self._risky.total(), max(self._all.total(), self._risky.total())
        rows = [(word, of_word, max(self._all[word], of_word)) for word, of_word in self._risky.items()]
        frequent = sorted(rows, key=lambda row: (-row[1], row[0]))
        scored = [(_log_likelihood(*row[1:], risky, total), row) for row in rows]
        scored.sort(key=lambda pair: (-pair[0], pair[1][0]))
        ranked = {"frequent": frequent[:number], "telling": [row for score, row in scored[:number] if score > 0]}
        keys = ("word", "risky", "total")
        return {name: [dict(zip(keys, row)) for row in best] for name, best in ranked.items()} | {"missed": self.missed}


def _log_likelihood(of_word: int, in_all: int, risky: int, total: int) -> float:
    """Dunning's G2 of a word that is risky `of_word` times of `in_all`; 0 if it is risky less often than others."""
    if of_word * total <= in_all * risky:
        return 0.0
    # cells of the table (risky or not) x (the word or another): count, row total, column total
    others, other_risky = total - in_all, risky - of_word
    cells = (
        (of_word, in_all, risky),
        (in_all - of_word, in_all, total - risky),
        (other_risky, others, risky),
        (others - other_risky, others, total - risky),
    )
    return 2 * sum(seen * math.log(seen * total / (row * column)) for seen, row, column in cells if seen > 0)
