"""The cost of labeling a whole data set, estimated from a sample."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..errors import SlungError
from ..labels.buckets import Action
from .statistics import RiskReport

STEP_TIME = {action.value: 0.79 for action in Action if action.traits.has_loss} | dict.fromkeys(
    (Action.MASK.value, Action.HIDDEN_TOKEN.value), 0.73
)
"""Time of a training step relative to stock Axolotl, by the action of its tokens.

Source: docs/measurements.md, "A training step". Measured once, with SmolLM2-135M in float32 on two CPU cores, on
text that is nearly all trained. A masked token also saves the head's share of the time."""


@dataclass(frozen=True)
class Sample:
    """The cost of labeling the sample.

    Attributes:
        documents: number of documents.
        bytes: size on disk, in the same format as the size of the whole data set.
        seconds: wall time of all steps of labeling; None if it is unknown.
        cores: number of busy cores.
        labeled_bytes: size of the prepared data set.
        file_bytes: size of the files that `slung label` writes; None if it is unknown.
    """

    documents: int
    bytes: int
    seconds: float | None
    cores: int
    labeled_bytes: int
    file_bytes: int | None = None


@dataclass(frozen=True)
class Estimate:
    """An estimate in proportion to the sample.

    Attributes:
        times: size of the whole data set divided by the sample's.
        by: the size that was used, `bytes` or `documents`.
        cores: number of cores that `hours` assumes.
        core_hours, hours: labeling time in core hours, and in hours on `cores` cores; None if it is unknown.
        disk_bytes: size of the prepared data set.
        file_bytes: size of the files that `slung label` writes; None if it is unknown.
        step_time: time of a training step relative to stock Axolotl; see `STEP_TIME`.
        loss_share: share of the tokens that Axolotl would train on without slung that keep a loss.
    """

    times: float
    by: str
    cores: int
    core_hours: float | None
    hours: float | None
    disk_bytes: int
    file_bytes: int | None
    step_time: float | None
    loss_share: float | None

    def to_json(self) -> dict:
        return asdict(self)


def estimate(
    report: RiskReport,
    sample: Sample,
    *,
    total_bytes: int | None = None,
    total_documents: int | None = None,
    cores: int = 1,
) -> Estimate:
    """Estimate labeling time, disk size and step time for the whole data set.

    Labeling time is assumed proportional to the data and inversely proportional to the cores. That holds unless disk or
    memory is the bottleneck. Step time is the mean of `STEP_TIME` over the trainable tokens. Differences of a few
    percent are within the noise of the measurement.

    Args:
        report: the report on the sample.
        sample: the cost of labeling the sample.
        total_bytes, total_documents: size of the whole data set. Bytes are used if both are known. If neither is known,
            the estimate is for the sample itself.
        cores: number of cores that will label the data set, at least one.

    Raises:
        SlungError: the sample is empty.
    """
    times, by = 1.0, "documents"
    for kind, total, size in (("documents", total_documents, sample.documents), ("bytes", total_bytes, sample.bytes)):
        if total is not None:
            if size <= 0:
                raise SlungError(f"sample: no {kind} in it, so the whole cannot be estimated; use a larger sample")
            times, by = total / size, kind
    core_hours = None if sample.seconds is None else sample.seconds * sample.cores * times / 3600
    step_time = loss_share = None
    if report.trainable:
        saved = sum(report.outcomes[action] * (1 - factor) for action, factor in STEP_TIME.items())
        step_time, loss_share = 1 - saved / report.trainable, report.loss_tokens / report.trainable
    disk = round(sample.labeled_bytes * times)
    files = None if sample.file_bytes is None else round(sample.file_bytes * times)
    hours = None if core_hours is None else core_hours / cores
    return Estimate(times, by, cores, core_hours, hours, disk, files, step_time, loss_share)
