"""The `slung:` block of a config, resolved and with its labelers opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...config import SlungConfig
from ...labeling.base import Labeler
from ...labeling.build import build
from ...labeling.identity import stamp
from ...labeling.record import recorded_cuts
from ...labeling.scores import ANY
from ...labels.buckets import Bucket
from ..conflicts import fused_loss
from .fingerprint import fingerprint

_built: tuple | None = None
"""`((key, stamps), labelers)` of the last labelers opened. Each hook makes a `Setup`; opening may take minutes."""


def _stamps(labelers) -> list:
    """The stamps of all files of the labelers. A stamp changes when its file changes."""
    return [stamp(path) for labeler in labelers for path in labeler.files() if path.exists()]


def _paths(cfg: Mapping) -> list[str]:
    """The local files and folders of the config's data sets, as they are written."""
    found = []
    for key in ("datasets", "test_datasets", "pretraining_dataset"):
        for entry in cfg.get(key) or []:
            entry = entry if isinstance(entry, Mapping) else {"path": entry}
            files = entry.get("data_files") or []
            for of_split in files.values() if isinstance(files, Mapping) else [files]:
                found += [of_split] if isinstance(of_split, str) else of_split
            path = entry.get("path") or ""
            found += [path] if Path(path).expanduser().exists() else []
    return found


class Setup:
    """Everything that the `slung:` block decides.

    Args:
        cfg: Axolotl's config, validated.

    Attributes:
        config: the block.
        buckets: in ascending order.
        cuts: the known cuts of each name that spans can have.
        finders: the names of spans whose scores are not compared with cuts: whatever was found is risky.
        fused_loss: the fused loss that the config uses instead of slung's, or None.
        code_masked: whether masked tokens are written as codes. Their nll can only be logged if they are.
    """

    def __init__(self, cfg: Mapping):
        self._cfg = cfg
        block = cfg["slung"]
        config = SlungConfig.model_validate(block.to_dict() if hasattr(block, "to_dict") else dict(block))
        recorded = recorded_cuts(_paths(cfg)) if any(labeler.type == "spans" for labeler in config.labelers) else {}
        self.config = config.with_recorded(recorded)
        self.cuts = {**recorded, **self.config.cuts_by_name()}
        self.finders = frozenset(name for name, cuts in self.cuts.items() if cuts == ANY)
        self.buckets: tuple[Bucket, ...] = self.config.resolved_buckets()
        self.fused_loss = fused_loss(cfg)
        monitor = self.config.monitor_masked
        self.code_masked = self.fused_loss is None if monitor is None else monitor

    def open_labelers(self) -> list[Labeler]:
        """The labelers, opened and checked. All data sets of a run share them until one of their files changes.

        Raises:
            SlungError: a labeler cannot work.
        """
        global _built
        key = self.config.model_dump_json(include={"labelers", "cache", "method", "buckets"})
        if _built is None or _built[0] != (key, _stamps(_built[1])):
            labelers = build(self.config)
            _built = ((key, _stamps(labelers)), labelers)
        return _built[1]

    def labelers_of(self, path: str) -> list[Labeler]:
        """The labelers of the data set with this `path`."""
        named = zip(self.config.labelers, self.open_labelers())
        return [labeler for config, labeler in named if config.datasets is None or path in config.datasets]

    def fingerprint(self, entries: Sequence[Mapping], tokenizer: Any) -> str:
        """The digest of everything that decides the labels of `entries` (of `datasets:`) with the model's tokenizer."""
        block = self.config.model_dump(mode="json", exclude={"labelers", "cache"})
        block["code_masked"] = self.code_masked
        block["cuts"] = [config.cuts_made() for config in self.config.labelers]
        labelers = [
            [labeler.digest, config.datasets] for config, labeler in zip(self.config.labelers, self.open_labelers())
        ]
        return fingerprint(self._cfg, block, labelers, entries, tokenizer)
