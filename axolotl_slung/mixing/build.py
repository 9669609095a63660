"""Builds a mix in a folder, and goes on where an earlier run stopped. Tasks on many machines can divide each step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any

from ..corpus.chunks import CHUNK_BYTES
from ..corpus.pool import Pool, cores
from ..labeling.record import recorded_cuts
from ..storage import sha256_of
from .config import Mix, MixError
from .index import Index, State
from .inputs import Input
from .journal import Journal, Results, entries_of, results_in
from .planned import Planned, check_chosen, plan_or_next_round, read_planned
from .reading import Reading
from .scan import Report, Scan
from .spill import Joining, Ranges, Spilling, ranges_of
from .units import Unit, slices, unit_name, units

_UNIT = 8
"""Chunks of lines that one process sorts at once."""
_UNIT_OF_TASK = 64
"""The same of a task of several. Their corpora are larger, and a range is put together from all units."""

PARTS = "parts"


@dataclass(frozen=True)
class Built:
    """A mix whose files are complete.

    Attributes:
        streams, heldout: for the manifest; see `plan.count`. Each has its `files`.
        indices: of the inputs.
        digests: of each input the SHA-256 of its file, None if it was not read to its end, and those of its attributes.
    """

    streams: list[dict[str, Any]]
    heldout: dict[str, Any]
    indices: list[Index]
    digests: list[tuple[str | None, list[str]]]


@dataclass(frozen=True)
class Work:
    """The steps of a build. All state is in the folder, whoever does a step.

    Attributes:
        mix: the YAML.
        inputs: see `find_inputs`.
        folder: what is there of an earlier run of the same mix is used.
        mode: permissions of files.
        report: see `Report`.
        workers: number of processes.
        keep: whether the files stay, or only what the manifest says of them.
        task, tasks: the number of this task among those that divide the steps. All of a step's tasks must have ended
            before one of the next step begins.
    """

    mix: Mix
    inputs: Sequence[Input]
    folder: Path
    mode: int
    report: Report
    workers: int = 1
    keep: bool = True
    task: int = 0
    tasks: int = 1

    # ---- reading and planning

    @contextmanager
    def scan(self, tokenizer: Any) -> Iterator[Scan]:
        """The indices of the inputs, and processes that read on."""
        cuts = recorded_cuts(one.source.path for one in self.inputs if one.role == "risky" and one.source.kind != "hub")
        reading = Reading(self.mix, self.inputs, tokenizer, cuts)
        with _one_thread(), Pool(reading, self.workers, "mix") as pool:
            yield Scan(reading, pool, self.folder / "index", self.mode, self.report)

    def read_risky(self, scan: Scan) -> list[int]:
        """Read this task's risky inputs to their end; their numbers."""
        numbers = self._mine(scan, "risky")
        scan.read_risky(numbers)
        return numbers

    def read_base(self, scan: Scan) -> list[int]:
        """Read this task's base inputs as far as the last round says; their numbers."""
        numbers = self._mine(scan, "base")
        scan.read_base(numbers)
        return numbers

    def advance(self, scan: Scan) -> None:
        """Write the plan, or how far the base must be read for it. One task does it.

        Raises:
            MixError: there are too few documents.
        """
        check_chosen(self.mix, self.inputs, scan)
        if (planned := plan_or_next_round(self.mix, scan)) is not None:
            planned.write(self._plan, self.mode)

    def planned(self, tokenizer: Any) -> Planned:
        """The plan. What has not been read for it is read. One task does it.

        Raises:
            MixError: there are too few documents.
        """
        if (planned := self.recorded()) is not None:
            return planned
        with self.scan(tokenizer) as scan:
            self.read_risky(scan)
            check_chosen(self.mix, self.inputs, scan)
            self.read_base(scan)
            while (planned := plan_or_next_round(self.mix, scan)) is None:
                self.read_base(scan)
        planned.write(self._plan, self.mode)
        return planned

    def recorded(self) -> Planned | None:
        """The plan, if it has been written."""
        return read_planned(self._plan)

    # ---- sorting and writing

    def indices(self, planned: Planned) -> list[Index]:
        """The indices of all inputs."""
        states = enumerate(planned.states)
        return [Index(self.folder / "index" / f"{number:05}", self.mode, state) for number, state in states]

    def sort(self, planned: Planned) -> None:
        """Sort the documents of this task's slices into units.

        Raises:
            MixError: an input has changed.
        """
        indices = self.indices(planned)
        runs = slices(indices)
        done = [entries_of(self._units(number)) for number in range(len(runs))]
        left = [
            number
            for number in self._share([sum(planned.states[place].tokens for place in run) for run in runs])
            if not done[number] or done[number][-1][0] is not None
        ]
        if not left:
            return
        spilling = Spilling(self.mix, self.inputs, planned.plan, planned.groups, self._sorted, self.mode)
        size = CHUNK_BYTES * (_UNIT if self.tasks == 1 else _UNIT_OF_TASK)
        items = chain.from_iterable(
            units(self.inputs, indices, number, runs[number], [then for then, _ in done[number]], size)
            for number in left
        )
        total = sum(planned.states[place].records for number in left for place in runs[number])
        documents = sum(count for number in left for _, count in done[number])
        with Pool(spilling, self.workers, "mix") as pool:
            for unit, _ in pool.run(items, _without_pieces):
                with closing(Journal(self._units(unit.slice), self.mode)) as journal:
                    journal.add([unit.then, unit.documents])
                documents += unit.documents
                self.report("sorting documents", "documents", documents, total)

    def write(self, planned: Planned) -> None:
        """Write the files of this task's ranges.

        Raises:
            MixError: not all documents are sorted.
        """
        items = self._ranges(planned)
        with Results(self._files, self.task, self.mode) as done:
            left = [item for item in items[self.task :: self.tasks] if item.key not in done.found]
            if not left:
                return
            joining = Joining(self._sorted, self._names(planned), self.mode, self.keep)
            with Pool(joining, self.workers, "mix") as pool:
                for number, (item, facts) in enumerate(pool.run(left)):
                    done.add(item.key, {output.name: one for output, one in zip(item.outputs, facts)})
                    self.report("writing files", "ranges", number + 1, len(left))
                    if self.tasks == 1 and item.end == item.group.ranges:
                        rmtree(self._sorted / item.group.name)

    def hash_sources(self, planned: Planned) -> dict[str, Any]:
        """Compute the digests of this task's inputs.

        Returns:
            By the numbers of inputs, as far as all tasks have come; see `Built.digests`.
        """
        with Results(self.folder / "digests", self.task, self.mode) as done:
            mine = self._share([one.source.size or 0 for one in self.inputs])
            for count, number in enumerate(mine):
                self.report("reading digests of the sources", "files", count, len(mine))
                if str(number) not in done.found:
                    done.add(str(number), _digests(self.inputs[number], planned.states[number]))
            return done.found

    def built(self, planned: Planned) -> Built:
        """The complete mix: what no task has done is done."""
        self.sort(planned)
        self.write(planned)
        files: dict[tuple[str, str], list[dict[str, Any]]] = {}
        written = results_in(self._files)
        for item in self._ranges(planned):
            for name, facts in written[item.key].items():
                files.setdefault((item.group.name, name), []).append(facts)
        for stream in planned.streams:
            stream["files"] = files[f"seed-{stream['seed']}", stream["budget"]]
        for role, one in planned.heldout.items():
            one["files"] = files.get((f"heldout-{role}", role), [])
        digests = self.hash_sources(planned)
        return Built(
            planned.streams,
            planned.heldout,
            self.indices(planned),
            [digests[str(number)] for number in range(len(self.inputs))],
        )

    # ---- what is where, and whose it is

    def _mine(self, scan: Scan, role: str) -> list[int]:
        """The numbers of this task's inputs of a role."""
        numbers = scan.numbers(role)
        return [numbers[place] for place in self._share([self.inputs[number].source.size or 0 for number in numbers])]

    def _share(self, sizes: Sequence[int]) -> list[int]:
        """The indices of what this task does: the largest ones are dealt first."""
        dealt = sorted(range(len(sizes)), key=lambda index: -sizes[index])
        return sorted(dealt[self.task :: self.tasks])

    def _ranges(self, planned: Planned) -> list[Ranges]:
        """What is written at once, of all groups."""
        return [item for group in planned.groups for item in ranges_of(self.mix, group, self.folder / PARTS)]

    def _names(self, planned: Planned) -> list[str]:
        """The names of all units, in the order of documents."""
        names = []
        for number in range(len(slices(self.indices(planned)))):
            entries = entries_of(self._units(number))
            if not entries or entries[-1][0] is not None:
                raise MixError(f"{self.folder}: not all documents are sorted; run the steps before this one again")
            names += [unit_name(number, count) for count in range(len(entries))]
        return names

    def _units(self, number: int) -> Path:
        """The journal of a slice's units."""
        return self.folder / "units" / f"{number:05}.journal"

    @property
    def _plan(self) -> Path:
        return self.folder / "plan.journal"

    @property
    def _sorted(self) -> Path:
        return self.folder / "sorted"

    @property
    def _files(self) -> Path:
        return self.folder / "files"


def build(
    mix: Mix,
    inputs: Sequence[Input],
    tokenizer: Any,
    folder: Path,
    mode: int,
    workers: int | None,
    report: Report,
    keep: bool = True,
) -> Built:
    """Build a mix's files below `folder / PARTS`.

    They depend neither on the number of processes nor on interruptions.

    Args:
        mix, inputs, folder, mode, report, keep: see `Work`.
        tokenizer: a fast tokenizer of Transformers.
        workers: number of processes; None means one per core.

    Raises:
        MixError: there are too few documents, or an input has changed.
    """
    workers = workers or min(
        cores(), 1 + sum(one.source.size or cores() * CHUNK_BYTES for one in inputs) // CHUNK_BYTES
    )
    work = Work(mix, inputs, folder, mode, report, workers, keep)
    return work.built(work.planned(tokenizer))


def _digests(one: Input, state: State) -> tuple[str | None, list[str]]:
    whole = state.finished and one.source.kind != "hub"
    return sha256_of(Path(one.source.path)) if whole else None, [sha256_of(Path(path)) for path in one.beside]


def _without_pieces(unit: Unit) -> Unit:
    return unit._replace(pieces=[])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Each process has one core, this one too."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before
