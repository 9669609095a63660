"""Multiple choice: is the right answer likelier than wrong answers of the same kind?

Names decide nothing. The wrong answers have the name of the person asked about (`others.py`), and tokens of names are
not scored: they are only context of the text after them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from .names import Names


def options(doc: Mapping) -> list[str]:
    """The right answer, and after it the wrong ones."""
    return [doc["answer"], *(other["answer"] for other in doc["others"])]


def parts(option: str, names: Names) -> list[tuple[str, str]]:
    """What is scored of an option: `(before, part)` for each stretch of text between names.

    A part begins and ends without spaces and has a letter or a digit. `before` is the option's text up to the part.
    """
    found, start = [], 0
    for begin, end in [*names.spans(option), (len(option), len(option))]:
        part = option[start:begin]
        if re.search(r"\w", part):
            first = start + len(part) - len(part.lstrip())
            found.append((option[:first], part.strip()))
        start = end
    return found


def right(doc: Mapping, names: Names, log_likelihoods: Sequence[float]) -> float:
    """1.0 if the right answer has the highest log-likelihood per scored character, and 0.0 if not. A tie is 0.0.

    Args:
        doc: a document with `answer` and `others`.
        names: the names that are not scored.
        log_likelihoods: in nats, of all parts of all options, in their order.
    """
    scores, done = [], 0
    for option in options(doc):
        scored = parts(option, names)
        length = sum(len(part) for _, part in scored)
        total = math.fsum(log_likelihoods[done : done + len(scored)])
        scores.append(total / length)
        done += len(scored)
    return float(all(scores[0] > score for score in scores[1:]))
