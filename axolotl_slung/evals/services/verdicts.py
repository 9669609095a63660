"""Reads a judge's verdict out of its reply.

A verdict counts only where a person would not hesitate. The prompt's own words ("Correct answer: ...") and text that goes
on with the candidate's answer ("Yes, in recognition of ...") are never a verdict.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

WORDS = {"correct": ("correct", "incorrect"), "relevant": ("yes", "no")}
"""The two words of each question, the positive one first."""


class Read(NamedTuple):
    """What a reply says: its verdict word, or "" and the kind of the reply."""

    word: str
    kind: str = ""


_THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPEN_THOUGHT = re.compile(r"<(think|thinking|reasoning)>|<\|channel\|>(analysis|commentary)", re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"^.*</(think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_FINAL = re.compile(r"^.*<\|channel\|>final<\|message\|>", re.DOTALL)
_FENCE = re.compile(r"^\s*```\w*\s*(.*?)\s*(```.*)?$", re.DOTALL)
_BOXED = re.compile(r"^[\s$*]*\\boxed\{\s*(?:\\text\{)?([^{}]*)\}", re.DOTALL)
_ECHO = re.compile(r"(question|candidate response|correct answer|given a question)\b", re.IGNORECASE)

_SIGNS = r"""[\s*_"'“”‘’`#>]*"""
_LABEL = re.compile(
    rf"{_SIGNS}(?:my |the |final )*(?:answer|verdict|assessment|judge?ment|grade|rating|evaluation|result|response|output|"
    rf"correct or incorrect|yes or no)(?: is)?{_SIGNS}(?:[:=\n]|(?<= is)){_SIGNS}",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"""[*_"'“”‘’`)\]]*\s*(?:[,:—–-]?\s*$|[.!;)\n]|\*\*)""")
_EXPLAINED = re.compile(
    r"""[*_"'“”‘’`\s,:—–\-(]+(?<![*_`])(?:because|since|as|due to|given that|it|its|this|that|there|both|i|explanation|reason\w*|
    (?:the|this|that)\s+(?:candidate|response|answer|model|given|provided|text|information|only|key|main)|
    candidate|neither|none)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE = re.compile(
    rf"{_SIGNS}(?:i (?:would|'d) say (?:that )?)?(?:(?:the|this) )?(?:candidate(?:'s|’s)? )?(?:response|answer) is "
    rf"(?P<sign>not )?{_SIGNS}(?P<word>correct|incorrect)\b(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LACKS = re.compile(
    rf"{_SIGNS}(?:the )?(?:candidate(?:'s|’s)? )?(?:response|answer) (?:does not|doesn['’]t|fails to) "
    r"(?:contain|include|provide|mention)\b|"
    rf"{_SIGNS}(?:the )?(?:candidate(?:'s|’s)? )?(?:response|answer) (?:contains|includes|provides) no\b",
    re.IGNORECASE,
)
_CONTAINS = re.compile(
    rf"{_SIGNS}(?:the )?(?:candidate(?:'s|’s)? )?(?:response|answer) (?:contains|includes|provides) "
    r"(?:the|some|relevant|one|part)\b",
    re.IGNORECASE,
)


def read(reply: str | None, question: str, cut_off: bool = False) -> Read:
    """Read a reply.

    Args:
        reply: the judge's text; None if the service sent none.
        question: a key of `WORDS`.
        cut_off: whether the reply ended at its longest length.
    """
    text = _spoken(reply or "")
    if text is None:
        return Read("", "only thoughts")
    if not text.strip():
        return Read("", "empty, cut off" if cut_off else "empty")
    word = _of_json(text, question) if text.lstrip().startswith("{") else _word(text, question)
    return Read(word) if word else Read("", _kind(text, cut_off))


def _spoken(reply: str) -> str | None:
    """The reply without its thoughts and fences; None if it ends within a thought."""
    text = _FINAL.sub("", _THOUGHT.sub("", reply))
    if _OPEN_THOUGHT.search(text):
        return None
    text = _END_OF_THOUGHT.sub("", text)  # templates may open the thought in the prompt
    fence = _FENCE.match(text)
    text = fence[1] if fence else text
    boxed = _BOXED.match(text)
    return boxed[1] if boxed else text


def _word(text: str, question: str) -> str:
    positive, negative = WORDS[question]
    while (label := _LABEL.match(text)) and label.end() > 0:
        text = text[label.end() :]
    first = re.match(rf"{_SIGNS}({positive}|{negative})(?![\w/|])", text, re.IGNORECASE)
    if first:
        rest = text[first.end() :]
        return first[1].lower() if _ends(rest) and not _contradicts(rest, question, first[1].lower()) else ""
    sentence = _SENTENCE.match(text)
    if sentence and question == "correct":
        if not _ends(sentence["rest"]) or _contradicts(sentence["rest"], question, sentence["word"].lower()):
            return ""
        if sentence["sign"]:
            return negative if sentence["word"].lower() == positive else ""
        return sentence["word"].lower()
    if _LACKS.match(text):
        return negative
    return positive if question == "relevant" and _CONTAINS.match(text) else ""


def _ends(rest: str) -> bool:
    """Whether a verdict ends here: at a closing sign, or before an explanation."""
    return bool(_CLOSING.match(rest) or _EXPLAINED.match(rest))


def _contradicts(rest: str, question: str, word: str) -> bool:
    """Whether the next word is the other verdict."""
    after = re.search(r"\w+", rest)
    return after is not None and after[0].lower() in WORDS[question] and after[0].lower() != word


def _of_json(text: str, question: str) -> str:
    """The verdict word that is a whole value of a JSON object, if it is the only one."""
    try:
        values = json.JSONDecoder().raw_decode(text.lstrip())[0].values()
    except (ValueError, RecursionError):
        return ""
    booleans = dict(zip((True, False), WORDS[question]))
    words = {booleans[value] if isinstance(value, bool) else str(value).strip(" .").lower() for value in values}
    found = words & set(WORDS[question])
    return found.pop() if len(found) == 1 else ""


def _kind(text: str, cut_off: bool) -> str:
    start = text.lstrip(" \n*_\"'`#>")
    if start.startswith("{"):
        return "JSON without a verdict"
    if _ECHO.match(start):
        return "the prompt's words"
    return "cut off" if cut_off else "other words"
