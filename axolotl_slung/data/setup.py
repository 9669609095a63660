"""The `slung:` block of a config, made ready to label with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from ..args import SlungConfig
from ..buckets import Bucket
from ..conflicts import fused_loss
from ..labeling.base import Labeler
from ..labeling.build import build
from .fingerprint import fingerprint, local_files


class Setup:
    """Everything that the block decides.

    Args:
        cfg: Axolotl's config, validated.

    Attributes:
        config: the block.
        buckets: ascending.
        fused_loss: the fused loss that the config uses in place of slung's, or None.
        code_masked: whether masked tokens are written as codes, so that their nll can be watched.
    """

    def __init__(self, cfg: Mapping):
        block = cfg["slung"]
        self.config = SlungConfig.model_validate(block.to_dict() if hasattr(block, "to_dict") else dict(block))
        self.buckets: tuple[Bucket, ...] = self.config.resolved_buckets()
        self.fused_loss = fused_loss(cfg)
        monitor = self.config.monitor_masked
        self.code_masked = self.fused_loss is None if monitor is None else monitor

    @cached_property
    def labelers(self) -> list[Labeler]:
        """The labelers, opened and checked.

        Raises:
            LabelerError: one of them cannot work.
        """
        return build(self.config.labelers, self.config.sentence_splitter)

    def labelers_of(self, path: str) -> list[Labeler]:
        """The labelers of the data set with this `path`."""
        named = zip(self.config.labelers, self.labelers)
        return [labeler for config, labeler in named if config.datasets is None or path in config.datasets]

    def fingerprint(self, datasets) -> str:
        """The digest of all that decides the labels of `datasets` (Axolotl's entries)."""
        block = {**self.config.model_dump(mode="json"), "code_masked": self.code_masked}
        # where a file lies does not matter, its content does
        labelers = [{k: v for k, v in one.items() if k not in ("path", "model")} for one in block["labelers"]]
        return fingerprint(
            {**block, "labelers": labelers},
            [path for labeler in self.labelers for path in labeler.files()],
            [path for entry in datasets for path in local_files(entry)],
        )
