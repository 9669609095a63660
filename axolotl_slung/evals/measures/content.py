"""The words of a reference that only someone who knows the answer can say."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache

_LISTED = """
a an the this that these those some any no every each either neither both all few many much more most less least
such same other another own
i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we us
our ours ourselves they them their theirs themselves one oneself someone somebody something anyone anybody anything
everyone everybody everything nobody nothing none who whom whose which what whoever whatever whichever
am is are was were be been being do does did doing done have has had having will would shall should can could may
might must ought
and or nor but yet so if unless because since although though while whereas whether than as
about above across after against along among around at before behind below beneath beside besides between beyond by
despite down during except for from in inside into like near of off on onto out outside over past per through
throughout till to toward towards under until up upon via with within without
when where why how whenever wherever here there then now thus hence
not never ever also too very just only even still again already quite rather almost
s t d ll m re ve
"""
FUNCTION_WORDS = frozenset(_LISTED.split())
"""Closed classes of English: articles, pronouns, auxiliaries, conjunctions, prepositions and common adverbs."""


def words(text: str) -> set[str]:
    """The stems of the text's words, lower-cased. Function words are included."""
    return set(map(_stem, _spoken(text)))


def content(reference: str, *known: str) -> set[str]:
    """The stems of the reference's words, less function words and the words of the texts in `known`."""
    spoken = (word for word in _spoken(reference) if word not in FUNCTION_WORDS)
    return set(map(_stem, spoken)).difference(*map(words, known))


def recall(wanted: set[str], completion: str) -> float:
    """The share of the wanted stems that the completion has; NaN if none are wanted."""
    return len(wanted & words(completion)) / len(wanted) if wanted else math.nan


def _spoken(text: str) -> list[str]:
    # composed, because a combining accent would end a word
    return re.findall(r"\w+", unicodedata.normalize("NFC", text).lower())


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return _stemmer().stem(word)


@lru_cache
def _stemmer():
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
