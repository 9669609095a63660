"""The prompts of slung_answers, by the kind of span."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import yaml

from ..errors import SlungError, kind_of, yaml_problem
from ..storage import read_text
from ..yaml_text import load_yaml

ANY = "any"
CONTEXT = "{context}"
"""What a prompt has in place of the text in front of a span."""

_OPTION = "SLUNG_AUDIT_PROMPTS"


def prompts(path: str | None = None) -> dict[str, list[str]]:
    """The prompts of each kind, and those of all other kinds under `any`.

    Args:
        path: a YAML file with lists of prompts by kind, written by the user. It replaces the package's prompts of these kinds.

    Raises:
        SlungError: the file cannot be read, or is not of this form.
    """
    shipped = resources.files(__package__).joinpath("audit_prompts.yml").read_text(encoding="utf-8")
    found = _parsed(shipped, "audit_prompts.yml")
    if path is not None:
        found |= _parsed(read_text(_OPTION, Path(path).expanduser()), path)
    return found


def of_kind(by_kind: Mapping[str, Sequence[str]], kind: str) -> Sequence[str]:
    """The prompts for a kind of span."""
    return by_kind.get(kind) or by_kind[ANY]


def with_context(prompt: str, context: str) -> str:
    """The prompt about a text."""
    return prompt.replace(CONTEXT, context)


def _parsed(text: str, path: str) -> dict[str, list[str]]:
    try:
        given = load_yaml(text)
    except yaml.YAMLError as error:
        raise SlungError(f"{_OPTION}: {path}: {yaml_problem(error)}; correct the file") from None
    if not isinstance(given, dict):
        raise SlungError(f"{_OPTION}: {path}: is {kind_of(given)}; expected lists of prompts by kind")
    for number, (kind, its) in enumerate(given.items(), 1):
        if not isinstance(kind, str) or not isinstance(its, list) or not its:
            raise SlungError(f"{_OPTION}: {path}: entry {number} is not a kind with a list of prompts; correct it")
        for place, prompt in enumerate(its, 1):
            if not isinstance(prompt, str) or not prompt.strip():
                raise SlungError(f"{_OPTION}: {path}: prompt {place} of entry {number} is not a text; correct it")
            if re.search(r"\{\w+\}", prompt.replace(CONTEXT, "")):
                raise SlungError(
                    f"{_OPTION}: {path}: prompt {place} of entry {number} has another placeholder than {CONTEXT}; "
                    "correct it"
                )
    return given
