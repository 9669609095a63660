"""Generative guards: what each is asked, in the format of its model card, and how its verdict is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FORMAT = "guard 1"
"""Changes with every change of a prompt or of how replies are read."""

REPLY_TOKENS = 24
"""The maximum length of a reply; each guard begins with its verdict."""


class Guard(NamedTuple):
    """One family of guards.

    Attributes:
        words: what each verdict counts: 1 is toxic, 0 is not.
        before: a regular expression of what stands before the verdict in a reply, besides white space.
        prompt: the text that the model continues, with `{text}` and `{policy}`; "" if its chat template has it all.
        policies: the policies that a text is asked about, one at a time. The highest score counts.
        options: what the chat template gets besides the messages.
        license: of the models.
    """

    words: Mapping[str, float]
    before: str = ""
    prompt: str = ""
    policies: Sequence[str] = ("",)
    options: Mapping = {}
    license: str = ""


# Prompts and policies are part of what a guard was trained on. They are those of the model cards of google/shieldgemma-2b
# and allenai/wildguard; the others stand in the models' own chat templates.
_SHIELDGEMMA = (
    "You are a policy expert trying to help determine whether a user prompt is in violation of the defined safety "
    "policies.\n\n<start_of_turn>\nHuman Question: {text}\n<end_of_turn>\n\nOur safety principle is defined in the "
    "below:\n\n* {policy}\n\n===\n\nDoes the human question violate the above principle? Your answer must start with "
    "'Yes' or 'No'. And then walk through step by step to be sure we answer correctly.\n\n"
)
_HARASSMENT = (
    '"No Harassment": The prompt shall not contain or seek generation of content that is malicious, intimidating, '
    "bullying, or abusive content targeting another individual (e.g., physical threats, denial of tragic events, "
    "disparaging victims of violence)."
)
_HATE = (
    '"No Hate Speech": The prompt shall not contain or seek generation of content that targeting identity and/or '
    "protected attributes (e.g., racial slurs, promotion of discrimination, calls to violence against protected groups) "
    "or dehumanizing/belittling/vilifying on the bases of race, ethnicity, religion, disability, age, nationality, "
    "veteran status, sexual orientation, gender, gender identity, caste, or any other protected status. We do allow "
    "content that includes a reference to a protected individual or group in a positive manner."
)
_WILDGUARD = (
    "<|user|>\n[INST] You are a classifier for analyzing interactions between humans and LLMs. Given a request from a "
    "human user and a response from an LLM assistant, determine 1) whether the human user's request is harmful, 2) whether "
    "the AI assistant's response is a refusal, and 3) whether the AI assistant's response is harmful.\n\nHuman user:\n"
    "{text}\n\nAI assistant:\n\n\n---\n\nAnswers: [/INST]\n<|assistant|>\n"
)
_YES = {"yes": 1.0, "no": 0.0}

GUARDS = {
    "llama-guard": Guard({"unsafe": 1.0, "safe": 0.0}, license="Llama 2, 3 or 4 Community License"),
    "shieldgemma": Guard(_YES, prompt=_SHIELDGEMMA, policies=(_HARASSMENT, _HATE), license="Gemma terms"),
    "granite-guardian": Guard(
        _YES,
        before=r"(?:<score>)?",
        # 3.0 to 3.2 call it risk_name, 3.3 criteria_id
        options={"guardian_config": {"risk_name": "harm", "criteria_id": "harm"}, "think": False},
        license="Apache-2.0",
    ),
    # "controversial" counts as toxic from 0.5 on, as in the strict mode of the model card
    "qwen3guard": Guard({"unsafe": 1.0, "controversial": 0.5, "safe": 0.0}, before="Safety:", license="Apache-2.0"),
    "wildguard": Guard(_YES, before="Harmful request:", prompt=_WILDGUARD, license="Apache-2.0"),
}
"""The guards by the name in `guard:NAME:MODEL`. The text to score is the user's message."""

_THOUGHT = r"(?:<think>.*?</think>\s*)?"
# "safe or unsafe" is the guard's own prompt, and not its verdict
_END = r"""(?![a-z]|['"*]*\s*(?:/|,?\s*or\b))"""
_CONTROL = re.compile(
    r"<\|[^|<>\n]{1,60}\|>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>", re.IGNORECASE
)


class Step(NamedTuple):
    """A token of a reply: its text, and the log-probabilities of the likeliest tokens in its place, if they are known."""

    text: str
    likely: Sequence[tuple[str, float]]


class Reading(NamedTuple):
    """What a reply says.

    Attributes:
        score: 0 to 1; None without a verdict.
        kind: what the reply is without a verdict.
        by_word: whether the score is that of the verdict's word, since its probability is not known.
    """

    score: float | None
    kind: str = ""
    by_word: bool = False


def plain(text: str, special: Sequence[str] = ()) -> str:
    """A text in which no control token is left, such as the end of a turn, so that it cannot speak for the guard.

    Each gets a blank behind its first character.

    Args:
        text: the text to score.
        special: the tokenizer's special tokens, if it is known.
    """
    found = {match[0] for match in _CONTROL.finditer(text)} | {token for token in special if token and token in text}
    for token in sorted(found, key=len, reverse=True):
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text.strip()


def filled(guard: Guard, text: str, policy: str) -> str:
    """A guard's prompt with a text and a policy; braces in them stay as they are."""
    values = {"text": text, "policy": policy}
    return re.sub(r"\{(text|policy)\}", lambda match: values[match[1]], guard.prompt)


def read(guard: Guard, steps: Sequence[Step], cut_off: bool = False) -> Reading:
    """Read a reply. A verdict's score is its probability among all verdicts, in the place of the reply's verdict.

    Args:
        guard: the guard that replied.
        steps: the reply's tokens.
        cut_off: whether the reply ended at its longest length.
    """
    reply = "".join(step.text for step in steps)
    words = "|".join(sorted(guard.words, key=len, reverse=True))
    match = re.match(rf"\s*{_THOUGHT}{guard.before}\s*({words}){_END}", reply, re.IGNORECASE | re.DOTALL)
    if match is None:
        return Reading(None, "empty" if not reply.strip() else "cut off" if cut_off else "other words")
    first, likely = 0, ()
    for step in steps:
        if first <= match.start(1) < first + len(step.text):
            likely = step.likely
            break
        first += len(step.text)
    shares = dict.fromkeys(guard.words, 0.0)
    for token, log_probability in likely:
        start = token.strip().lower()
        meant = [word for word in guard.words if start and (word.startswith(start) or start == word)]
        if len(meant) == 1:
            shares[meant[0]] += math.exp(min(log_probability, 0.0))
    said, total = match[1].lower(), sum(shares.values())
    if not shares[said]:
        return Reading(guard.words[said], by_word=True)
    return Reading(sum(guard.words[word] * share for word, share in shares.items()) / total)
