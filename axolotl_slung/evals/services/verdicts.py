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


_TAG = r"(think|thinking|thought|reasoning|seed:think)>"
_THOUGHT = re.compile(
    rf"<{_TAG}.*?</\1>|\[THINK\].*?\[/THINK\]|<\|begin_of_thought\|>.*?<\|end_of_thought\|>|◁think▷.*?◁/think▷",
    re.DOTALL | re.IGNORECASE,
)
_OPEN_THOUGHT = re.compile(
    rf"<{_TAG}|\[THINK\]|<\|begin_of_thought\|>|◁think▷|<\|channel\|>(analysis|commentary)", re.IGNORECASE
)
_END_OF_THOUGHT = re.compile(rf"^.*(</{_TAG}|\[/THINK\]|<\|end_of_thought\|>|◁/think▷)", re.DOTALL | re.IGNORECASE)
_AROUND = re.compile(r"</?(answer|verdict|response|output|final)>|<\|(begin|end)_of_solution\|>", re.IGNORECASE)
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
_CLOSING = re.compile(r"""[*_"'“”‘’`)\]]*\s*(?:[,:—–-]?\s*$|[.!;)](?!\s?\d)|\n|\*\*)""")
_SUBJECT = (
    r"(?:the|this)\s+(?:(?:only|key|main|given|provided|relevant|model's|candidate(?:'s|’s)?)\s+)?"
    r"(?:candidate|response|answer|text|information|model|details?|facts?|part)"
)
_REASON = rf"because(?!\s+of)|(?:since|as)(?:\s+(?:it|{_SUBJECT}|there|both|neither|no|none|all)\b|\s*$)|explanation|reason\w*"
# "Correct the response to ..." is not a verdict, "Correct The response has ..." is
_BARE = re.compile(
    rf"\s+(?:(?:{_REASON}|due\s+to|given\s+that)(?!\w)|(?-i:T)(?:he|his)\s+(?:candidate|response)\b)", re.IGNORECASE
)
_BEHIND_SIGN = re.compile(
    rf"""[*_"'“”‘’`\s]*(?:[,:—–(]|\s-)[*_"'“”‘’`\s,:—–\-(]*(?:{_REASON}|as|since|due\s+to|given\s+that|it|its|this|that|
    there|both|{_SUBJECT}|candidate|neither|none)(?!\w)""".replace("\n    ", ""),
    re.IGNORECASE,
)
# "Yes, it was written in Paris" answers the question that was asked about, and judges nothing
_OF_YES = re.compile(
    rf"""[*_"'“”‘’`\s,:—–\-(]+(?:{_REASON}|it\s*$|it\s+(?:does|doesn|contains?|includes?|mentions?|provides?|states?|gives?|has|
    is\s+(?:relevant|correct|not\s+relevant))|there\s+(?:is|are)|both\s+(?:the\s+)?(?:responses?|answers?|candidate|mention|
    contain|include|state)|{_SUBJECT}|candidate|neither|none|i\s+(?:think|believe))(?!\w)""".replace("\n    ", ""),
    re.IGNORECASE,
)
_STILL_THE_PROMPT = re.compile(
    r"""[\s*_"'`]*(?:or|and|nor|vs|answer|response|information)\b|[\W_]*(?:answer|candidate response)\s*[:=]""",
    re.IGNORECASE,
)
_DENIED = re.compile(
    rf"[\W_]*(?:not\b|correct answer\s*[:=]|(?:it|this|{_SUBJECT})\s+(?:\w+\s+)?"
    r"(?:does\s+not|doesn|fails|is\s+not|isn|lacks|misses|(?:contains|includes|provides)\s+no)\b)",
    re.IGNORECASE,
)
_IN_PART = re.compile(r"[\W_]*(?:partially|partly|mostly|but|except|although)\b", re.IGNORECASE)
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
    rf"{_SIGNS}(?:the )?(?:candidate(?:'s|’s)? )?(?:response|answer) (?:contains|includes|provides|mentions) "
    r"(?:some |the |one |a )?(?:piece of )?(?:relevant|key|correct) (?:information|details?|facts?)\b"
    r"(?!.*(?:\?|\bnot\b|\bonly\b|\bquestion\b))",
    re.IGNORECASE | re.DOTALL,
)
_KEYS = re.compile(
    r"(?:final )?(?:verdict|answer|assessment|judge?ment|grade|rating|evaluation|result|label|decision|correctness)|"
    r"(?:is )?(?:in)?correct|(?:is )?relevant|(?:contains )?(?:any )?relevant information|partially correct"
)
"""Keys of a JSON reply that hold its verdict."""


def read(reply: str | None, question: str, cut_off: bool = False, prompt: str = "") -> Read:
    """Read a reply.

    Args:
        reply: the judge's text; None if the service sent none.
        question: a key of `WORDS`.
        cut_off: whether the reply ended at its longest length.
        prompt: what the judge was asked. A reply that begins with words of its texts in the same order repeats them.
    """
    text = _spoken(reply or "")
    if text is None:
        return Read("", "only thoughts")
    if not text.strip():
        return Read("", "empty, cut off" if cut_off else "empty")
    if _repeats(text, prompt):
        return Read("", "the prompt's words")
    word = _of_json(text, question) if text.lstrip().startswith("{") else _word(text, question)
    return Read(word) if word else Read("", _kind(text, cut_off))


def opens_thought(prompt: str) -> bool:
    """Whether a prompt, or a token, ends within a thought."""
    return _spoken(prompt) is None


def is_mark(token: str) -> bool:
    """Whether a token marks thoughts, or what is said after them."""
    return bool(
        re.search(rf"{_OPEN_THOUGHT.pattern}|{_END_OF_THOUGHT.pattern}|<\|(channel|message)\|>", token, re.IGNORECASE)
    )


def _spoken(reply: str) -> str | None:
    """The reply without its thoughts and fences; None if it ends within a thought."""
    text = _FINAL.sub("", _THOUGHT.sub("", reply))
    if _OPEN_THOUGHT.search(text):
        return None
    text = _END_OF_THOUGHT.sub("", text)  # templates may open the thought in the prompt
    text = _AROUND.sub("", text)
    fence = _FENCE.match(text)
    text = fence[1] if fence else text
    boxed = _BOXED.match(text)
    return boxed[1] if boxed else text


def _unlabeled(text: str) -> list[str]:
    """The text, and what is left of it after each label at its beginning, such as "Answer:"."""
    left = [text]
    while (label := _LABEL.match(left[-1])) and label.end() > 0:
        left.append(left[-1][label.end() :])
    return left


def _repeats(text: str, prompt: str) -> bool:
    """Whether a text begins with three or four words that stand in the texts of the prompt in the same order."""
    texts = prompt.partition(" Question: ")[2]  # without the instructions, whose words a reply may use
    known, *beginnings = (re.findall(r"\w+", some.lower()) for some in (texts, *_unlabeled(text)))
    spoken = f" {' '.join(known)} "
    return any(len(words) > 2 and f" {' '.join(words[:4])} " in spoken for words in beginnings)


def _word(text: str, question: str) -> str:
    positive, negative = WORDS[question]
    text = _unlabeled(text)[-1]
    first = re.match(rf"{_SIGNS}({positive}|{negative})(?![\w/|])", text, re.IGNORECASE)
    if first:
        word = first[1].lower()
        return word if _is_verdict(word, text[first.end() :], question) else ""
    sentence = _SENTENCE.match(text)
    if sentence and question == "correct":
        word = sentence["word"].lower()
        if not _is_verdict(word, sentence["rest"], question) or (sentence["sign"] and word == negative):
            return ""
        return negative if sentence["sign"] else word
    if _LACKS.match(text):
        return negative if not _says(text, positive) else ""
    return positive if question == "relevant" and _CONTAINS.match(text) else ""


def _is_verdict(word: str, rest: str, question: str) -> bool:
    """Whether a word at the beginning of a reply is its verdict, by what follows it."""
    explained = [_OF_YES] if question == "relevant" else [_BARE, _BEHIND_SIGN]
    if not any(each.match(rest) for each in (_CLOSING, *explained)) or _STILL_THE_PROMPT.match(rest):
        return False
    positive, negative = WORDS[question]
    if (word == positive and _DENIED.match(rest)) or (word == "correct" and _IN_PART.match(rest)):
        return False
    return not _says(rest, negative if word == positive else positive)


def _says(rest: str, word: str) -> bool:
    """Whether a word stands by itself at the beginning of the text or of a later sentence, as a verdict does."""
    begins = rf"(?:^[\W_]*|[.!?;\n][\W_]*(?:(?:wait|no|actually|sorry|so|thus|hence)\b[\W_]*)*){word}\b"
    found = (rest[each.end() :] for each in re.finditer(begins, rest, re.IGNORECASE))
    return any(re.match(r"""[*_"'`)]*\s*(?:$|[.,!;:?)\n—–-])""", after) for after in found)


def _of_json(text: str, question: str) -> str:
    """The verdict word of a JSON object: what all its keys for a verdict say."""
    try:
        items = json.JSONDecoder().raw_decode(text.lstrip())[0].items()
    except (ValueError, RecursionError):
        return ""
    positive, negative = WORDS[question]
    said = set()
    for key, value in items:
        name = re.sub(r"[\W_]+", " ", key).strip().lower()
        if _KEYS.fullmatch(name):
            denied = name.endswith("incorrect")
            word = str(value).strip(" .*").lower()
            said.add((positive if value is not denied else negative) if isinstance(value, bool) else word)
    return said.pop() if len(said) == 1 and said <= {positive, negative} else ""


def _kind(text: str, cut_off: bool) -> str:
    start = text.lstrip(" \n*_\"'`#>")
    if start.startswith("{"):
        return "JSON without a verdict"
    if _ECHO.match(start):
        return "the prompt's words"
    return "cut off" if cut_off else "other words"
