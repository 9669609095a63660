"""Builds the labelers of the `slung:` block."""

from __future__ import annotations

from inspect import signature
from typing import Any

from .base import Labeler
from .cache import SpanCache
from .identity import digest
from .registry import LABELERS, check_installed, names_of
from .scores import ANY, Scale


def build(block: Any, scaled: bool = True) -> list[Labeler]:
    """The labelers of a block, opened and checked.

    Args:
        block: the `slung:` block (`config.SlungConfig`).
        scaled: whether scores are moved to the scale of the block's preset, if it has no `buckets`.

    Raises:
        SlungError: a labeler cannot work, or a preset has no cuts for its scores.
    """
    labelers = []
    pair = block.scale() if scaled else None
    for index, (config, labeler_name) in enumerate(zip(block.labelers, names_of(block.labelers))):
        key = f"slung.labelers[{index}]"
        check_installed(config.type, key)
        options = config.model_dump(exclude={"type", "datasets", "name", "cuts"})
        kind = LABELERS[config.type].load()
        decisive = {"type": config.type, **options}
        if "thresholds" in signature(kind).parameters:
            # not decisive: scores are on the right side of any threshold, whichever are given
            cuts = config.cuts_made() or ()
            options["thresholds"] = (
                [bucket.below for bucket in block.buckets[:-1]] if block.buckets else list(cuts) if cuts != ANY else []
            )
        labeler = kind(key, **options)
        labeler.name = labeler_name
        labeler.scale = pair and Scale(key, config.cuts_made(), pair)
        labeler.check()
        labeler.digest = digest(labeler, decisive)
        if labeler.cached and block.cache:
            labeler.cache = SpanCache(labeler.digest, labeler_name)
        labelers.append(labeler)
    return labelers
