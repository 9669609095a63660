"""Results of lm-evaluation-harness, grouped by method. Runs that were measured differently are refused."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ..errors import SlungError, closest
from ..render.formats import count, share
from ..visible import visible
from .attacks import attacks_of, check_alike
from .comparable import check_allowed, compare, listed
from .differences import Comparer, all_differences
from .evaluations import COUNTS, Evaluations, Method, compared, metrics_of, ordered
from .models import is_same
from .provenance import audit_of
from .results import Run, Source, runs_below

_SEED = re.compile(r"(?:^|[-_.])s(?:eed)?[-_]?\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class _Found:
    """A run, the source that it is from, and its method's label and quantity."""

    run: Run
    source: Source
    label: str

    @property
    def key(self) -> tuple[str, int | None, bool]:
        return self.label, self.source.quantity, self.source.tuned


def evaluations(
    sources: Sequence[Source],
    allowed: Collection[str] = (),
    against: str | None = None,
    with_paper: bool = False,
    before: str | None = None,
) -> Evaluations:
    """Read results of lm_eval, and group them by label and quantity, tuned models by themselves.

    Args:
        sources: what to read. If several files of a source have the same model and task, the newest counts.
        allowed: names of settings in which runs may differ.
        against: the name of the method that all others are compared with, or the label of several; see `compared`.
        with_paper: whether the paper's numbers stand beside the methods'.
        before: the label of the model before training.

    Raises:
        SlungError: there is nothing to report, a label cannot be derived, runs of one task were measured differently, or
            no method has the name `against` or the label `before`.
    """
    notes: list[str] = []
    found = _with_variants([each for source in sources for each in _found(source, notes)])
    guessed = {each.key for each in found if each.source.label is None}
    gathered: dict[tuple, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for each in found:
        its = gathered[each.key][each.run.task]
        if twin := next((other for other in its if _is_same_run(each.run, other)), None):
            if twin.file.resolve() != each.run.file.resolve():
                notes.append(
                    f"{each.label}, {each.run.task}: {twin.file} and {each.run.file} are one model, {twin.model!r} and "
                    f"{each.run.model!r}, with the same numbers; counted once"
                )
        else:
            its.append(each.run)
    labels = list(dict.fromkeys(label for label, *_ in gathered))
    keys = sorted(gathered, key=lambda key: (key[2], labels.index(key[0]), key[1] or 0))
    methods = [
        Method(label, quantity, {task: its[task] for task in ordered(its)}, tuned)
        for (label, quantity, tuned), its in ((key, gathered[key]) for key in keys)
    ]
    for method in methods:
        doubts = _doubts_of_seeds(method)
        if doubts and (method.label, method.quantity, method.tuned) in guessed:
            fix = "give each folder its method's label, LABEL=FOLDER"
            raise SlungError(visible(f"{doubts[0]}; {fix}"))
        notes += doubts + _remarks(method)
    pairs = compared(methods, against) if against is not None else []
    if against is not None and not pairs:
        _named("--against", methods, against)
    if before is not None:
        _named("--before", [method for method in methods if method.quantity is None and not method.tuned], before)
    tasks = ordered(task for method in methods for task in method.runs)
    by_task = {task: [run for method in methods for run in method.runs.get(task, [])] for task in tasks}
    check_allowed(allowed, [each.run for each in found])
    notes += _compared(methods, by_task, allowed)
    attacks = []
    for source in sources:
        its, its_notes = attacks_of(source)
        attacks, notes = attacks + its, notes + its_notes
    check_alike(attacks, by_task)
    comparer = Comparer()
    differences = [its for base, others in pairs for its in all_differences(others, base, comparer)]
    if pairs:
        seen = {id(method) for base, others in pairs for method in (base, *others)}
        if left := [method.name for method in methods if id(method) not in seen]:
            notes.append(f"--against: {listed(left)} not compared; no {against} has the same quantity and stage")
        notes += comparer.notes
    notes = [visible(note) for note in dict.fromkeys(notes)]
    audit = audit_of(sources, by_task)
    return Evaluations(methods, notes, comparer, differences, with_paper, attacks, audit, against, before)


_OF_CHATS = ("chat-template", "which-template", "system-instruction", "thinking", "think-end-token")
"""Settings in which tuned models may differ from pretrained ones. Among themselves both are compared in them too."""


def _compared(methods: Sequence[Method], by_task, allowed: Collection[str]) -> list[str]:
    """Notes on what differs between runs; see `compare`."""
    if not any(method.tuned for method in methods) or all(method.tuned for method in methods):
        return compare(by_task, allowed)
    notes = compare(by_task, allowed, lambda name: name not in _OF_CHATS)
    for tuned in (False, True):
        stage = {
            task: [run for method in methods if method.tuned == tuned for run in method.runs.get(task, [])]
            for task in by_task
        }
        notes += compare(stage, allowed, lambda name: name in _OF_CHATS)
    return notes


def _found(source: Source, notes: list[str]) -> Iterator[_Found]:
    below, its_notes = runs_below(source.path)
    notes += its_notes
    for (_, _, task), runs in below.items():
        run = runs[-1]
        if len(runs) > 1:
            where = f"{source.path}: {len(runs)} files have {task} of {run.model}"
            notes.append(f"{where}; the newest is used: {run.file}")
        yield _Found(run, source, source.label or _label(run))


def _with_variants(found: Sequence[_Found]) -> list[_Found]:
    """Revisions and quantizations of one model get a label each, if a label would hold several.

    A label that was given holds what its folders hold, one variant each: runs of several folders are its seeds.
    """
    groups: dict[tuple, set[str]] = defaultdict(set)

    def group(each: _Found) -> tuple:
        return (*each.key, None if each.source.label is None else each.source.path)

    for each in found:
        groups[group(each)].add(each.run.variant)
    return [
        _Found(each.run, each.source, f"{each.label} ({each.run.variant or 'as it is'})")
        if len(groups[group(each)]) > 1
        else each
        for each in found
    ]


def _is_same_run(one: Run, other: Run) -> bool:
    """Whether a file was named twice, or one model was measured under two spellings of its path."""
    if one.file.resolve() == other.file.resolve():
        return True
    return bool(one.model) and is_same(one.model, other.model) and one.metrics == other.metrics


def _named(option: str, methods: Sequence[Method], name: str) -> Method:
    names = {method.name: method for method in methods}
    if name in names:
        return names[name]
    guess = closest(name, names)
    guess = f"did you mean {guess}? " if guess else ""
    raise SlungError(visible(f"{option}: {name!r}: no method has this name; {guess}expected one of {', '.join(names)}"))


def _label(run: Run) -> str:
    label = _SEED.sub("", _parts(run.model)[-1])
    if not label:
        raise SlungError(f"{visible(str(run.file))}: no model name to derive a label from; write LABEL=FOLDER")
    return label


def _parts(model: str) -> list[str]:
    return re.split(r"[/\\]", model.rstrip("/\\"))


def _doubts_of_seeds(method: Method) -> list[str]:
    """Reasons to doubt that runs with one label are seeds of one method."""
    everything = list(dict.fromkeys(run.model for runs in method.runs.values() for run in runs))
    if not all(is_same(_without_seeds(everything[0]), _without_seeds(model)) for model in everything):
        return [f"{method.name}: models with different names count as one method: {listed(everything)}"]
    for runs in method.runs.values():
        repeated = [
            run
            for run in runs
            if sum(is_same(run.model, other.model) and run.variant == other.variant for other in runs) > 1
        ]
        if repeated:
            where = listed(str(run.file.parent) for run in repeated)
            return [f"{method.name}: {repeated[0].model!r}: one model counts as several seeds, in {where}"]
    return []


def _without_seeds(model: str) -> str:
    return "/".join(_SEED.sub("", part) for part in _parts(model))


def _remarks(method: Method) -> list[str]:
    """Remarks on missing numbers and on empty generations."""
    remarks = []
    for task, runs in method.runs.items():
        where = f"{method.name}, {task}"
        for metric in metrics_of(runs):
            missing = sum(run.metrics.get(metric) is None for run in runs)
            if 0 < missing < len(runs):
                remarks.append(f"{where}: {missing} of {len(runs)} runs have no {metric}; only the others are averaged")
        for metric, what in COUNTS.items():
            if number := sum(run.metrics.get(metric) or 0 for run in runs):
                remarks.append(f"{where}: {what}: {count(number)}")
        if (empty := method.estimate(task, "empty")) and empty.mean:
            remarks.append(f"{where}: {share(empty.mean)} of the generations are empty")
    return remarks
