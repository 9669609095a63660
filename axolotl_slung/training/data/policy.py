"""What decides the labels of one data set."""

from __future__ import annotations

from dataclasses import dataclass

from ...labeling.base import Labeler
from ...labels.buckets import Bucket


@dataclass(frozen=True)
class Policy:
    """How one data set is labeled; part of a pickle by which `datasets` names its cache files.

    Attributes:
        labelers: ready to label, those of this data set only.
        buckets: ascending.
        where: the data set's place in the YAML, for messages.
        text_field: the string that span columns count characters of, where a labeler does not say; None where the type
            has several.
        eos: the rule for end-of-sequence tokens: train, mask or inherit.
        mask_document_starts: no loss on a row's first token.
        fingerprint: of everything that decides the labels. Empty for a stream, whose labels are not kept.
    """

    labelers: tuple[Labeler, ...]
    buckets: tuple[Bucket, ...]
    where: str
    text_field: str | None
    eos: str
    mask_document_starts: bool
    fingerprint: str
