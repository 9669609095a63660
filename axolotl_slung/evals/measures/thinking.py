"""Tells thoughts from speech: a reasoning model's answer may hold what it only thought."""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"</?(think|thinking|thought|reasoning|seed:think)>|<\|channel\|>\s*(analysis|commentary)|\[/?THINK\]|"
    r"<\|(begin|start|end)_of_thought\|>|◁/?think▷",
    re.IGNORECASE,
)


def thinks(answer: str) -> bool:
    """Whether an answer contains a thought, by the marks that reasoning models put around it."""
    return _MARKS.search(answer) is not None
