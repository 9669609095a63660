"""The sections of `slung report` on understanding: the probe beside its controls, zero-shot answers, layers, and groups."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..evals.measures import intervals
from ..render.formats import count
from ..render.sections import Section, Table
from .cells import cell
from .evaluations import Evaluations, Method
from .groups import groups_of
from .rivals import rival
from .tasks import PROBE, ZEROSHOT

_LAYER = re.compile(r"auroc_layer_(\d+)")
_COLUMNS = {
    "probe": (PROBE, "auroc"),
    "bag of words": (PROBE, "auroc_bag_of_words"),
    "shuffled": (PROBE, "auroc_shuffled"),
    "zero-shot": (ZEROSHOT, "auroc"),
    "accuracy": (ZEROSHOT, "accuracy_calibrated"),
}


def understanding(evaluations: Evaluations) -> list[Section]:
    """The sections, of what the results have.

    Raises:
        SlungError: the groups in a results file are not what the tasks write.
    """
    return [*_controls(evaluations), *_layers(evaluations), *_groups(evaluations)]


def _controls(evaluations: Evaluations) -> list[Section]:
    methods = evaluations.having(PROBE, ZEROSHOT)
    columns = {name: of for name, of in _COLUMNS.items() if any(method.estimate(*of) is not None for method in methods)}
    if not {*columns} - {"probe"}:
        return []  # the table of toxicity has the probe
    rows = [[method.name, *(cell(method.estimate(*of), 3) for of in columns.values())] for method in methods]
    note = (
        "Probe, bag of words and shuffled are AUROC on the same comments. A probe that is not above the bag of words "
        "shows no more than which words a comment has. Shuffled is the probe trained on random classes: about 0.5. "
        "Zero-shot is the AUROC of the model's own answer, and accuracy that of its calibrated answer; chance is 0.5."
    )
    return [Section("Understanding: probe, words, zero-shot", note, [Table(["method", *columns], rows)])]


def _layers(evaluations: Evaluations) -> list[Section]:
    methods = evaluations.having(PROBE)
    numbers = {int(found[1]) for method in methods for name in _names(method) if (found := _LAYER.fullmatch(name))}
    if not numbers:
        return []
    rows = [
        [str(number), *(cell(method.estimate(PROBE, f"auroc_layer_{number}"), 3) for method in methods)]
        for number in sorted(numbers)
    ]
    rows.append(["chosen", *(cell(method.estimate(PROBE, "chosen_layer"), 1) for method in methods)])
    note = (
        "AUROC of a probe on each layer; 0 is the embeddings. The layer of the probe above is chosen in each draw on "
        "comments that are not tested. The last row is its mean over draws. Before training: the method less the same "
        "layer of the model that --before names, with the 95 % interval, paired by comment where samples are there."
    )
    tables = [Table(["layer", *(method.name for method in methods)], rows)]
    changes = [row for method in methods for row in _changes(evaluations, method, sorted(numbers))]
    if changes:
        head = ["method", "layer", "AUROC", "before", "difference", "the model before training"]
        tables.append(Table(head, changes, "Less the model before training", left=2))
    return [Section("The probe by layer", note, tables)]


def _changes(evaluations: Evaluations, method: Method, numbers: Sequence[int]) -> list[list[str]]:
    """A row per layer of a method beside the same layer of the model before training."""
    before, rows = evaluations.before_of(method), []
    for number in numbers if before is not None and before is not method else ():
        metric = f"auroc_layer_{number}"
        found = rival(evaluations, "", "", True, (method, PROBE, metric), (before, PROBE, metric))
        if found is not None:
            cells = [f"{found.own:.3f}", f"{found.other:.3f}", found.shown, found.finding]
            rows.append([method.name, str(number), *cells])
    return rows


def _names(method: Method) -> set[str]:
    return {name for run in method.runs.get(PROBE, []) for name in run.metrics}


def _groups(evaluations: Evaluations) -> list[Section]:
    tables = []
    for task in (PROBE, ZEROSHOT):
        found: dict[tuple[str, str], dict[str, list[dict]]] = {}
        for method in evaluations.having(task):
            for run in method.runs[task]:
                for row in groups_of(run.file, task):
                    found.setdefault((row["by"], row["group"]), {}).setdefault(method.name, []).append(row)
        for by in dict.fromkeys(by for by, _ in found):
            rows = []
            for (of, group), methods in found.items():
                for name, runs in methods.items() if of == by else ():
                    numbers = [count(runs[0][key]) for key in ("comments", "toxic")]
                    rows.append([group, name, *numbers, _of_runs(runs, "accuracy"), _of_runs(runs, "auroc")])
            head = [by, "method", "comments", "toxic", "accuracy", "AUROC"]
            tables.append(Table(head, rows, f"{task} by {by}", left=2))
    if not tables:
        return []
    note = (
        "Accuracy is the share of a group's test comments on the right side of the threshold, and AUROC is n/a for "
        "groups of one class. In brackets: the 95 % interval, over comments for accuracy (those of one template are a "
        "cluster), and over draws for AUROC. Of several seeds: mean ± standard error."
    )
    return [Section("Understanding by functional test and target group", note, tables)]


def _of_runs(runs: Sequence[dict], name: str) -> str:
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return "n/a"
    if len(values) > 1:
        return f"{intervals.mean(values):.3f} ± {intervals.stderr(values):.3f}"
    ends = [next(run for run in runs if run[name] is not None).get(f"{name}_{end}") for end in ("low", "high")]
    return f"{values[0]:.3f}" + ("" if None in ends else f" [{ends[0]:.2f}, {ends[1]:.2f}]")
