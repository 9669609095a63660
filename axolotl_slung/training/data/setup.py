"""The `slung:` block of a config, made ready to label with."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ...config import SlungConfig
from ...labeling.base import Labeler
from ...labeling.build import build
from ...labeling.identity import stamp
from ...labels.buckets import Bucket
from ..conflicts import fused_loss
from .fingerprint import fingerprint

LOG = logging.getLogger(__name__)

_built: tuple | None = None
"""The labelers opened last and what they were opened for: each hook makes a `Setup`, and opening may take minutes."""


def _stamps(labelers) -> list:
    """What changes when a labeler's file does."""
    return [stamp(path) for labeler in labelers for path in labeler.files() if path.exists()]


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
        self._cfg = cfg
        block = cfg["slung"]
        self.config = SlungConfig.model_validate(block.to_dict() if hasattr(block, "to_dict") else dict(block))
        self.buckets: tuple[Bucket, ...] = self.config.resolved_buckets()
        self.fused_loss = fused_loss(cfg)
        monitor = self.config.monitor_masked
        self.code_masked = self.fused_loss is None if monitor is None else monitor

    def open_labelers(self) -> list[Labeler]:
        """The labelers, opened and checked; the same ones for all data sets of a run, while their files stay the same.

        Raises:
            SlungError: one of them cannot work.
        """
        global _built
        key = self.config.model_dump_json(include={"labelers", "cache", "method", "buckets"})
        if _built is None or _built[0] != (key, _stamps(_built[1])):
            labelers = build(self.config)
            if self.config.buckets is None and any(config.type == "profanity" for config in self.config.labelers):
                LOG.warning(
                    "slung.buckets: left out, and the presets' cuts are not made for `type: profanity`, which gives harmless "
                    "sentences a few hundredths: nearly everything is above 1e-4; `slung sweep` helps to choose buckets"
                )
            _built = ((key, _stamps(labelers)), labelers)
        return _built[1]

    def labelers_of(self, path: str) -> list[Labeler]:
        """The labelers of the data set with this `path`."""
        named = zip(self.config.labelers, self.open_labelers())
        return [labeler for config, labeler in named if config.datasets is None or path in config.datasets]

    def fingerprint(self, entries, tokenizer) -> str:
        """The digest of all that decides the labels of `entries` (of `datasets:`) with the model's tokenizer."""
        block = self.config.model_dump(mode="json", exclude={"labelers", "cache"})
        block["code_masked"] = self.code_masked
        labelers = [
            [labeler.digest, config.datasets] for config, labeler in zip(self.config.labelers, self.open_labelers())
        ]
        return fingerprint(self._cfg, block, labelers, entries, tokenizer)
