"""What is wrong with a `slung:` block, in words: the key, the value, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .config import BucketConfig, LabelNoiseConfig, SlungConfig
from .errors import SlungError, closest, kind_of
from .fault_words import EXAMPLES, FORMS, KEYS, KINDS, LOWER_BOUNDS, WORDS
from .labeling.blocks import LabelerConfig, meant_cuts
from .visible import visible

_LABELERS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(LabelerConfig)[0])
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        place: the keys and indices that lead to it in the block.
        lines: what to tell the user.
        rename: the key that was meant in place of the last one.
        value: the value that was meant.
    """

    place: tuple
    lines: tuple[str, ...]
    rename: str | None = None
    value: Any = None


def checked(block: Any) -> SlungConfig:
    """The block of a YAML file as a config.

    Raises:
        SlungError: the block is not valid. The message names every fault.
    """
    try:
        return SlungConfig.model_validate(block)
    except ValidationError:
        raise SlungError(*(line for fault in faults(block) for line in fault.lines)) from None


def faults(block: Any) -> list[Fault]:
    """Everything that is wrong with a block; empty for a valid one.

    A check of several values only runs if each of them is valid. So the block is repaired as the faults suggest, and
    checked again.
    """
    if not isinstance(block, Mapping):
        return [Fault((), _form("slung", "a mapping", block, "slung"))]
    found: list[Fault] = []
    repaired, unsure = deepcopy(dict(block)), set()
    for _ in range(4):
        new = [
            fault
            for fault in _of_pydantic(repaired)
            if (fault.place[0] not in unsure if fault.place else not unsure)
            and fault.place not in {one.place for one in found}
        ]
        found += new
        for fault in new:
            if not _repair(repaired, fault) and fault.place:
                unsure.add(fault.place[0])
                repaired.pop(fault.place[0], None)
                if fault.place[0] == "labelers":
                    repaired["labelers"] = [{"type": "profanity"}]
        if not new:
            break
    return found


def lines_of(error: ValidationError) -> list[str]:
    """`key: what is wrong` per problem of any model, without the values."""
    return [line for problem in _problems(error) for line in _told(problem, _path(problem["loc"]), None).lines]


def _of_pydantic(block: Mapping) -> list[Fault]:
    try:
        SlungConfig.model_validate(block)
        return []
    except ValidationError as error:
        problems = _problems(error)
    told = []
    for problem in problems:
        # a labeler's place has its type at the third position
        place = tuple(part for part in problem["loc"] if part != "[key]")
        place = place[:2] + place[3:] if place[:1] == ("labelers",) else place
        told.append(_told({**problem, "loc": place}, _path(("slung", *place)), block))
    # a misspelled key is the reason for the missing one
    renamed = {(*fault.place[:-1], fault.rename) for fault in told if fault.rename}
    renamed |= {(*fault.place[:-1], "path") for fault in told if fault.place[-1:] == ("patterns",)}
    return [fault for fault in told if fault.place not in renamed]


def _problems(error: ValidationError) -> list[dict]:
    return error.errors(include_url=False)  # pyright: ignore[reportReturnType]


def _told(problem: dict, path: str, block: Mapping | None) -> Fault:
    """A problem of pydantic in our words.

    Args:
        problem: see `ValidationError.errors`.
        path: its place in the YAML.
        block: the `slung:` block; None if the problem is another model's.
    """
    place, value, context = problem["loc"], problem["input"], problem.get("ctx") or {}
    key = next((part for part in reversed(place) if isinstance(part, str)), "slung")
    fault = {
        "extra_forbidden": lambda: _unknown_key(place, path, block),
        "missing": lambda: Fault(place, _missing(place, path, block)),
        "literal_error": lambda: _unknown_value(place, path, key, value, context["expected"]),
        "enum": lambda: _unknown_value(place, path, key, value, context["expected"]),
        "union_tag_invalid": lambda: _unknown_value(
            (*place, "type"), f"{path}.type", "type", value["type"], context["expected_tags"]
        ),
        "union_tag_not_found": lambda: _no_type(place, path, value),
        "string_pattern_mismatch": lambda: _misformed(place, path, key, value, context["pattern"]),
        "value_error": lambda: _own(place, path, str(context.get("error", "")), key, value),
        "invalid_key": lambda: Fault(place, (f"{path}: this key is not text in YAML; put it in quotes",)),
    }.get(problem["type"])
    if fault is not None:
        return fault()
    if (bound := _bound(context)) is not None:
        meant = value / 100 if key in ("below", "threshold") and _number(value) and 1 < value < 100 else None
        guess = "" if meant is None else f"; did you mean {meant:g}?"
        got = f"{len(value)}: " if isinstance(value, list) else f"{_shown(place, value)}: " if _number(value) else ""
        return Fault(place, (f"{path}: {got}expected {bound}{guess}",), value=meant)
    if problem["type"] == "float_parsing" and (digits := re.fullmatch(r"(\d+(?:[.,]\d+)?) ?(%?)", str(value))):
        number = float(digits[1].replace(",", ".")) / (100 if digits[2] else 1)
        return Fault(place, (f"{path}: {value}: expected a number; did you mean {number:g}?",), value=number)
    if problem["type"] == "int_parsing" and re.fullmatch(r"\d{1,9}(\.\d{1,9})?[eE]\+?\d{1,2}", str(value)):
        # YAML 1.1 reads 4e9 as text
        number = int(float(value))
        return Fault(place, (f"{path}: {value}: expected a whole number; did you mean {number:_}?",), value=number)
    for start, what in KINDS:
        if problem["type"].startswith(start):
            return Fault(place, _form(path, what, value, key, place))
    fix = "put it in quotes" if isinstance(value, date) else "`slung schema` describes the key"
    return Fault(place, (f"{path}: {kind_of(value)} cannot be used here; {fix}",))


def _unknown_key(place, path, block) -> Fault:
    key = place[-1]
    if block is None:
        return Fault(place, (f"{path}: unknown key; remove it",))
    known, inside = _keys_at(place[:-1], block)
    if key == "patterns" and inside == "patterns":
        return Fault(place, _with_example(f"{path}: unknown key; patterns are in a file of their own", "patterns"))
    free = [one for one in known if one not in _at(block, place[:-1])]
    if key in ("path", "file") and "model" in free:
        return Fault(place, (f"{path}: unknown key; did you mean `model`?",), rename="model")
    if inside == "buckets" and str(key).lower() in LOWER_BOUNDS:
        return Fault(place, (f"{path}: unknown key; a bucket begins where the one before it ends; remove it",))
    if owners := [name for name, keys in _owners() if key in keys]:
        return Fault(place, (f"{path}: is a key of {_listed(owners)}, not of {_listed([inside])}; move or remove it",))
    other = KEYS.get(str(key).lower())
    if meant := closest(key, free) or (other if other in free else None):
        return Fault(place, (f"{path}: unknown key; did you mean `{meant}`?",), rename=meant)
    return Fault(place, (f"{path}: unknown key; the keys of {_listed([inside])} are {', '.join(known)}",))


def _owners() -> Iterator[tuple[str, Iterable[str]]]:
    yield "slung", SlungConfig.model_fields
    yield "buckets", BucketConfig.model_fields
    yield "label_noise", LabelNoiseConfig.model_fields
    yield from ((name, model.model_fields) for name, model in _LABELERS.items())


def _listed(owners: list[str]) -> str:
    named = {"slung": "the block itself", "buckets": "a bucket", "label_noise": "label_noise"}
    types = [owner for owner in owners if owner not in named]
    if len(types) == len(_LABELERS):
        return "labelers"
    said = [named[owner] for owner in owners if owner in named]
    return " and ".join([*said, f"labelers of the type {' or '.join(types)}"] if types else said)


def _keys_at(place: tuple, block: Mapping) -> tuple[list[str], str]:
    """The keys that a mapping of the block may have, and whose they are."""
    if place[:1] == ("labelers",):
        kind = _at(block, place)["type"]
        return list(_LABELERS[kind].model_fields), kind
    models = {"buckets": BucketConfig, "label_noise": LabelNoiseConfig}
    name = place[0] if place else "slung"
    return list(models.get(name, SlungConfig).model_fields), name


def _unknown_value(place, path, key, value, expected: str) -> Fault:
    choices = re.findall(r"'([^']*)'", expected)
    meant = closest(value, choices)
    if meant is None and isinstance(value, str):
        meant = WORDS.get(key, {}).get(value.lower().replace("-", "_"))
        meant = meant if meant in choices else None
    guess = f"did you mean `{meant}`?" if meant else "choose one of them"
    return Fault(place, (f"{path}: {_shown(place, value)}: is not one of {', '.join(choices)}; {guess}",), value=meant)


def _no_type(place, path, value) -> Fault:
    if isinstance(value, Mapping):
        if guess := closest("type", map(str, value)):
            return Fault(
                (*place, guess), (f"{path}.{visible(guess)}: unknown key; did you mean `type`?",), rename="type"
            )
        if len(value) == 1 and (kind := closest(str(next(iter(value))), _LABELERS)):
            return Fault(place, (f"{path}: has no `type`; write", f"  - {{type: {kind}, ...}}"))
        return Fault(place, _with_example(f"{path}.type: missing", "labelers"))
    return Fault(place, _form(path, "a mapping with a `type`", value, "labelers", place))


def _missing(place, path, block) -> tuple[str, ...]:
    if place[-1] in EXAMPLES:
        return _with_example(f"{path}: missing", place[-1])
    if place[:1] == ("labelers",) and len(place) == 3 and block is not None:
        what = _LABELERS[_at(block, place[:2])["type"]].model_fields[place[-1]].description
        return (f"{path}: missing; add it ({what.split('. ')[0].rstrip('.')})",)
    return (f"{path}: missing; add it",)


def _misformed(place, path, key, value, pattern) -> Fault:
    meant = None
    if key in ("class_path", "objective"):
        meant = value.removesuffix("()")
        meant = ":".join(meant.rsplit(".", 1)) if ":" not in meant and not meant.endswith(".py") else meant
    if key == "name":
        meant = re.sub(r"[^A-Za-z0-9_.-]+", "_", value).strip("_")
    if key == "spaced_punctuation":
        meant = "".join(value.split())
    meant = meant if meant and re.search(pattern, meant) else None
    guess = f"; did you mean {meant}?" if meant else ""
    text = f"{path}: {_shown(place, value)}: {FORMS.get(key, 'has the wrong form')}{guess}"
    return Fault(place, (text,), value=meant)


def _own(place, path, message: str, key: str, value) -> Fault:
    """An error of a validator of the block, which begins with the key if it is about one key."""
    if key == "cuts" and not isinstance(value, Mapping) and (meant := meant_cuts(value)):
        return Fault(place, (f"{path}: {message}; did you mean {meant}?",), value=meant)
    about = re.match(r"`(\w+)`: (.*)", message, re.DOTALL)
    if about:
        return Fault((*place, about[1]), (f"{path}{'.' * bool(path)}{about[1]}: {about[2]}",))
    return Fault(place, (f"{path}: {message}",))


def _form(path: str, expected: str, value, key: str, place: tuple = ()) -> tuple[str, ...]:
    got = kind_of(value) if isinstance(value, (Mapping, list)) or value is None else _shown(place, value)
    got = {"an object": "a mapping", "null": "nothing"}.get(got, got)
    if key == "labelers" and isinstance(value, str) and (kind := closest(value, _LABELERS)):
        return (f"{path}: expected {expected}, got {got}; write", "  labelers:", f"    - {{type: {kind}}}")
    if expected == "text" and isinstance(value, (int, float, date)):
        return (f"{path}: {got}: expected text; put it in quotes",)
    return _with_example(f"{path}: expected {expected}, got {got}", key)


def _with_example(text: str, key: str) -> tuple[str, ...]:
    if key not in EXAMPLES:
        return (text,)
    return (f"{text}; write", *(f"  {line}" for line in EXAMPLES[key]))


def _bound(context: Mapping) -> str | None:
    words = {"gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}"}
    for name, text in words.items():
        if name in context:
            return "a number " + text.format(f"{context[name]:g}")
    if "min_length" in context:
        return f"at least {context['min_length']}" if "actual_length" in context else "text that is not empty"
    return f"at most {context['max_length']}" if "max_length" in context else None


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(place: tuple, value) -> str:
    """A value of the block, if it is short and no name from a list of names; otherwise its kind."""
    plain = isinstance(value, (str, int, float)) and "names" not in place and "options" not in place
    if value == "" or value is None:
        return "''" if value == "" else "nothing"
    text = visible(str(value).lower() if isinstance(value, bool) else str(value))
    return text if plain and 0 < len(text) <= 60 else kind_of(value)


def _path(place: Iterable) -> str:
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' * bool(path)}{visible(str(part))[:60]}"
    return path


def _at(block, place: tuple):
    for part in place:
        block = block[part]
    return block


def _repair(block: dict, fault: Fault) -> bool:
    """Change the block as the fault suggests. False if it suggests nothing."""
    if fault.rename is None and fault.value is None:
        return False
    inside = _at(block, fault.place[:-1])
    if fault.rename is not None:
        inside[fault.rename] = inside.pop(fault.place[-1])
    else:
        inside[fault.place[-1]] = fault.value
    return True
