"""Building a mix as steps of datatrove pipelines: on one machine, Slurm or Ray."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger

from ..corpus.datatrove import without_values
from .build import Work
from .config import Mix, MixError
from .inputs import Input
from .make import locked, make, mode_of, work_folder
from .planned import Planned


class MixStep(PipelineStep):
    """A step of a mix, the only one of its pipeline. It begins when all tasks of the step before it have ended.

    `make.begin` must have claimed the folder. The files have the bytes that `slung mix` writes, whatever the number of
    tasks. A task that was killed resumes when it is started again, and no step depends on the number of tasks of
    another.

    Args:
        mix, inputs, tokenizer: as `make.make` gets them.
        output: the mix's folder. All tasks must share it.

    Attributes:
        divided: whether many tasks can divide the step. Otherwise it has one task.
    """

    type = "🥣 - MIXES"
    divided: ClassVar[bool] = True

    def __init__(self, mix: Mix, inputs: Sequence[Input], tokenizer: Any, output: str | Path):
        super().__init__()
        self.mix, self.inputs, self.tokenizer, self.output = mix, inputs, tokenizer, str(output)

    def run(self, data=None, rank: int = 0, world_size: int = 1):
        """Do the part of the step that is task number `rank`'s.

        Raises:
            MixError: the mix cannot be built, or a step before this one is not complete.
        """
        if data:
            yield from data
        with self.track_time(), without_values():
            self.do(rank, world_size)

    @abstractmethod
    def do(self, rank: int, world_size: int) -> None:
        """Do the part of task number `rank`."""

    @contextmanager
    def task(self, rank: int, world_size: int) -> Iterator[Work]:
        """The work of a task, with the folder locked against `slung mix`."""
        output, mode = Path(self.output), mode_of(self.inputs)
        with locked(output, mode, shared=True):
            yield Work(self.mix, self.inputs, work_folder(output), mode, _quiet, task=rank, tasks=world_size)


class ReadInputs(MixStep):
    """Read inputs into their indices. A task reads whole inputs: risky ones to their end, base ones to the share that
    is needed, as far as that is known.

    Args:
        role: of the inputs.
    """

    name = "📖 SLUNG read"

    def __init__(self, *arguments, role: Literal["risky", "base"]):
        super().__init__(*arguments)
        self.role = role

    def do(self, rank: int, world_size: int) -> None:
        """Read this task's inputs."""
        with self.task(rank, world_size) as work:
            if work.recorded() is not None:
                return
            with work.scan(self.tokenizer) as scan:
                read = work.read_risky if self.role == "risky" else work.read_base
                for number in read(scan):
                    state = scan.indices[number].state
                    self.stat_update("documents", value=state.counts.get("documents", 0), unit="file")
                    self.stat_update("bad_lines", value=state.bad, unit="file")


class ShareBase(MixStep):
    """Determine how much of each base input is read, from the part that has been read."""

    name = "📏 SLUNG share"
    divided = False

    def do(self, rank: int, world_size: int) -> None:
        """Write how far the base is read next, or the plan if enough of it has been read."""
        with self.task(rank, world_size) as work:
            if work.recorded() is None:
                with work.scan(self.tokenizer) as scan:
                    work.advance(scan)


class PlanMix(MixStep):
    """Draw the documents of all streams. If they need more of the base than has been read, this reads it."""

    name = "🎲 SLUNG plan"
    divided = False

    def do(self, rank: int, world_size: int) -> None:
        """Write the plan."""
        with self.task(rank, world_size) as work:
            work.planned(self.tokenizer)


class SortDocuments(MixStep):
    """Sort the documents into units, each file by one task, and compute the digests of the inputs."""

    name = "📚 SLUNG sort"

    def do(self, rank: int, world_size: int) -> None:
        """Sort the documents of this task's inputs."""
        with self.task(rank, world_size) as work:
            planned = _planned(work)
            work.sort(planned)
            work.hash_sources(planned)


class WriteFiles(MixStep):
    """Write the files of streams and partitions."""

    name = "💽 SLUNG write"

    def do(self, rank: int, world_size: int) -> None:
        """Write this task's files."""
        with self.task(rank, world_size) as work:
            work.write(_planned(work))


class FinishMix(MixStep):
    """Write the manifest and move the files to their places: `slung mix`, for which all else has been done."""

    name = "🏁 SLUNG manifest"
    divided = False

    def do(self, rank: int, world_size: int) -> None:
        """Complete the mix."""
        make(self.mix, self.inputs, self.tokenizer, Path(self.output), 1, _quiet)
        logger.info(f"slung: {self.output} is complete")


def mix_steps(mix: Mix, inputs: Sequence[Input], tokenizer: Any, output: str | Path) -> list[MixStep]:
    """The steps of a mix in their order, each for a pipeline of its own. See `MixStep`."""
    common = (mix, inputs, tokenizer, output)
    return [
        ReadInputs(*common, role="risky"),
        ReadInputs(*common, role="base"),
        ShareBase(*common),
        ReadInputs(*common, role="base"),
        PlanMix(*common),
        SortDocuments(*common),
        WriteFiles(*common),
        FinishMix(*common),
    ]


def _planned(work: Work) -> Planned:
    if (planned := work.recorded()) is None:
        raise MixError(f"{work.folder}: there is no plan; run the steps before this one again")
    return planned


def _quiet(*_) -> None:
    """Report nothing: the executor says which tasks have ended."""
