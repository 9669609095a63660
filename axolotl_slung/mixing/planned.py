"""What is known once the inputs are read: all that sorting and writing need, in a file that every task reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .choose import Draw
from .config import Mix, MixError
from .index import State
from .inputs import Input
from .journal import Journal, entries_of
from .plan import BaseTooSmall, Plan, check_risky, count, make_plan, text_bytes
from .scan import Round, Scan
from .spill import Group

FILE_BYTES = 1 << 25
"""Bytes of text of a stream's file, approximately. As much is in memory per process while files are written."""
_MORE_BASE = 1.1
"""How many times as many base tokens are read if those that were read do not fit."""


@dataclass(frozen=True)
class Planned:
    """What is known once the inputs are read.

    Attributes:
        plan: the draws.
        states: how far each input was read.
        groups: what is sorted together.
        streams, heldout: for the manifest; see `plan.count`.
    """

    plan: Plan
    states: list[State]
    groups: list[Group]
    streams: list[dict[str, Any]]
    heldout: dict[str, Any]

    def write(self, path: Path, mode: int) -> None:
        """Write it to a journal, of which a reader finds all or nothing."""
        values = asdict(self)
        for draw in _draws(values["plan"]):
            draw["others"] = [numbers.tolist() for numbers in draw["others"]]
        values["plan"]["texts"] = {role: texts.tolist() for role, texts in values["plan"]["texts"].items()}
        with Journal(path, mode) as journal:
            journal.add(values)


def read_planned(path: Path) -> Planned | None:
    """What `Planned.write` wrote; None if it has not."""
    entries = entries_of(path)
    if not entries:
        return None
    values = entries[-1]
    for draw in _draws(values["plan"]):
        draw["others"] = [np.array(numbers, np.int64) for numbers in draw["others"]]
    of_plan = {
        **values["plan"],
        "texts": {role: np.array(texts, np.uint64) for role, texts in values["plan"]["texts"].items()},
        "heldout": {role: Draw(**draw) for role, draw in values["plan"]["heldout"].items()},
        "base": Draw(**values["plan"]["base"]),
        "risky": [Draw(**draw) for draw in values["plan"]["risky"]],
        "replaced": [Draw(**draw) for draw in values["plan"]["replaced"]],
    }
    return Planned(
        Plan(**of_plan),
        [State(**state) for state in values["states"]],
        [Group(*group) for group in values["groups"]],
        values["streams"],
        values["heldout"],
    )


def _draws(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [*plan["heldout"].values(), plan["base"], *plan["risky"], *plan["replaced"]]


def plan_or_next_round(mix: Mix, scan: Scan) -> Planned | None:
    """Draw everything, or note the next round of the base if that needs more of it.

    Returns:
        None if more of the base must be read first.

    Raises:
        MixError: there are too few documents.
    """
    if not scan.round_is_read:
        return None
    needed, share = scan.round
    if scan.base_tokens < needed and not scan.all_read:
        scan.note(scan.next_round())
        return None
    risky, base = scan.records("risky"), scan.records("base")
    try:
        plan = make_plan(mix, risky, base)
    except BaseTooSmall:
        if scan.all_read:
            raise
        scan.note(Round(math.ceil(needed * _MORE_BASE), share))
        return None
    stream, partition = text_bytes(plan, risky, base)
    states = [index.state for index in scan.indices]
    return Planned(plan, states, _groups(mix, stream, partition), *count(plan, mix, risky, base))


def _groups(mix: Mix, stream: int, partition: int) -> list[Group]:
    """The groups, from the bytes of the largest stream and of the larger partition."""
    ranges = max(1, math.ceil(stream / FILE_BYTES))
    groups = [Group(f"seed-{seed}", None, number, ranges) for number, seed in enumerate(mix.seeds)]
    roles = [role for role in ("base", "risky") if getattr(mix.heldout, role)]
    return groups + [Group(f"heldout-{role}", role, None, max(1, math.ceil(partition / FILE_BYTES))) for role in roles]


def check_chosen(mix: Mix, inputs: Sequence[Input], scan: Scan) -> None:
    """Check that the criteria choose documents, and that these meet all budgets, before the base is read.

    Raises:
        MixError: they do not. The message says how many documents each criterion left out.
    """
    read, left_out = criteria_counts(inputs, [index.state for index in scan.indices])
    if read and sum(left_out.values()) == read:
        told = ", ".join(f"{name} {number:,}" for name, number in left_out.items())
        raise MixError(f"criteria: none of {read:,} risky documents meets them; left out by {told}; loosen them")
    check_risky(mix, scan.records("risky"))


def criteria_counts(inputs: Sequence[Input], states: Sequence[State]) -> tuple[int, Mapping[str, int]]:
    """The number of risky documents, and how many each criterion left out, in the order in which they are tested."""
    left_out: dict[str, int] = {}
    read = 0
    for one, state in zip(inputs, states):
        if one.role == "risky":
            for name, number in state.counts.items():
                if name == "documents":
                    read += number
                else:
                    left_out[name] = left_out.get(name, 0) + number
    return read, left_out
