"""Labeling as steps of a datatrove pipeline: on one machine, Slurm or Ray."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from datatrove.utils.logging import logger

from ..faults import checked
from .inputs import find_sources
from .job import Job
from .run import label_sources


class LabelFiles(PipelineStep):
    """Label whole files. Each task labels its share of them. The output is byte for byte that of `slung label`.

    This is the first step of a pipeline, and usually the only one. A task that was killed resumes when it is started
    again, in the middle of a file if need be.

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
        """Label every `world_size`-th file, beginning with number `rank`."""
        if data:
            yield from data
        sources = find_sources(self.inputs, Path(self.output))[rank::world_size]
        with self.track_time():
            job = Job(checked(self.block), **self.job)
            # one worker: the executor's tasks already run in parallel
            for output in label_sources(sources, Path(self.output), job, workers=1):
                self.stat_update("documents", value=output.progress.documents, unit="file")
                self.stat_update("bad_lines", value=output.progress.bad, unit="file")


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
            with self.track_time("batch"):
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
