"""What labeling a whole data set will take, judged by a sample of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..errors import SlungError
from ..labels.buckets import LOSS_ACTIONS, Action
from .statistics import RiskReport

STEP_TIME = {action.value: 0.79 for action in (*LOSS_ACTIONS, Action.CONTROL_TOKEN)} | {Action.MASK.value: 0.73}
"""Time of a training step of tokens of an action, against stock Axolotl: docs/measurements.md, "A training step" (SmolLM2-135M
in float32 on two CPU cores, one run, for text that is nearly all trained; a masked token saves the head's share as well)."""


@dataclass(frozen=True)
class Sample:
    """What labeling the sample took.

    Attributes:
        documents: how many.
        bytes: their size on disk, in the form in which the whole data set's is known.
        seconds: wall time of the labeling, all of its steps.
        cores: cores that it kept busy.
        labeled_bytes: size of what was written.
    """

    documents: int
    bytes: int
    seconds: float
    cores: int
    labeled_bytes: int


@dataclass(frozen=True)
class Estimate:
    """An estimate, all in proportion to the sample.

    Attributes:
        times: how often the sample fits into the whole.
        by: what that was judged by, `bytes` or `documents`.
        cores: on how many `hours` of labeling are spent.
        core_hours, hours: of labeling.
        disk_bytes: of what will be written.
        step_time: a training step's time against stock Axolotl's; see `STEP_TIME`.
        loss_share: of the tokens that Axolotl alone would train on, those that keep a loss.
    """

    times: float
    by: str
    cores: int
    core_hours: float
    hours: float
    disk_bytes: int
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
    """Hours, disk and step time for the whole data set.

    Labeling is taken to grow with the data and to shrink with the cores, which holds as long as neither the disk nor
    the memory is the bottleneck. The step time is the mean of `STEP_TIME` over the trainable tokens: differences of a few
    percent are within the noise of how it was measured.

    Args:
        report: the sample's.
        sample: what it took.
        total_bytes, total_documents: of the whole data set; bytes are the better guide where both are known, and
            where neither is, the estimate is for the sample itself.
        cores: that will label it.

    Raises:
        SlungError: a sample of nothing, or no cores.
    """
    if cores < 1 or sample.cores < 1:
        raise SlungError(f"labeling on {min(cores, sample.cores)} cores never ends; give 1 or more")
    times, by = 1.0, "documents"
    for kind, total, size in (("documents", total_documents, sample.documents), ("bytes", total_bytes, sample.bytes)):
        if total is not None:
            if size <= 0:
                raise SlungError(f"the sample has no {kind} to judge the whole by; label a larger one")
            times, by = total / size, kind
    core_hours = sample.seconds * sample.cores * times / 3600
    step_time = loss_share = None
    if report.trainable:
        saved = sum(report.outcomes[action] * (1 - factor) for action, factor in STEP_TIME.items())
        step_time, loss_share = 1 - saved / report.trainable, report.loss_tokens / report.trainable
    disk = round(sample.labeled_bytes * times)
    return Estimate(times, by, cores, core_hours, core_hours / cores, disk, step_time, loss_share)
