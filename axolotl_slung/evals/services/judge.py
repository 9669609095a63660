"""Language models that judge whether answers are correct, by the paper's two questions per answer."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ...labeling.base import utf8_safe
from .answers import AnswerCache
from .verdicts import WORDS, Read

# These are the prompts of the paper's appendix A (SLUNG, A.1 and A.2). Another prompt would be another measure.
CORRECT = (
    "Given a question and the correct answer, you will assess whether the candidate response contains the information in "
    "the correct answer. If the candidate response begins to hallucinate a next question-answer pair, ignore them. If a "
    "response is incomplete, grade it based on the text provided. Respond with either correct or incorrect and explain "
    "why. Question: {question} Correct answer: {ground_truth} Candidate response: {completion} Answer:"
)
"""Full correctness; the reply begins with correct or incorrect."""

PARTIALLY_CORRECT = (
    "Given a question and the correct answer, you will assess whether the candidate response contains any relevant "
    "information that is present in the correct answer but not in the question itself. If the candidate response begins to "
    "hallucinate a next question-answer pair, ignore them. If a response is incomplete, grade it based on the text "
    "provided. Respond with either yes or no and explain why. Question: {question} Correct answer: {ground_truth} "
    "Candidate response: {completion} Answer:"
)
"""Partial correctness; the reply begins with yes or no."""

QUESTIONS = {"correct": CORRECT, "relevant": PARTIALLY_CORRECT}
"""The prompts by the keys of `verdicts.WORDS`."""

REPLY_TOKENS = 16
"""The maximum length of a reply, which begins with its verdict."""

THINKING_TOKENS = 4096
"""The maximum length of a reply if the judge thinks before it replies."""


class Verdict(NamedTuple):
    """The judge's verdicts on one answer.

    Attributes:
        correct: 1.0 if it contains the information of the correct answer, otherwise 0.0; NaN without a verdict.
        partially_correct: 1.0 if it contains any of that information that is not in the question, otherwise 0.0; NaN
            without a verdict.
        failed, unparsed: of the two prompts, how many got no reply, and how many a reply without a verdict.
    """

    correct: float
    partially_correct: float
    failed: int
    unparsed: int


class Judge(ABC):
    """Asks a language model whether answers are correct.

    Attributes:
        name: the kind and the model.
        version: what determines the verdicts, besides the name.
        served: the model or models that a service said it used; "" for a local one.
        pinned: whether name and version determine the model. Behind an address, another may stand tomorrow.
        failures: per reason, the number of prompts without a verdict so far.
    """

    name: str
    version: str
    served: str = ""
    pinned: bool = True

    def __init__(self, cache: AnswerCache):
        self._cache = cache
        self.failures: Counter = Counter()

    def judge(self, questions: Sequence[str], answers: Sequence[str], completions: Sequence[str]) -> list[Verdict]:
        """Judge answers.

        Args:
            questions: n questions.
            answers: their correct answers.
            completions: the n answers to judge; any Unicode. They are inserted unchanged, even if one tries to speak
                for the judge.

        Raises:
            SlungError: the service rejects the key.
            ValueError: the three differ in length.
        """
        asked = _prompts(questions, answers, completions)
        found = self._read(asked)
        self.failures.update(f"replies without a verdict ({one.kind})" for one in found if one and not one.word)
        return [_verdict(*found[first : first + 2]) for first in range(0, len(found), 2)]

    def forget(self, questions: Sequence[str], answers: Sequence[str], completions: Sequence[str]) -> None:
        """Remove the verdicts on these answers from the cache; see `judge`."""
        self._cache.forget(self._keys(_prompts(questions, answers, completions)))

    @abstractmethod
    def _keys(self, asked: list[tuple[str, str]]) -> list[bytes]:
        """The keys of the replies in the cache; see `_read`."""

    @abstractmethod
    def _read(self, asked: list[tuple[str, str]]) -> list[Read | None]:
        """The reply to each prompt, read; None if there is no reply.

        Args:
            asked: keys of `QUESTIONS`, and filled prompts.
        """


def _prompts(questions: Sequence[str], answers: Sequence[str], completions: Sequence[str]) -> list[tuple[str, str]]:
    items = list(zip(questions, answers, completions, strict=True))
    return [(kind, fill(prompt, *item)) for item in items for kind, prompt in QUESTIONS.items()]


def fill(template: str, question: str, answer: str, completion: str) -> str:
    """A prompt with its texts filled in. Braces in the texts stay as they are; a lone surrogate becomes U+FFFD."""
    texts = {"question": question, "ground_truth": answer, "completion": completion}
    return utf8_safe(re.sub(r"\{(question|ground_truth|completion)\}", lambda match: texts[match[1]], template))


def _verdict(*replies: Read | None) -> Verdict:
    values = [
        float(reply.word == words[0]) if reply and reply.word else math.nan
        for reply, words in zip(replies, WORDS.values(), strict=True)
    ]
    failed = sum(reply is None for reply in replies)
    return Verdict(*values, failed, sum(map(math.isnan, values)) - failed)
