"""Label many sources on all cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from multiprocessing import current_process
from pathlib import Path

from ..errors import os_errors
from ..labeling.record import write_cuts
from .chunks import CHUNK_BYTES, Chunk
from .job import Job, Labeled
from .output import Output, OutputError, Progress
from .pool import Pool, cores
from .record import claim, compare, forget, known_identity
from .sources import Source

HOPELESS_LINES = 1000
HOPELESS_BYTES = 8 << 20
"""A run stops if its first 1000 lines, or its first 8 MB, give no document and errors only."""


class NothingLabeled(OutputError):
    """No line could be labeled. Nothing is left in the output folder."""


def label_sources(
    sources: Sequence[Source],
    folder: Path,
    job: Job,
    workers: int | None = None,
    report: Callable[[Source, Progress], None] = lambda source, progress: None,
    barren: bool = False,
) -> list[Output]:
    """Label sources into `folder`, and resume what an earlier run left there.

    The output depends neither on the number of workers nor on interruptions.

    Args:
        sources: see `inputs.find_sources`.
        folder: the folder for the outputs.
        job: how to label.
        workers: number of processes. None means one per core, or as many as the labelers allow. 1 means only this
            process.
        report: called after every chunk with the source and its progress.
        barren: whether the sources may give no document at all, as a part of a corpus may.

    Returns:
        The finished outputs.

    Raises:
        SlungError: raised before any labeling if the cause is already known.
    """
    if getattr(current_process(), "_inheriting", False):
        raise OutputError(
            "label_sources: called by a worker process while it starts; in a script, call it below "
            "`if __name__ == '__main__':`"
        )
    for source in sources:
        if columns := source.check():
            job.check_columns(columns, source.path)
    identity = known_identity(folder, job) or job.identity()
    compare(folder, identity)
    outputs = [Output(folder, source, identity) for source in sources]
    for output in outputs:
        output.progress = output.check()
    if all(output.progress.finished and output.path.exists() for output in outputs):
        return outputs
    claim(folder, job)
    write_cuts(folder, job.cuts)
    if workers is None:
        sizes = [cores() * CHUNK_BYTES if source.size is None else source.size for source in sources]
        # starting a process takes longer than labeling less than a chunk
        workers = min(cores(), 1 + sum(sizes) // CHUNK_BYTES, *(one.most_processes or cores() for one in job.labelers))
    try:
        with Pool(_Labeling(job), workers, "label_sources") as pool:
            _label_all(outputs, pool, report, barren)
    except NothingLabeled:
        for output in outputs:
            output.discard()
        forget(folder)
        raise
    return outputs


def _label_all(outputs: Sequence[Output], pool: Pool, report, barren: bool) -> None:
    labeled = sum(output.progress.documents for output in outputs)
    lines, size, reasons = 0, 0, []  # until the first document
    for output in outputs:
        with os_errors(output.path, OutputError), closing(output):
            begun = output.open()
            report(output.source, begun)
            if begun.finished:
                continue
            chunks = ((chunk, output.source.name) for chunk in output.source.chunks(begun.end))
            for (chunk, chunk_size), done in pool.run(chunks, _without_content):
                output.add(done, chunk.end, chunk.read)
                report(output.source, output.progress)
                labeled += done.documents
                if labeled or barren:
                    continue
                lines, size = lines + len(done.bad), size + chunk_size
                reasons += [f"{output.source.path}:{number}: {reason}" for number, reason in done.bad[:3]]
                if reasons and (lines >= HOPELESS_LINES or size >= HOPELESS_BYTES):
                    raise _nothing(lines, reasons, "first ")
            output.finish()
            report(output.source, output.progress)
    if reasons and not labeled:
        raise _nothing(lines, reasons, "")


def _nothing(lines: int, reasons: Sequence[str], first: str) -> NothingLabeled:
    return NothingLabeled(
        f"none of the {first}{lines} lines could be labeled, so nothing is written; fix the inputs or the options, "
        f"such as --text-field. The first reasons: {'; '.join(reasons[:3])}"
    )


class _Labeling:
    """Labels a chunk of the source with a name, and takes the time. The worker processes get it pickled."""

    def __init__(self, job: Job):
        self._job = job

    def __call__(self, item: tuple[Chunk, str]) -> Labeled:
        start = time.perf_counter()
        return self._job.label(*item)._replace(seconds=time.perf_counter() - start)


def _without_content(item: tuple[Chunk, str]) -> tuple[Chunk, int]:
    """A chunk without its content, and the content's bytes."""
    chunk, _ = item
    return chunk._replace(content=()), sum(map(len, chunk.content))
