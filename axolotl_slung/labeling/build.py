"""Builds the labelers of the `slung:` block."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from itertools import count
from typing import Any

from .base import Labeler
from .cache import SpanCache
from .identity import digest
from .registry import LABELERS, check_installed


def names_of(configs: Sequence) -> list[str]:
    """The name for each labeler's scores: its `name`, or its type, with a number if the type is already used."""
    names = [config.name for config in configs]
    for index, config in enumerate(configs):
        if names[index] is None:
            tries = (config.type if n == 1 else f"{config.type}_{n}" for n in count(1))
            names[index] = next(name for name in tries if name not in names)
    return names


def build(block: Any) -> list[Labeler]:
    """The labelers of a block, opened and checked.

    Args:
        block: the `slung:` block (`config.SlungConfig`).

    Raises:
        SlungError: a labeler cannot work.
    """
    labelers = []
    for index, (config, labeler_name) in enumerate(zip(block.labelers, names_of(block.labelers))):
        key = f"slung.labelers[{index}]"
        check_installed(config.type, key)
        options = config.model_dump(exclude={"type", "datasets", "name"})
        kind = LABELERS[config.type].load()
        decisive = {"type": config.type, **options}
        if "thresholds" in signature(kind).parameters:
            # not decisive: scores are on the right side of any threshold, whichever are given
            options["thresholds"] = [bucket.below for bucket in block.resolved_buckets()[:-1]]
        labeler = kind(key, **options)
        labeler.name = labeler_name
        labeler.check()
        labeler.digest = digest(labeler, decisive)
        if labeler.cached and block.cache:
            labeler.cache = SpanCache(labeler.digest, labeler_name)
        labelers.append(labeler)
    return labelers
