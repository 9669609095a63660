"""Labeling as steps of a datatrove pipeline: on one machine, Slurm or Ray."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger

from ..errors import SlungError
from ..faults import checked
from ..labeling.record import recorded_cuts
from ..visible import visible
from .gpus import use_gpu, visible_gpus
from .inputs import find_sources
from .job import Job
from .output import STATE, Output
from .parts import Part, is_done, join, tasks
from .progress import progress_of, write_plan
from .record import claim
from .run import label_sources
from .sources import Source
from .told import told


class LabelFiles(PipelineStep):
    """Label files. Each task labels its share of them. The output is byte for byte that of `slung label`.

    A file that is larger than a task's share is cut (see `parts`). The task that finishes a file's last part joins them,
    which needs space for one more copy of that file's output.

    The last task to finish logs what was found, the warnings of `slung label`, and writes its lists of names that were
    never found. This is the first step of a pipeline, and usually the only one. A task that was killed resumes when it is started
    again, in the middle of a file if need be. Where several processes of one machine run tasks, each uses one of the GPUs.

    Args:
        inputs: files and folders, or ids of hub data sets; see `slung label`.
        output: the folder for the outputs. All tasks must share it.
        block: the `slung:` block, as a mapping.
        job: other arguments of `Job`, such as `text_field`, `form`, and `messages_field` for chats.
    """

    type = "🏷 - LABELS"
    name = "🎯 SLUNG files"

    def __init__(self, inputs: Sequence[str], output: str | Path, block: dict, **job):
        super().__init__()
        self.inputs, self.output, self.block, self.job = list(map(str, inputs)), str(output), block, job

    def run(self, data=None, rank: int = 0, world_size: int = 1):
        """Label the files and parts of task number `rank`; see `parts.tasks`."""
        if data:
            yield from data
        divided = self.tasks(world_size)
        write_plan(Path(self.output), divided)
        with self.track_time(), without_values():
            job = Job(checked(self.block), recorded=recorded_cuts(self._files()), **self.job)
            job.open_labelers()
            claim(Path(self.output), job)
            gpus = visible_gpus()
            if len(gpus) > 1:
                use_gpu(_process_number(), gpus)
            files = [source for source in divided[rank] if not isinstance(source, Part)]
            self._label(files, Path(self.output), job)
            for part in divided[rank]:
                if isinstance(part, Part):
                    self._label_part(part, divided, job)
            self._tell(job)

    def _tell(self, job: Job) -> None:
        """The last task to finish says what all of them found, and writes the lists of names that were never found."""
        folder = Path(self.output)
        if not all(task.finished for task in progress_of(folder)):
            return
        outputs = [Output(folder, source, job.identity()) for source in self._sources()]
        if not all(map(is_done, outputs)):
            return  # another task joins the parts of a file, and then comes here
        for output in outputs:
            output.progress = output.check()
        lines, warnings = told(outputs, folder, job)
        for line in lines:
            logger.info(f"slung: {line}")
        for text in warnings:
            logger.warning(f"slung: {visible(text)}")

    def tasks(self, number: int) -> list[list[Source]]:
        """The files and parts of each task."""
        return tasks(self._sources(), number)

    def _sources(self) -> list[Source]:
        return find_sources(self.inputs, Path(self.output))

    def _files(self) -> list[str]:
        return [source.path for source in self._sources() if source.kind != "hub"]

    def _label(self, sources, folder: Path, job: Job) -> None:
        # one worker: the executor's tasks already run in parallel
        for output in label_sources(sources, folder, job, workers=1, barren=True):
            self.stat_update("documents", value=output.progress.documents, unit="file")
            self.stat_update("bad_lines", value=output.progress.bad, unit="file")

    def _label_part(self, part: Part, divided, job: Job) -> None:
        folder = Path(self.output)
        if not is_done(Output(folder, part.whole, job.identity())):
            self._label([part], folder / STATE / part.folder, job)
        parts = [other for task in divided for other in task if isinstance(other, Part) and other.name == part.name]
        join(folder, sorted(parts, key=lambda other: other.start), job.identity())


class without_values:
    """Keeps texts out of the logs: datatrove logs an error with the values of the variables in its lines of code."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not isinstance(error, Exception):
            return
        if not isinstance(error, SlungError):
            for line in "".join(traceback.format_tb(trace)).splitlines():
                logger.error(f"slung: {visible(line)}")
        # only without these frames
        raise error.with_traceback(None) from None


def _process_number() -> int:
    """A number for this process: those that a pool starts one after the other have successive ones."""
    from datatrove.executor.local import multiprocess

    number = multiprocess.current_process()._identity
    return number[-1] if number else 0


class LabelDocuments(PipelineStep):
    """Label documents from any reader. `metadata["spans"]` gets what `slung label` writes.

    Args:
        block: the `slung:` block, as a mapping.
        batch_size: documents that labelers get at once.
        messages_field: the key of `metadata` with a chat's messages. Each message then gets `spans`, too.
        text_field: in chats, the key of a message's text.
    """

    type = "🏷 - LABELS"
    name = "🎯 SLUNG documents"

    def __init__(
        self, block: dict, batch_size: int = 200, messages_field: str | None = None, text_field: str = "content"
    ):
        super().__init__()
        self.block, self.batch_size = block, batch_size
        self.messages_field, self.text_field = messages_field, text_field

    def run(self, data, rank: int = 0, world_size: int = 1):
        """Yield the documents with their spans. Documents that cannot be labeled are left out, with a warning."""
        chats = {"messages_field": self.messages_field, "text_field": self.text_field} if self.messages_field else {}
        job = Job(checked(self.block), **chats)
        documents = iter(data)
        while batch := list(islice(documents, self.batch_size)):
            with self.track_time("batch"), without_values():
                rows = [{**document.metadata, "id": document.id, "text": document.text} for document in batch]
                problems = {number: what for number, row in enumerate(rows) if (what := job.problem(row)) is not None}
                good = [number for number in range(len(rows)) if number not in problems]
                columns, rejected = job.columns([rows[number] for number in good])
                problems |= {good[number]: f"not labeled: {what}" for number, what in rejected.items()}
            of_row = dict(zip(good, columns))
            for number, document in enumerate(batch):
                if number in problems:
                    logger.warning(f"slung: a document is left out: {problems[number]}")
                    self.stat_update("bad_documents")
                    continue
                self._write(document.metadata, of_row[number])
                self.stat_update("documents")
                yield document

    def _write(self, metadata: dict, columns) -> None:
        written = {path: json.dumps(column, separators=(",", ":")) for path, column in columns.items()}
        metadata["spans"] = written.pop(())
        if written:
            messages = metadata[self.messages_field]
            opened = json.loads(messages) if isinstance(messages, str) else messages
            for (_, number), spans in written.items():
                opened[number]["spans"] = spans
            metadata[self.messages_field] = json.dumps(opened) if isinstance(messages, str) else opened
