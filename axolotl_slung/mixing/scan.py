"""Reads the inputs into their indices: the risky ones to their end, and of each base file the same share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..corpus.chunks import Chunk
from ..corpus.pool import Pool
from ..packed import suffix_of
from .config import MixError
from .documents import NoDocument, document_of
from .index import Index, Records, among
from .journal import Journal
from .reading import Read, Reading

_HOPELESS = 1000
"""An input stops the command if so many of its first lines are bad."""
_FIRST = 20
"""Lines of each input that are looked at before anything long starts."""
_MORE = 1.02
"""How much more is read than seems necessary, so that few rounds are."""

Report = Callable[[str, str, int, int | None], None]
"""Called with what is done, the unit, how far it is, and the end; None if that is not known."""


def check(reading: Reading) -> None:
    """Check that the first lines of every input are documents with the scores that are asked for.

    Raises:
        MixError: of an input, none is.
    """
    for one in reading.inputs:
        first = next(one.chunks(), None)
        if first is None:
            continue
        reasons, entry = [], getattr(reading.mix, one.role)[one.entry]
        for number, line in list(enumerate(first.content, first.first))[:_FIRST]:
            try:
                document_of(line, number, one.name, entry)
            except NoDocument as error:
                reasons.append(f"line {number}: {error}")
            else:
                break
        else:
            raise MixError(f"{one.key}: none of its first lines is a document; {dict(first.bad).get(1) or reasons[0]}")


def check_size(reading: Reading, role: str, needed: int, key: str) -> None:
    """Check that files are not too small: a token has at least one byte.

    Raises:
        MixError: they are.
    """
    files = [one.source for one in reading.inputs if one.role == role]
    if any(one.kind != "json" or suffix_of(one.path) for one in files):
        return
    if (size := sum(one.size or 0 for one in files)) < needed:
        raise MixError(
            f"{key}: {needed:,} tokens, but the files of `{role}` have only {size:,} bytes; lower it, or add files"
        )


class Scan:
    """The indices of all inputs.

    Args:
        reading: what is done with a chunk.
        pool: processes that do it.
        folder: of the indices.
        mode: the permissions of their files.
        report: see `Report`.
    """

    def __init__(self, reading: Reading, pool: Pool, folder: Path, mode: int, report: Report):
        self._reading, self._pool, self._folder, self._mode, self._report = reading, pool, folder, mode, report
        self.indices = [Index(folder / f"{number:05}", mode) for number in range(len(reading.inputs))]
        for index in self.indices:
            index.open()
            index.close()

    def records(self, role: str) -> Records:
        """The records of a role's inputs."""
        return Records([index for one, index in zip(self._reading.inputs, self.indices) if one.role == role])

    def risky(self) -> None:
        """Read all risky inputs to their end."""
        numbers = [number for number, one in enumerate(self._reading.inputs) if one.role == "risky"]
        sizes = [self._reading.inputs[number].source.size for number in numbers]
        total = None if None in sizes else sum(sizes)
        self._read(numbers, {}, "reading risky documents", total, None)

    def base(self, needed: int) -> None:
        """Read the same share of each base input, until there are enough tokens or all is read.

        Of a hub data set, whose size is not known, the same share of the tokens needed is read.

        Args:
            needed: tokens.
        """
        numbers = [number for number, one in enumerate(self._reading.inputs) if one.role == "base"]
        extents = {number: self._reading.inputs[number].extent() for number in numbers}

        def share(number: int) -> float:
            state, extent = self.indices[number].state, extents[number]
            if extent is None:
                return state.tokens / needed
            return self._reading.inputs[number].done(state.end) / max(extent, 1)

        digests = [np.unique(block["digest"]) for _, block in self.records("risky").blocks()]
        risky = np.unique(np.concatenate([np.zeros(0, np.uint64), *digests]))
        with Journal(self._folder / "shares.journal", self._mode) as journal:
            shares = list(journal.entries) or [0.0]
            if not journal.entries:
                journal.add(0.0)
            while True:
                stops = dict.fromkeys(numbers, shares[-1])
                self._read(numbers, stops, "reading base documents", needed, (extents, needed, risky))
                tokens = sum(self.indices[number].state.tokens for number in numbers)
                left = [number for number in numbers if not self.indices[number].state.finished]
                if tokens >= needed or not left:
                    return
                of_left = [(share(number), self.indices[number].state.tokens) for number in left]
                shares.append(_next_share(shares[-1], of_left, _MORE * (needed - tokens)))
                journal.add(shares[-1])

    @property
    def all_read(self) -> bool:
        """Whether every input has been read to its end."""
        return all(index.state.finished for index in self.indices)

    def _read(self, numbers: Sequence[int], stops, stage: str, total: int | None, base) -> None:
        """Read inputs on, each to its end or until the share of it that was read reaches its stop."""
        stopped: set[int] = set()
        done = {number: self._done(number, base) for number in numbers}
        unit = "tokens" if base else "B"
        self._report(stage, unit, sum(done.values()), total)
        current: int | None = None
        try:
            for (number, chunk), read in self._pool.run(self._chunks(numbers, stops, base, stopped), _without_content):
                if number != current:
                    self._close(current)
                    current = None
                    self.indices[number].open()
                    current = number
                if number in stopped:
                    continue
                index = self.indices[number]
                if read is None:
                    index.finish()
                    continue
                index.add(chunk.end, _without_risky(read, base[2]) if base else read)
                self._check(number, read)
                if base and base[0][number] is None and index.state.tokens >= stops[number] * base[1]:
                    stopped.add(number)
                done[number] = index.state.tokens if base else chunk.read
                self._report(stage, unit, sum(done.values()), total)
        finally:
            self._close(current)

    def _check(self, number: int, read: Read) -> None:
        one, state = self._reading.inputs[number], self.indices[number].state
        if state.bad >= _HOPELESS and not state.counts.get("documents") and read.bad:
            raise MixError(f"{one.key}: none of its first {state.lines} lines is a document; {read.bad[0][1]}")

    def _close(self, number: int | None) -> None:
        if number is not None:
            self.indices[number].commit()
            self.indices[number].close()

    def _done(self, number: int, base) -> int:
        state, source = self.indices[number].state, self._reading.inputs[number].source
        if base:
            return state.tokens
        return (source.size or 0) if state.finished else 0

    def _chunks(self, numbers, stops, base, stopped: set[int]) -> Iterator[tuple[int, Chunk | None]]:
        for number in numbers:
            one, state = self._reading.inputs[number], self.indices[number].state
            if state.finished or (
                state.end is not None and number in stops and self._enough(number, state.end, stops, base)
            ):
                continue
            for chunk in one.chunks(state.end):
                yield number, chunk
                if number in stopped or (number in stops and self._enough(number, chunk.end, stops, base)):
                    break
            else:
                yield number, None

    def _enough(self, number: int, end: dict, stops, base) -> bool:
        """Whether reading stops at this position. Of a hub data set only the results tell."""
        extent = base[0][number]
        if extent is None:
            return (
                self.indices[number].state.tokens >= stops[number] * base[1] and self.indices[number].state.end == end
            )
        return self._reading.inputs[number].done(end) >= stops[number] * extent


def _next_share(now: float, inputs: Sequence[tuple[float, int]], missing: float) -> float:
    """The share of each input that gives the tokens that are missing, if they are evenly spread in each.

    Args:
        now: the share of the last round.
        inputs: of each input the share that was read, and its tokens.
        missing: tokens.
    """
    whole = [(share, tokens / max(share, 1e-9)) for share, tokens in inputs]
    low, high = now, max(now, *(share for share, _ in inputs)) + 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum(max(0.0, middle - share) * tokens for share, tokens in whole) < missing:
            low = middle
        else:
            high = middle
    return high


def _without_risky(read: Read, risky: np.ndarray) -> Read:
    """What a chunk of the base holds, without documents whose text is among the risky ones."""
    keep = ~among(read.records["digest"], risky)
    if keep.all():
        return read
    return read._replace(records=read.records[keep], counts={**read.counts, "also_risky": int((~keep).sum())})


def _without_content(item: tuple[int, Chunk | None]) -> tuple[int, Chunk | None]:
    number, chunk = item
    return number, chunk and chunk._replace(content=())
