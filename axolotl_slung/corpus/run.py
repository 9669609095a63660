"""Label many sources on all cores."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from multiprocessing import current_process, get_context, parent_process
from pathlib import Path

from ..errors import os_errors
from ..labeling.record import write_cuts
from .chunks import CHUNK_BYTES, Chunk
from .gpus import use_gpu, visible_gpus
from .job import Job, Labeled
from .output import Output, OutputError, Progress
from .record import claim, compare, forget, known_identity
from .sources import Source

HOPELESS_LINES = 1000
HOPELESS_BYTES = 8 << 20
"""A run stops if its first 1000 lines, or its first 8 MB, give no document and errors only."""


class NothingLabeled(OutputError):
    """No line could be labeled. Nothing is left in the output folder."""


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        with _Pool(job, workers) as pool:
            _label_all(outputs, pool, report, barren)
    except NothingLabeled:
        for output in outputs:
            output.discard()
        forget(folder)
        raise
    return outputs


def _label_all(outputs: Sequence[Output], pool: _Pool, report, barren: bool) -> None:
    labeled = sum(output.progress.documents for output in outputs)
    lines, size, reasons = 0, 0, []  # until the first document
    for output in outputs:
        with os_errors(output.path, OutputError), closing(output):
            begun = output.open()
            report(output.source, begun)
            if begun.finished:
                continue
            for chunk, done, chunk_size in pool.label(output.source.chunks(begun.end), output.source.name):
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


class _Pool:
    """Worker processes that label chunks in order. At most two chunks per worker are in flight."""

    def __init__(self, job: Job, workers: int):
        self._job, self._workers, self._pool = job, workers, None
        self._works = False

    def __enter__(self):
        if self._workers > 1:
            # spawn: the parent may hold threads, locks and a GPU, which do not survive a fork
            context = get_context("spawn")
            started, gpus = context.Value("i", 0), visible_gpus()
            self._pool = ProcessPoolExecutor(self._workers, context, _start_worker, (self._job, started, gpus))
        return self

    def __exit__(self, kind, *_):
        if self._pool:
            if kind is not KeyboardInterrupt:
                self._pool.shutdown(cancel_futures=True)
                return
            with _uninterrupted():  # a second Ctrl-C must not leave workers
                # a chunk may take minutes, and what is unfinished is labeled again anyway
                for process in list(self._pool._processes.values()):
                    process.terminate()
                self._pool.shutdown(cancel_futures=True)

    def label(self, chunks, name: str):
        """`Chunk` (without its content), `Labeled`, and the bytes of the content."""
        if not self._pool:
            for chunk in chunks:
                yield chunk, _timed(self._job, chunk, name), sum(map(len, chunk.content))
            return
        in_flight: deque = deque()

        def oldest():
            chunk, size, future = in_flight.popleft()
            labeled = future.result()
            self._works = True
            return chunk, labeled, size

        try:
            for chunk in chunks:
                with _uninterrupted():  # this may start a worker, and only the parent reacts to Ctrl-C
                    future = self._pool.submit(_label, chunk, name)
                in_flight.append((chunk._replace(content=()), sum(map(len, chunk.content)), future))
                if len(in_flight) >= 2 * self._workers:
                    yield oldest()
            while in_flight:
                yield oldest()
        except BrokenProcessPool:
            guard = (
                "" if self._works else ("; if this is a script, call label_sources below `if __name__ == '__main__':`")
            )
            raise OutputError(
                "--workers: a worker process died, probably because memory ran out; run the same command again with "
                f"fewer --workers, and it resumes here{guard}"
            ) from None


@contextmanager
def _uninterrupted():
    """Hold Ctrl-C back. Processes that are started meanwhile never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_job: Job


def _start_worker(job: Job, started, gpus: list[str]) -> None:
    global _job
    _job = job
    with started:
        number = started.value
        started.value += 1
    use_gpu(number, gpus)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a killed parent cannot stop its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        # each core already has its own process
        os.environ[name] = "false" if name.startswith("TOKEN") else "1"


def _die_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _label(chunk: Chunk, name: str) -> Labeled:
    return _timed(_job, chunk, name)


def _timed(job: Job, chunk: Chunk, name: str) -> Labeled:
    start = time.perf_counter()
    return job.label(chunk, name)._replace(seconds=time.perf_counter() - start)
