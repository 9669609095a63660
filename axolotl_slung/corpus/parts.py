"""Large files in parts, so that many tasks can label one file. The joined output is that of the whole file.

JSON lines that are not compressed are cut by bytes, Parquet files between row groups. A compressed file and a hub data set
cannot be read from the middle, so they stay whole.
"""

from __future__ import annotations

import fcntl
import functools
import heapq
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..packed import PACKINGS
from .chunks import Chunk
from .found import summed
from .output import STATE, Output, follow
from .sources import Source
from .tally import merged

PARTS = "parts"
"""The subfolder of `STATE` that holds the outputs of parts until they are joined."""


@dataclass(frozen=True)
class Part(Source):
    """The lines of a file that start in a range of bytes, or the rows of a Parquet file in a range.

    Attributes:
        start, stop: the range: bytes for JSON lines, rows for Parquet. `stop` is not part of it.
        weight: its share of the file in bytes.
    """

    start: int = 0
    stop: int = 0
    weight: int = 0

    @property
    def size(self) -> int:
        """Bytes of the part."""
        return self.weight

    @property
    def whole(self) -> Source:
        """The file."""
        return Source(self.name, self.path, self.kind, self.subset, self.split, self.columns)

    @property
    def folder(self) -> str:
        """The part's folder below the output's `STATE`."""
        return f"{PARTS}/{self.name}/{self.start}-{self.stop}"

    def identity(self) -> dict[str, Any]:
        """The file's identity, and the range."""
        return {**self.whole.identity(), "start": self.start, "stop": self.stop}

    def chunks(self, begin: dict | None = None) -> Iterator[Chunk]:
        """As `Source.chunks`. Lines are counted from the part's first one, rows from the file's."""
        key = "byte" if self.kind == "json" else "row"
        if begin is None:
            # a file's first line may begin with a byte order mark, so other parts begin at line 2
            first = {"line": self.first_line - 1, "byte": self._line_start()}
            begin = first if self.kind == "json" else {"row": self.start}
        if begin[key] >= self.stop:
            return
        at = begin[key]
        for chunk in self.whole.chunks(begin):
            if self.kind == "json":
                chunk = self._until_stop(chunk, at)
            at = chunk.end[key]
            yield chunk._replace(read=min(self.size, self._read(at)))
            if at >= self.stop:
                return

    @property
    def first_line(self) -> int:
        """The number that `chunks` gives to the part's first line."""
        return 2 if self.start else 1

    def _line_start(self) -> int:
        """The first byte at or after `start` at which a line begins."""
        if not self.start:
            return 0
        with open(self.path, "rb") as file:
            file.seek(self.start - 1)
            while (piece := file.readline(1 << 20)) and not piece.endswith(b"\n"):
                pass
            return file.tell()

    def _until_stop(self, chunk: Chunk, at: int) -> Chunk:
        """The chunk without the lines that start at `stop` or later. It begins at byte `at`."""
        if chunk.end["byte"] < self.stop:
            return chunk
        kept = 0
        for line in chunk.content:
            if at >= self.stop:
                break
            at, kept = at + len(line), kept + 1
        if kept == len(chunk.content):
            return chunk
        last = chunk.first + kept - 1
        bad = [entry for entry in chunk.bad if entry[0] <= last]
        return chunk._replace(content=chunk.content[:kept], end={"line": last, "byte": at}, bad=bad)

    def _read(self, at: int) -> int:
        return at - self.start if self.kind == "json" else self.weight * (at - self.start) // (self.stop - self.start)


def tasks(sources: Sequence[Source], number: int) -> list[list[Source]]:
    """Divide sources among tasks of about the same size. A source larger than a task's share is cut, if it can be.

    The result depends only on the sources and their sizes, so every task can work it out.

    Args:
        sources: see `inputs.find_sources`.
        number: the number of tasks.

    Returns:
        The sources and parts of each task.
    """
    share = max(1, -(-sum(source.size or 0 for source in sources) // number))
    items = [item for source in sources for item in _cut(source, share)]
    # largest first, each to the task with the least; a hub data set has no size and counts as a share
    items.sort(key=lambda item: -(share if item.size is None else item.size))
    loads = [(0, task) for task in range(number)]
    divided: list[list[Source]] = [[] for _ in range(number)]
    for item in items:
        load, task = heapq.heappop(loads)
        divided[task].append(item)
        # a task that has an empty file has something, too
        heapq.heappush(loads, (load + max(1, share if item.size is None else item.size), task))
    return divided


def _cut(source: Source, share: int) -> list[Source]:
    """The parts of a source, each about half of `share`; only the source if it is smaller than `share` or stays whole."""
    if source.size is None or source.size <= share or source.path.lower().endswith(tuple(PACKINGS)):
        return [source]
    # halves fill the tasks evenly beside files that stay whole
    number = -(-2 * source.size // share)
    if source.kind == "json":
        ends = [(source.size * index // number, source.size * index // number) for index in range(1, number + 1)]
    else:
        ends = _row_groups(source, number)
    if len(ends) < 2:
        return [source]
    starts = [(0, 0), *ends[:-1]]
    return [
        Part(
            source.name, source.path, source.kind, source.subset, source.split, source.columns,
            start=start, stop=stop, weight=to - before,
        )
        for (start, before), (stop, to) in zip(starts, ends)
    ]  # fmt: skip


def _row_groups(source: Source, number: int) -> list[tuple[int, int]]:
    """Up to `number` ends of runs of row groups, as `(row, byte)`; bytes are a share of the file's size."""
    from pyarrow import parquet

    metadata = parquet.read_metadata(source.path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    whole = max(1, sum(group.total_byte_size for group in groups))
    ends, rows, size = [], 0, 0
    for group in groups:
        rows, size = rows + group.num_rows, size + group.total_byte_size
        if not group.num_rows:
            continue
        if size * number >= whole * (len(ends) + 1) or group is groups[-1]:
            ends.append((rows, source.size * size // whole))
    if ends and ends[-1][0] != rows:
        ends.append((rows, source.size))
    return ends


def join(folder: Path, parts: Sequence[Part], identity: dict) -> bool:
    """Join the outputs of a file's parts into the file's output, if all are done.

    Several tasks may call it at once: one of them joins. A join that was interrupted begins again.

    Args:
        folder: the output folder.
        parts: all parts of one file.
        identity: the job's `Job.identity`.

    Returns:
        Whether the file's output is complete.
    """
    final = Output(folder, parts[0].whole, identity)
    outputs = [Output(folder / STATE / part.folder, part, identity) for part in parts]
    shared = folder / STATE / PARTS / final.source.name
    shared.mkdir(parents=True, exist_ok=True)
    with open(shared / "lock", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not is_done(final):
            if not all(map(is_done, outputs)):
                return False
            _join(final, outputs)
        for output in outputs:
            # the journals stay: they say what each task did
            output.path.unlink(missing_ok=True)
            output.bad_lines.unlink(missing_ok=True)
    return True


def is_done(output: Output) -> bool:
    """Whether an output is complete, without taking part in its run.

    Raises:
        OutputError: it belongs to another job.
    """
    recorded = output.recorded()
    return recorded is not None and recorded[0].finished and output.path.exists()


def _join(final: Output, outputs: Sequence[Output]) -> None:
    done = [output.recorded() for output in outputs]
    orders = [one.order for one, _ in done]
    progress = replace(
        done[-1][0],
        read=final.source.size,
        found=summed([one.found for one, _ in done]),
        entries=_entries(outputs),
        tally=functools.reduce(merged, [one.tally for one, _ in done]),
        order=functools.reduce(lambda before, after: follow(before, after, final.source.path), orders),
        **{name: sum(getattr(one, name) for one, _ in done) for name in ("size", "documents", "bad", "seconds")},
    )
    bad, lines = [], 0
    for output, (one, listed) in zip(outputs, done):
        moved = lines + 1 - output.source.first_line if output.source.kind == "json" else 0
        bad += [(number + moved, reason) for number, reason in listed]
        if output.source.kind == "json" and one.end is not None:
            lines += one.end["line"] - output.source.first_line + 1
    if final.source.kind == "json":
        progress.end = {**(progress.end or {}), "line": lines, "byte": final.source.size}
    with final.joined(progress, bad) as file:
        for output in outputs:
            with open(output.path, "rb") as part:
                shutil.copyfileobj(part, file, 1 << 22)


def _entries(outputs: Sequence[Output]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for output in outputs:
        for name, numbers in output.entries_found().items():
            found.setdefault(name, set()).update(numbers)
    return {name: sorted(numbers) for name, numbers in found.items()}
