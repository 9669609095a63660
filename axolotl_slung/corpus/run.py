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
from contextlib import closing
from multiprocessing import get_context, parent_process
from pathlib import Path

from .gpus import use_gpu, visible_gpus
from .job import Job, Labeled
from .output import Output, OutputError, Progress
from .sources import CHUNK_BYTES, Chunk, Source


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def label_sources(
    sources: Sequence[Source],
    folder: Path,
    job: Job,
    workers: int | None = None,
    report: Callable[[Source, Progress], None] = lambda source, progress: None,
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

    Returns:
        The finished outputs.

    Raises:
        SlungError: raised before any labeling if the cause is already known.
    """
    identity = job.identity()
    if workers is None:
        sizes = [cores() * CHUNK_BYTES if source.size is None else source.size for source in sources]
        # starting a process takes longer than labeling less than a chunk
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
    """Worker processes that label chunks in order. At most two chunks per worker are in flight."""

    def __init__(self, job: Job, workers: int):
        self._job, self._workers, self._pool = job, workers, None

    def __enter__(self):
        if self._workers > 1:
            # spawn: the parent may hold threads, locks and a GPU, which do not survive a fork
            context = get_context("spawn")
            started, gpus = context.Value("i", 0), visible_gpus()
            self._pool = ProcessPoolExecutor(self._workers, context, _start_worker, (self._job, started, gpus))
        return self

    def __exit__(self, *_):
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def label(self, chunks, name: str):
        """Pairs of `Chunk` (without its content) and `Labeled`."""
        if not self._pool:
            yield from ((chunk, _timed(self._job, chunk, name)) for chunk in chunks)
            return
        in_flight: deque = deque()
        try:
            for chunk in chunks:
                in_flight.append((chunk._replace(content=()), self._pool.submit(_label, chunk, name)))
                if len(in_flight) >= 2 * self._workers:
                    done, future = in_flight.popleft()
                    yield done, future.result()
            for done, future in in_flight:
                yield done, future.result()
        except BrokenProcessPool:
            raise OutputError(
                "--workers: a worker process died, probably because memory ran out; run the same command again with "
                "fewer --workers, and it resumes here"
            ) from None


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
