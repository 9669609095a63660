"""Worker processes that do one kind of work, item by item, with results in order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any

from .gpus import use_gpu, visible_gpus
from .output import OutputError

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Worker processes. At most two items per worker are in flight.

    Args:
        work: a function of an item. The processes get it pickled.
        workers: number of processes; 1 means only this process.
        caller: the function that scripts call, for the error when a process cannot start.
    """

    def __init__(self, work: Callable[[Any], Any], workers: int, caller: str):
        self._work, self._workers, self._caller, self._pool = work, workers, caller, None
        self._works = False

    def __enter__(self):
        if self._workers > 1:
            # spawn: the parent may hold threads, locks and a GPU, which do not survive a fork
            context = get_context("spawn")
            started, gpus = context.Value("i", 0), visible_gpus()
            self._pool = ProcessPoolExecutor(self._workers, context, _start_worker, (self._work, started, gpus))
        return self

    def __exit__(self, kind, *_):
        if self._pool:
            if kind is not KeyboardInterrupt:
                self._pool.shutdown(cancel_futures=True)
                return
            with _uninterrupted():  # a second Ctrl-C must not leave workers
                # an item may take minutes, and what is unfinished is done again anyway
                for process in list(self._pool._processes.values()):
                    process.terminate()
                self._pool.shutdown(cancel_futures=True)

    def run(self, items: Iterable[Any], kept: Callable[[Any], Any] = lambda item: item) -> Iterator[tuple[Any, Any]]:
        """What `kept` leaves of each item, and the item's result, in order.

        Raises:
            OutputError: a process died.
        """
        if not self._pool:
            for item in items:
                yield kept(item), self._work(item)
            return
        in_flight: deque = deque()

        def oldest():
            rest, future = in_flight.popleft()
            result = future.result()
            self._works = True
            return rest, result

        try:
            for item in items:
                with _uninterrupted():  # this may start a worker, and only the parent reacts to Ctrl-C
                    future = self._pool.submit(_do, item)
                in_flight.append((kept(item), future))
                if len(in_flight) >= 2 * self._workers:
                    yield oldest()
            while in_flight:
                yield oldest()
        except BrokenProcessPool:
            guard = (
                "" if self._works else f"; if this is a script, call {self._caller} below `if __name__ == '__main__':`"
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


_work: Callable[[Any], Any]


def _start_worker(work, started, gpus: list[str]) -> None:
    global _work
    _work = work
    with started:
        number = started.value
        started.value += 1
    use_gpu(number, gpus)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a killed parent cannot stop its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in _THREADS:
        # each core already has its own process
        os.environ[name] = "false" if name.startswith("TOKEN") else "1"


def _die_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _do(item):
    return _work(item)
