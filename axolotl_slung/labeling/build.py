"""Labelers out of the `slung:` block."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from .base import Labeler

_CLASSES = {
    "fasttext": ("fasttext", "FastTextLabeler"),
    "entities": ("entities", "EntitiesLabeler"),
    "patterns": ("patterns", "PatternsLabeler"),
    "spans": ("spans", "SpansLabeler"),
    "dolma": ("dolma", "DolmaLabeler"),
}


def build(configs: Sequence, splitter: str) -> list[Labeler]:
    """The labelers of a block, opened and checked.

    Args:
        configs: the entries of `slung.labelers` (see `args.py`).
        splitter: how sentence classifiers cut sentences.

    Raises:
        LabelerError: one of them cannot work.
    """
    labelers = []
    for index, config in enumerate(configs):
        # imported here: a run pays for the libraries of the labelers that it uses, and for no others
        module, name = _CLASSES[config.type]
        options = config.model_dump(exclude={"type", "datasets"})
        if config.type == "fasttext":
            options["splitter"] = splitter
        labeler = getattr(import_module(f".{module}", __package__), name)(f"slung.labelers[{index}]", **options)
        labeler.check()
        labelers.append(labeler)
    return labelers
