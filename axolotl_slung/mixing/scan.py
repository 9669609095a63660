"""Reads the inputs into their indices: the risky ones to their end, and of each base file the same share.

The base is read in rounds. Each round reads a larger share than the one before. Several tasks may read the inputs of a
round, and one then notes the next round in a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..corpus.chunks import Chunk
from ..corpus.pool import Pool
from ..packed import suffix_of
from .config import MixError
from .documents import NoDocument, document_of
from .index import Index, Records, among
from .journal import Journal, entries_of
from .reading import Read, Reading

_HOPELESS = 1000
"""An input stops the command if so many of its first lines are bad."""
_FIRST = 20
"""Lines of each input that are looked at before anything long starts."""
_MORE = 1.02
"""How much more is read than seems necessary, so that few rounds are."""

_ROUNDS = "rounds.journal"

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


class Round(NamedTuple):
    """How far each base input is read.

    Attributes:
        needed: tokens of all base inputs.
        share: of each input's extent. Of a hub data set, whose extent is not known, the same share of `needed`.
    """

    needed: int
    share: float


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
        self._extents: dict[int, int | None] = {}

    def numbers(self, role: str) -> list[int]:
        """The numbers of a role's inputs."""
        return [number for number, one in enumerate(self._reading.inputs) if one.role == role]

    def records(self, role: str) -> Records:
        """The records of a role's inputs."""
        return Records([self.indices[number] for number in self.numbers(role)])

    def read_risky(self, numbers: Sequence[int]) -> None:
        """Read risky inputs to their end."""
        sizes = [self._reading.inputs[number].source.size for number in numbers]
        self._read(numbers, None, "reading risky documents", None if None in sizes else sum(filter(None, sizes)))

    def read_base(self, numbers: Sequence[int]) -> None:
        """Read base inputs as far as the last round says. All risky inputs must have been read."""
        until = self.round
        self._read(numbers, until, "reading base documents", until.needed)

    # ---- rounds

    @property
    def round(self) -> Round:
        """The last round that was noted. The first one reads a chunk of each base input."""
        return round_of(self._folder, self._reading.mix.tokens + self._reading.mix.heldout.base)

    def note(self, following: Round) -> None:
        """Note the next round."""
        with Journal(self._folder / _ROUNDS, self._mode) as journal:
            journal.add(following)

    @property
    def round_is_read(self) -> bool:
        """Whether all base inputs have been read as far as the last round says."""
        until = self.round
        return all(self._is_read(number, until) for number in self.numbers("base"))

    @property
    def all_read(self) -> bool:
        """Whether every base input has been read to its end."""
        return all(self.indices[number].state.finished for number in self.numbers("base"))

    @property
    def base_tokens(self) -> int:
        """The tokens of the base that were read."""
        return sum(self.indices[number].state.tokens for number in self.numbers("base"))

    def next_round(self) -> Round:
        """The round that probably gives all tokens that are needed, after one that did not."""
        needed, now = self.round
        left = [number for number in self.numbers("base") if not self.indices[number].state.finished]
        of_left = [(self._share(number, needed), self.indices[number].state.tokens) for number in left]
        return Round(needed, _next_share(now, of_left, _MORE * (needed - self.base_tokens)))

    def _share(self, number: int, needed: int) -> float:
        """The share of a base input that was read."""
        state, extent = self.indices[number].state, self._extent(number)
        if extent is None:
            return state.tokens / needed
        return self._reading.inputs[number].done(state.end) / max(extent, 1)

    def _extent(self, number: int) -> int | None:
        if number not in self._extents:
            self._extents[number] = self._reading.inputs[number].extent()
        return self._extents[number]

    @cached_property
    def _risky(self) -> np.ndarray:
        """The digests of all risky texts, sorted."""
        digests = [np.unique(block["digest"]) for _, block in self.records("risky").blocks()]
        return np.unique(np.concatenate([np.zeros(0, np.uint64), *digests]))

    # ---- reading

    def _read(self, numbers: Sequence[int], until: Round | None, stage: str, total: int | None) -> None:
        """Read inputs on, each to its end or as far as a round of the base says."""
        stopped: set[int] = set()
        done = {number: self._done(number, until) for number in numbers}
        unit = "tokens" if until else "B"
        self._report(stage, unit, sum(done.values()), total)
        current: int | None = None
        try:
            for (number, chunk), read in self._pool.run(self._chunks(numbers, until, stopped), _without_content):
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
                index.add(chunk.end, _without_risky(read, self._risky) if until else read)
                self._check(number, read)
                # of a hub data set only the results tell
                if until and self._extent(number) is None and self._is_read(number, until):
                    stopped.add(number)
                done[number] = index.state.tokens if until else chunk.read
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

    def _done(self, number: int, until: Round | None) -> int:
        state, source = self.indices[number].state, self._reading.inputs[number].source
        if until:
            return state.tokens
        return (source.size or 0) if state.finished else 0

    def _chunks(
        self, numbers: Sequence[int], until: Round | None, stopped: set[int]
    ) -> Iterator[tuple[int, Chunk | None]]:
        for number in numbers:
            one, state = self._reading.inputs[number], self.indices[number].state
            if self._is_read(number, until):
                continue
            for chunk in one.chunks(state.end):
                yield number, chunk
                if number in stopped or (until and self._reaches(number, chunk.end, until)):
                    break
            else:
                yield number, None

    def _is_read(self, number: int, until: Round | None) -> bool:
        """Whether an input has been read as far as it has to be."""
        state = self.indices[number].state
        if state.finished or until is None or state.end is None:
            return state.finished
        if self._extent(number) is None:
            return state.tokens >= until.share * until.needed
        return self._reaches(number, state.end, until)

    def _reaches(self, number: int, end: dict, until: Round) -> bool:
        """Whether an input of known extent is read as far as a round says when this position is reached."""
        extent = self._extent(number)
        return extent is not None and self._reading.inputs[number].done(end) >= until.share * extent


def round_of(folder: Path, needed: int) -> Round:
    """The last round that was noted in the folder of indices; without one, a round that needs so many tokens."""
    noted = entries_of(folder / _ROUNDS)
    return Round(*noted[-1]) if noted else Round(needed, 0.0)


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
