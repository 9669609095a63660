"""Which document goes where: drawn from the index, and small enough for every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .choose import CannotMeet, Draw, draw, keys
from .config import Mix, MixError
from .index import Records, among
from .reading import BUCKETS

# the purposes of random keys
_BASE, _RISKY, _REPLACED = range(3)
_HELDOUT = {"base": 3, "risky": 4}
_ORDER = {"base": 5, "risky": 6}
_ORDER_OF_HELDOUT = {"base": 7, "risky": 8}


@dataclass
class Plan:
    """The draws of a mix.

    Attributes:
        levels: number of budgets.
        seeds: of the streams.
        heldout: by role, the draw of the partition.
        texts: by role, the digests of the texts held out, sorted.
        base: the base documents of all streams.
        risky, replaced: for each seed the risky documents, and the base documents that they replace, by budget.
    """

    levels: int
    seeds: Sequence[int]
    heldout: dict[str, Draw] = field(default_factory=dict)
    texts: dict[str, np.ndarray] = field(default_factory=dict)
    base: Draw = field(default_factory=lambda: Draw(_BASE, 0))
    risky: list[Draw] = field(default_factory=list)
    replaced: list[Draw] = field(default_factory=list)

    def held_out(self, role: str, start: int, records: np.ndarray) -> np.ndarray:
        """Which documents of a block are in the role's partition, bool `[documents]`."""
        return self.heldout[role].levels(start, np.ones(len(records), bool)) == 0

    def usable(self, role: str, start: int, records: np.ndarray) -> np.ndarray:
        """Which documents of a block a stream may have: none with a text that is held out. bool `[documents]`."""
        return ~among(records["digest"], self.texts[role])

    def in_streams(self, start: int, records: np.ndarray) -> np.ndarray:
        """Which base documents of a block the streams are made of, bool `[documents]`."""
        return self.base.levels(start, self.usable("base", start, records)) == 0

    def stays(self, role: str, number: int, start: int, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The budgets of seed `seeds[number]` that have each document of a block: `[first, last)`, int64 each."""
        if role == "risky":
            first = self.risky[number].levels(start, self.usable(role, start, records))
            return first, np.full(len(records), self.levels)
        there = self.in_streams(start, records)
        # a budget of 0 replaces nothing
        last = self.replaced[number].levels(start, there)
        return np.zeros(len(records), np.int64), np.where(there, last, 0)

    def order(self, role: str, seed: int | None, start: int, count: int) -> np.ndarray:
        """Keys by which documents are sorted in the streams of a seed, or in the role's partition (None).

        Returns:
            uint64 `[count]`, of the documents from `start` on.
        """
        purpose = (_ORDER_OF_HELDOUT if seed is None else _ORDER)[role]
        return keys(purpose, seed or 0, start, count)


def make_plan(mix: Mix, risky: Records, base: Records) -> Plan:
    """Draw everything.

    Raises:
        MixError: there are too few tokens, or a number of tokens cannot be met.
    """
    plan = Plan(len(mix.levels), mix.seeds)
    _hold_out(plan, mix, "risky", risky)
    _hold_out(plan, mix, "base", base)
    usable = {role: lambda start, block, role=role: plan.usable(role, start, block) for role in ("base", "risky")}
    with _told(["tokens"], [mix.tokens], "base"):
        plan.base = draw(base, usable["base"], [mix.tokens], _BASE)
    budgets = [budget for _, budget in mix.levels]
    for seed in mix.seeds:
        with _told([f"budgets.{name}" for name, _ in mix.levels], budgets, "risky"):
            plan.risky.append(draw(risky, usable["risky"], budgets, _RISKY, seed))
        drawn = _tokens(plan, risky, len(plan.risky) - 1)
        with _told([f"budgets.{name}" for name, _ in mix.levels], drawn, "base"):
            plan.replaced.append(draw(base, plan.in_streams, drawn, _REPLACED, seed))
    return plan


def check_risky(mix: Mix, risky: Records) -> None:
    """Check that the risky documents meet all budgets, before the base is read.

    Raises:
        MixError: they do not.
    """
    plan = Plan(len(mix.levels), mix.seeds)
    _hold_out(plan, mix, "risky", risky)
    with _told([f"budgets.{name}" for name, _ in mix.levels], [budget for _, budget in mix.levels], "risky"):
        draw(
            risky,
            lambda start, block: plan.usable("risky", start, block),
            [budget for _, budget in mix.levels],
            _RISKY,
            mix.seeds[0],
        )


def _hold_out(plan: Plan, mix: Mix, role: str, records: Records) -> None:
    target = getattr(mix.heldout, role)
    with _told([f"heldout.{role}"], [target], role):
        plan.heldout[role] = draw(records, lambda start, block: np.ones(len(block), bool), [target], _HELDOUT[role])
    texts = [block["digest"][plan.held_out(role, start, block)] for start, block in records.blocks()]
    plan.texts[role] = np.unique(np.concatenate([np.zeros(0, np.uint64), *texts]))


def _tokens(plan: Plan, risky: Records, number: int) -> list[int]:
    """The risky tokens of each budget of a seed."""
    sums = np.zeros(plan.levels + 1, np.int64)
    for start, block in risky.blocks():
        first, _ = plan.stays("risky", number, start, block)
        sums += np.bincount(first, block["tokens"], plan.levels + 1).astype(np.int64)
    return np.cumsum(sums[:-1]).tolist()


class BaseTooSmall(MixError):
    """The base documents that were read do not meet a number of tokens."""


class _told:
    """Turns `CannotMeet` into a message about a key of the YAML."""

    def __init__(self, names: Sequence[str], targets: Sequence[int], role: str):
        self._names, self._targets, self._role = names, targets, role

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not isinstance(error, CannotMeet):
            return
        key, target = self._names[error.level], self._targets[error.level]
        others = " that are not held out and meet the criteria" if self._role == "risky" else " that are not held out"
        kind = BaseTooSmall if self._role == "base" else MixError
        if error.available < target:
            raise kind(
                f"{key}: {target:,}: the {self._role} documents{others} have {error.available:,} tokens; lower it, or "
                f"add files to `{self._role}`"
            ) from None
        raise kind(
            f"{key}: {target:,}: no choice of {self._role} documents has as many tokens within 0.1 %, since the number "
            "is small beside the documents; raise it, or add files"
        ) from None


def count(plan: Plan, mix: Mix, risky: Records, base: Records) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Documents, tokens and bytes of all streams and partitions.

    Returns:
        For each seed and budget, and for each role's partition, counts of documents and tokens, by role and bucket.
    """
    size = plan.levels + 1
    streams = []
    for number, seed in enumerate(mix.seeds):
        sums = {name: np.zeros(size, np.int64) for name in ("risky", "base", "risky documents", "base documents")}
        bytes_of = np.zeros(size, np.int64)
        buckets = np.zeros((size, len(BUCKETS)), np.int64)
        for start, block in risky.blocks():
            first, _ = plan.stays("risky", number, start, block)
            sums["risky"] += np.bincount(first, block["tokens"], size).astype(np.int64)
            sums["risky documents"] += np.bincount(first, minlength=size)
            bytes_of += np.bincount(first, block["size"], size).astype(np.int64)
            for bucket in range(len(BUCKETS)):
                buckets[:, bucket] += np.bincount(first, block["buckets"][:, bucket], size).astype(np.int64)
        for start, block in base.blocks():
            there = plan.in_streams(start, block)
            last = plan.replaced[number].levels(start, there)[there]
            sums["base"] += np.bincount(last, block["tokens"][there], size).astype(np.int64)
            sums["base documents"] += np.bincount(last, minlength=size)
        total, documents = int(sums["base"].sum()), int(sums["base documents"].sum())
        for level, (name, budget) in enumerate(mix.levels):
            replaced, gone = (int(sums[key][: level + 1].sum()) for key in ("base", "base documents"))
            drawn = int(sums["risky"][: level + 1].sum())
            streams.append(
                {
                    "seed": seed,
                    "budget": name,
                    "budget_tokens": budget,
                    "path": f"seed-{seed}/{name}",
                    "tokens": {"base": total - replaced, "risky": drawn, "total": total - replaced + drawn},
                    "documents": {
                        "base": documents - gone,
                        "risky": int(sums["risky documents"][: level + 1].sum()),
                    },
                    "replaced": {"tokens": replaced, "documents": gone},
                    "risky_tokens": _named(buckets[: level + 1].sum(axis=0)),
                }
            )
    return streams, {role: _of_partition(plan, role, one) for role, one in (("base", base), ("risky", risky))}


def _of_partition(plan: Plan, role: str, records: Records) -> dict[str, Any]:
    tokens = documents = 0
    buckets = np.zeros(len(BUCKETS), np.int64)
    for start, block in records.blocks():
        held = block[plan.held_out(role, start, block)]
        tokens += int(held["tokens"].sum())
        documents += len(held)
        buckets += held["buckets"].sum(axis=0, dtype=np.int64)
    found = {"tokens": tokens, "documents": documents}
    return {**found, "risky_tokens": _named(buckets)} if role == "risky" else found


def _named(buckets: np.ndarray) -> dict[str, int]:
    return {bucket.name: int(tokens) for bucket, tokens in zip(BUCKETS, buckets)}


def text_bytes(plan: Plan, risky: Records, base: Records) -> tuple[int, int]:
    """Bytes of text of the largest stream and of the larger partition, for the number of files."""
    stream = partition = 0
    for role, records in (("base", base), ("risky", risky)):
        held = 0
        for start, block in records.blocks():
            if role == "base":
                there = plan.in_streams(start, block)
            else:
                firsts = [plan.stays(role, number, start, block)[0] for number in range(len(plan.seeds))]
                there = np.min(firsts, axis=0) < plan.levels
            stream += int(block["size"][there].sum(dtype=np.int64))
            held += int(block["size"][plan.held_out(role, start, block)].sum(dtype=np.int64))
        partition = max(partition, held)
    return stream, partition
