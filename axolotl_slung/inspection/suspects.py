"""What looks like personal data or a secret and is trained all the same, because no labeler found it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import regex

from ..labels.buckets import Action, Bucket
from ..labels.documents import LabeledDocument
from .effects import effects

KINDS = {
    "address or handle": regex.compile(r"(?<![\w.+-])[\w.+-]*+@[\w.-]*\w"),
    # with a digit and a letter, too long for a word; or a known prefix
    "key": regex.compile(
        r"-----BEGIN [A-Z ]+-----|\b(?:sk|pk|ghp|gho|xox[abp]|AKIA|ASIA|AIza)[-_]?[A-Za-z0-9_-]{12,}"
        r"|\b(?=[A-Za-z0-9+/_-]*\d)(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{20,}={0,2}"
    ),
    "digits": regex.compile(r"\d(?:[ ./()-]?\d){3,}"),
    # not the first word of a sentence
    "capitals": regex.compile(
        r"(?<=[\p{Ll}\d,;:)] )\p{Lu}(?:\.|[\p{L}'’-]*\p{L})(?: \p{Lu}(?:\.|(?:[\p{L}'’-]*\p{L})?))*"
    ),
}
"""What is looked for, in this order. A text counts for the first kind that it is.

It ends before the punctuation that follows it, which is trained also where the text is masked."""


class Suspect(NamedTuple):
    """A place in a document: tokens `[start, end)` and characters `[first, last)` of the joined tokens."""

    kind: str
    text: str
    start: int
    end: int
    first: int
    last: int


def suspects(document: LabeledDocument) -> list[Suspect]:
    """All suspicious places of a document, whatever its labels, in order."""
    text = "".join(document.tokens)
    ends = np.array(list(accumulate(map(len, document.tokens))), dtype=np.int64)
    taken = np.zeros(len(text), dtype=bool)
    found = []
    for kind, pattern in KINDS.items():
        for hit in pattern.finditer(text):
            if taken[hit.start() : hit.end()].any():
                continue
            taken[hit.start() : hit.end()] = True
            start, end = np.searchsorted(ends, (hit.start(), hit.end() - 1), side="right").tolist()
            found.append(Suspect(kind, hit[0], start, end + 1, hit.start(), hit.end()))
    return sorted(found, key=lambda suspect: suspect.first)


def untouched(documents: Sequence[LabeledDocument], buckets: Sequence[Bucket]) -> list[tuple[str, str, int]]:
    """`(kind, text, times)` of the places that are trained in part or whole: by kind, the most frequent first."""
    times: Counter[tuple[str, str]] = Counter()
    for document in documents:
        trained = (np.array(effects(document, buckets)) == Action.TRAIN.value) & (document.weight > 0)
        for suspect in suspects(document):
            place = slice(suspect.start, suspect.end)
            # what label_noise dropped was found
            if trained[place].any() and not (document.noises[place] == 1).any():
                times[suspect.kind, suspect.text] += 1
    order = list(KINDS)
    ranked = sorted(times.items(), key=lambda item: (order.index(item[0][0]), -item[1], item[0][1]))
    return [(kind, text, number) for (kind, text), number in ranked]
