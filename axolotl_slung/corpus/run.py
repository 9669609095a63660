"""Many sources on all cores."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import get_context, parent_process
from pathlib import Path

from .job import Job, Labeled
from .output import Output, OutputError, Progress
from .sources import CHUNK_BYTES, Chunk, Source


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def label_sources(
    sources: Sequence[Source],
    folder: Path,
    job: Job,
    workers: int | None = None,
    report: Callable[[Source, Progress], None] = lambda source, progress: None,
) -> list[Output]:
    """Label sources into `folder`, going on with whatever an earlier run left there.

    The output does not depend on the number of workers, nor on interruptions.

    Args:
        sources: see `inputs.find_sources`.
        folder: of the outputs.
        job: what to do.
        workers: processes; None for as many as there are cores (and labelers allow), 1 for this process alone.
        report: called after every chunk with how far the source is.

    Returns:
        The finished outputs.

    Raises:
        LabelerError, SourceError, OutputError: before any labeling where that can be known.
    """
    identity = job.identity()
    if workers is None:
        sizes = [cores() * CHUNK_BYTES if source.size is None else source.size for source in sources]
        # a process that starts for less than a chunk costs more than it brings
        workers = min(cores(), 1 + sum(sizes) // CHUNK_BYTES, *(one.most_processes or cores() for one in job.labelers))
    outputs = [Output(folder, source, identity) for source in sources]
    with _Pool(job, workers) as pool:
        for output in outputs:
            begun = output.open()
            with closing(output):
                report(output.source, begun)
                if begun.finished:
                    continue
                for chunk, labeled in pool.label(output.source.chunks(begun.end), output.source.name):
                    output.add(labeled, chunk.end, chunk.read)
                    report(output.source, output.progress)
                output.finish()
                report(output.source, output.progress)
    return outputs


class _Pool:
    """Worker processes that label chunks in order; at most two a worker are on their way at any time."""

    def __init__(self, job: Job, workers: int):
        self._job, self._workers, self._pool = job, workers, None

    def __enter__(self):
        if self._workers > 1:
            # spawn: the parent may hold threads, locks and a GPU that a fork would break
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _start_worker, (self._job,))
        return self

    def __exit__(self, *_):
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def label(self, chunks, name: str):
        """Pairs of `Chunk` (without its content) and `Labeled`."""
        if not self._pool:
            yield from ((chunk, self._job.label(chunk, name)) for chunk in chunks)
            return
        on_their_way: deque = deque()
        try:
            for chunk in chunks:
                on_their_way.append((chunk._replace(content=()), self._pool.submit(_label, chunk, name)))
                if len(on_their_way) >= 2 * self._workers:
                    done, future = on_their_way.popleft()
                    yield done, future.result()
            for done, future in on_their_way:
                yield done, future.result()
        except BrokenProcessPool:
            raise OutputError(
                "a worker process died, most likely for want of memory; run the same command again with fewer "
                "--workers: it goes on where this one stopped"
            ) from None


_job: Job


def _start_worker(job: Job) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a parent that is killed cannot tell its workers to stop
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        # every core has a process of its own already
        os.environ[name] = "false" if name.startswith("TOKEN") else "1"


def _die_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _label(chunk: Chunk, name: str) -> Labeled:
    return _job.label(chunk, name)
