"""`arms.yml`: which arms a study has, and on which data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config import SlungConfig
from ..errors import SlungError, kind_of, meant
from ..labels.buckets import PRESET_KEYS, PRESETS, Action

KEYS = ("base", "arms", "seeds", "data", "budgets", "equal", "ranks")
EQUAL = ("documents", "loss_tokens")

NAMED: dict[str, dict[str, Any]] = {
    **{method: {"method": method} for method in PRESETS},
    "random_mask": {"method": "masked", "random_control": True},
}
"""The arms that have a name of their own, with their keys of the `slung:` block."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
MOST_SEED = 2**32 - 1
"""NumPy's limit: Axolotl seeds it, too."""


@dataclass(frozen=True)
class Arm:
    """One way to treat risky text.

    Attributes:
        name: in the names of files.
        block: its keys of the `slung:` block. They replace those of the base config.
        tokens: what it adds to the tokenizer.
    """

    name: str
    block: dict[str, Any]
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What `arms.yml` asks for.

    Attributes:
        base: the path of the base config.
        arms: in their order.
        seeds: each arm has a config for each of them. Empty: the base config's.
        budgets: names of data sets of different sizes; empty if there is one.
        data: the path of the data, with the placeholders {seed} and {budget}; None: the base config's.
        equal: one of `EQUAL`.
        ranks: processes that train, usually GPUs. They decide how many documents one step reads.
    """

    base: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    budgets: tuple[str, ...]
    data: str | None
    equal: str
    ranks: int


def plan_of(content: Any, path: str) -> Plan:
    """Read the content of `arms.yml`.

    Args:
        content: as YAML gives it.
        path: its name, for messages.

    Raises:
        SlungError: something is wrong. The message has a line for each fault.
    """
    if not isinstance(content, Mapping):
        raise SlungError(
            f"{path}: expected a mapping, got {kind_of(content)}; write", "base: base.yml", "arms: [masked, control]"
        )
    errors = [f"{key}: unknown key{meant(key, KEYS) or '; remove it'}" for key in content if key not in KEYS]
    base, data = content.get("base"), content.get("data")
    if not isinstance(base, str) or not base:
        errors.append("base: missing; name an Axolotl config, such as base: base.yml")
    arms = _arms(content.get("arms"), errors)
    seeds = _seeds(content.get("seeds"), errors)
    budgets = _budgets(content.get("budgets"), errors)
    _check_data(data, budgets, errors)
    equal, ranks = content.get("equal", "documents"), content.get("ranks", 1)
    if equal not in EQUAL:
        guess = meant(equal, EQUAL) or "; choose one of them"
        errors.append(f"equal: {shown(equal)}: is not one of {', '.join(EQUAL)}{guess}")
    if not isinstance(ranks, int) or isinstance(ranks, bool) or ranks < 1:
        errors.append(
            f"ranks: {shown(ranks)}: expected a whole number of 1 or more; give the number of GPUs that train"
        )
    if errors:
        raise SlungError(*(f"{path}: {error}" for error in errors))
    return Plan(str(base), tuple(arms), tuple(seeds), tuple(budgets), data, equal, ranks)


def _arms(given: Any, errors: list[str]) -> list[Arm]:
    if not isinstance(given, list) or len(given) < 2:
        errors.append("arms: expected a list of two or more arms; write arms: [control, masked]")
        return []
    arms: list[Arm] = []
    for index, one in enumerate(given):
        arm = _arm(f"arms[{index}]", one, errors)
        if arm is None:
            continue
        for other in arms:
            if arm.name.lower() == other.name.lower():
                # some file systems see no difference between capitals and small letters
                errors.append(f"arms[{index}]: {arm.name}: another arm has this name; choose another `name`")
            elif arm.block == other.block:
                errors.append(f"arms[{index}] ({arm.name}): has the keys of the arm {other.name}; remove one of them")
        arms.append(arm)
    return arms


def _arm(where: str, given: Any, errors: list[str]) -> Arm | None:
    if isinstance(given, str):
        if given not in NAMED:
            own = f"arms of your own have keys, such as {{name: {given}, method: masked, label_noise: {{miss: 0.2}}}}"
            known = f"is not one of {', '.join(NAMED)}"
            errors.append(
                f"{where}: {shown(given)}: {known}{meant(given, NAMED) or ('; ' + own if _fits(given) else '')}"
            )
            return None
        return Arm(given, dict(NAMED[given]), _tokens(NAMED[given]))
    if not isinstance(given, Mapping):
        errors.append(f"{where}: expected a name or a mapping with a `name`, got {kind_of(given)}; write masked")
        return None
    name, block = given.get("name"), {key: value for key, value in given.items() if key != "name"}
    if not isinstance(name, str) or not _fits(name):
        what = "missing" if name is None else f"{shown(name)}: expected letters, digits and _.-"
        errors.append(f"{where}.name: {what}; give it a short name, such as miss20")
        return None
    place, before = f"{where} ({name})", len(errors)
    for key in block:
        if key not in SlungConfig.model_fields:
            guess = meant(key, SlungConfig.model_fields) or "; an arm has the keys of the `slung:` block"
            errors.append(f"{place}: {shown(key)}: unknown key{guess}")
    if not block:
        errors.append(f"{place}: has no keys of the `slung:` block; add some, or write only the name of a known arm")
    return Arm(name, block, _tokens(block)) if len(errors) == before else None


def _tokens(block: Mapping) -> tuple[str, ...]:
    """The token that a preset needs. Buckets in `arms.yml` have a token that the base config adds."""
    actions = PRESETS.get(block.get("method"), ()) if isinstance(block.get("method"), str) else ()
    return (PRESET_KEYS[Action.CONTROL_TOKEN]["token"],) if Action.CONTROL_TOKEN in actions else ()


def _seeds(given: Any, errors: list[str]) -> list[int]:
    if given is None:
        return []
    if not isinstance(given, list) or not given:
        errors.append("seeds: expected a list of whole numbers; write seeds: [0, 1, 2]")
        return []
    errors += [
        f"seeds: {shown(one)}: expected a whole number from 0 to {MOST_SEED}; choose another"
        for one in given
        if not is_seed(one)
    ]
    repeated = sorted({one for one in given if isinstance(one, int) and given.count(one) > 1})
    if repeated:
        errors.append(f"seeds: {', '.join(map(str, repeated))}: given twice, which trains one model twice; remove one")
    return list(given)


def _budgets(given: Any, errors: list[str]) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list) or not given:
        errors.append("budgets: expected a list of names; write budgets: [20M, 40M]")
        return []
    named = [str(one) if isinstance(one, (str, int)) and not isinstance(one, bool) else "" for one in given]
    errors += [
        f"budgets: {shown(one)}: expected a name of letters, digits and _.-; choose another"
        for one, name in zip(given, named)
        if not _fits(name)
    ]
    lower = [name.lower() for name in named if name]
    errors += [f"budgets: {name}: given twice; remove one" for name in sorted(set(lower)) if lower.count(name) > 1]
    return named


def _check_data(data: Any, budgets: list[str], errors: list[str]) -> None:
    if data is None:
        if budgets:
            errors.append("budgets: have no effect without `data`; add data: mix/seed-{seed}/{budget}/*.jsonl.zst")
        return
    if isinstance(data, str) and "\0" in data:
        errors.append("data: has a NUL character, which no path can have; remove it")
        return
    if not isinstance(data, str) or not data:
        errors.append(
            f"data: expected a path, got {kind_of(data)}; write data: mix/seed-{{seed}}/{{budget}}/*.jsonl.zst"
        )
        return
    found = set(_PLACEHOLDER.findall(data))
    errors += [
        f"data: {{{name}}}: unknown placeholder{meant(name, ('seed', 'budget')) or '; use {seed} and {budget}'}"
        for name in sorted(found - {"seed", "budget"})
    ]
    if budgets and "budget" not in found:
        errors.append("data: has no {budget}, so all `budgets` would be the same data; put {budget} into the path")
    if not budgets and "budget" in found:
        errors.append("data: {budget}: there are no `budgets`; write budgets: [20M], or take it out")


def _fits(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 60 and _NAME.fullmatch(name) is not None


def is_seed(value: Any) -> bool:
    """Whether Axolotl can use this value as its seed."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_SEED


def shown(value: Any) -> str:
    """A value of a YAML file, if it is short and plain."""
    plain = isinstance(value, (str, int, float)) and 0 < len(str(value)) <= 60
    return str(value) if plain else kind_of(value)
