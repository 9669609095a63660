"""The settings that decide the labels of one data set."""

from __future__ import annotations

from dataclasses import dataclass

from ...labeling.base import Labeler
from ...labels.buckets import Bucket
from ...labels.noise import Noise


@dataclass(frozen=True)
class Policy:
    """How one data set is labeled. It is part of the pickle that `datasets` uses to name its cache files.

    Attributes:
        labelers: the labelers of this data set, opened.
        buckets: in ascending order.
        where: the data set's place in the YAML, for messages.
        text_field: the string whose characters span columns count, if the labeler does not name one. None if the type
            has several strings.
        eos: the rule for end-of-sequence tokens: train, mask or inherit.
        mask_document_starts: whether a row's first token has no loss.
        noise: what drops and adds spans at random, or None.
        finders: the labelers that find instead of scoring, sorted, see `Setup.finders`.
        fingerprint: a digest of everything that decides the labels. Empty for a stream, whose labels are not kept.
    """

    labelers: tuple[Labeler, ...]
    buckets: tuple[Bucket, ...]
    where: str
    text_field: str | None
    eos: str
    mask_document_starts: bool
    fingerprint: str
    finders: tuple[str, ...] = ()
    noise: Noise | None = None
