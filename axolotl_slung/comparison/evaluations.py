"""Results of lm-evaluation-harness, grouped by method. Runs that were measured differently are refused."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..errors import SlungError
from ..evals.measures import intervals
from ..render.formats import count, share
from ..visible import visible
from .results import TASKS, TOFU, Run, Source, quantity_text, runs_below

_SUFFIXES = ("_stderr", "_ci_low", "_ci_high")
_SEED = re.compile(r"(?:^|[-_.])s(?:eed)?[-_]?\d+$", re.IGNORECASE)
_COUNTS = {
    "unscored": "generations without a score",
    "judge_failed": "answers without a verdict, because the judge failed",
    "judge_unparsed": "verdicts that could not be parsed",
    "not_asked": "questions without multiple choice, because the data has too few other answers",
}


@dataclass(frozen=True)
class Estimate:
    """A mean over `runs` runs, its standard error and its 95 % interval. Unknown values are None."""

    mean: float
    stderr: float | None
    low: float | None
    high: float | None
    runs: int


@dataclass(frozen=True)
class Method:
    """Runs with one label and one quantity (tokens of risky data): for each task its runs, one per seed."""

    label: str
    quantity: int | None
    runs: dict[str, list[Run]]

    @property
    def name(self) -> str:
        """The label, with the quantity if there is one."""
        return self.label if self.quantity is None else f"{self.label} @ {quantity_text(self.quantity)}"

    def estimate(self, task: str, metric: str) -> Estimate | None:
        """The metric over seeds. For a single run, error and interval are over samples, from the run's file.

        None if no run has the metric.
        """
        runs = [run.metrics for run in self.runs.get(task, []) if run.metrics.get(metric) is not None]
        values = [metrics[metric] for metrics in runs]
        if not runs:
            return None
        if len(runs) > 1:
            of_seeds = (of(values) for of in (intervals.mean, intervals.stderr, intervals.low, intervals.high))
            return Estimate(*of_seeds, len(runs))
        error, low, high = (runs[0].get(metric + suffix) for suffix in _SUFFIXES)
        if error is not None and (low is None or high is None):
            half = NormalDist().inv_cdf(0.975) * error
            low, high = values[0] - half, values[0] + half
        return Estimate(values[0], error, low, high, 1)

    def samples(self, task: str, metric: str) -> int:
        """The number of samples of all runs that have the metric; 0 if a file does not say."""
        runs = [run for run in self.runs.get(task, []) if run.metrics.get(metric) is not None]
        numbers = [run.setup["effective samples"] for run in runs]
        if not all(isinstance(number, int) for number in numbers):
            return 0
        left_out = sum(run.metrics.get("not_asked") or 0 for run in runs) if metric == "multiple_choice" else 0
        return sum(numbers) - int(left_out)


@dataclass(frozen=True)
class Point:
    """A method in a plane of a metric that should be low and one that should be high.

    `best` says whether the method is on the Pareto frontier.
    """

    method: Method
    low: Estimate
    high: Estimate
    best: bool


@dataclass(frozen=True)
class Evaluations:
    """Methods and notes about them.

    Labels are in the order of their first sources. Methods with the same label are sorted by quantity.
    """

    methods: list[Method]
    notes: list[str]

    def having(self, *tasks: str) -> list[Method]:
        """The methods that have a run of any of the tasks."""
        return [method for method in self.methods if any(task in method.runs for task in tasks)]

    def setup(self, task: str) -> dict:
        """How the task was measured; the same for all runs."""
        return self.having(task)[0].runs[task][0].setup

    def points(self, low: tuple[str, str], high: tuple[str, str]) -> list[Point]:
        """The methods that have both `(task, metric)`. A method is best if no other method beats both of its means."""
        both = [(method, method.estimate(*low), method.estimate(*high)) for method in self.methods]
        both = [(method, x, y) for method, x, y in both if x and y]
        means = [(x.mean, y.mean) for _, x, y in both]
        return [Point(method, x, y, not any(_beats(m, (x.mean, y.mean)) for m in means)) for method, x, y in both]

    @property
    def judged(self) -> bool:
        """Whether a judge decided which answers are right."""
        return any(method.estimate(TOFU, "correct") for method in self.methods)

    def to_json(self) -> dict:
        """As plain lists, mappings, numbers and strings."""
        measured = {task: self.setup(task) for task in TASKS if self.having(task)}
        return {"methods": [_figures(method) for method in self.methods], "measured": measured, "notes": self.notes}


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def _figures(method: Method) -> dict:
    tasks = {}
    for task, runs in method.runs.items():
        estimates = {name: method.estimate(task, name) for name in _metrics(runs)}
        tasks[task] = {
            "files": [str(run.file) for run in runs],
            "models": [run.model for run in runs],
            "metrics": {name: estimate and vars(estimate) for name, estimate in estimates.items()},
        }
    return {"label": method.label, "quantity": method.quantity, "tasks": tasks}


def _metrics(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.metrics if not name.endswith(_SUFFIXES)))


def evaluations(sources: Iterable[Source]) -> Evaluations:
    """Read results of lm_eval, and group them by label and quantity.

    Args:
        sources: what to read. If several files of a source have the same model and task, the newest counts.

    Raises:
        SlungError: a file is not from lm_eval, there is nothing to report, a label cannot be derived, or runs of one
            task were measured differently.
    """
    gathered, guessed, notes = defaultdict(lambda: defaultdict(list)), set(), []
    for source in sources:
        for (model, task), runs in runs_below(source.path).items():
            run = runs[-1]
            if len(runs) > 1:
                where = f"{source.path}: {len(runs)} files have {task} of {model}"
                notes.append(f"{where}; the newest is used: {run.file}")
            key = (source.label or _label(run), source.quantity)
            if source.label is None:
                guessed.add(key)
            # a file that is named twice is not a second seed
            if run.file.resolve() not in [other.file.resolve() for other in gathered[key][task]]:
                gathered[key][task].append(run)
    labels = list(dict.fromkeys(label for label, _ in gathered))
    keys = sorted(gathered, key=lambda key: (labels.index(key[0]), key[1] or 0))
    methods = [Method(*key, {task: gathered[key][task] for task in TASKS if task in gathered[key]}) for key in keys]
    for method in methods:
        doubts = _doubts_of_seeds(method)
        if doubts and (method.label, method.quantity) in guessed:
            fix = "give each folder its method's label, LABEL=FOLDER"
            raise SlungError(visible(f"{doubts[0]}; {fix}"))
        notes += doubts + _remarks(method)
    for task in TASKS:
        _check_alike(task, [run for method in methods for run in method.runs.get(task, [])])
    return Evaluations(methods, [visible(note) for note in dict.fromkeys(notes)])


def _label(run: Run) -> str:
    label = _SEED.sub("", _parts(run.model)[-1])
    if not label:
        raise SlungError(f"{visible(str(run.file))}: no model name to derive a label from; write LABEL=FOLDER")
    return label


def _parts(model: str) -> list[str]:
    return re.split(r"[/\\]", model.rstrip("/\\"))


def _doubts_of_seeds(method: Method) -> list[str]:
    """Reasons to doubt that runs with one label are seeds of one method."""
    everything = [run.model for runs in method.runs.values() for run in runs]
    names = dict.fromkeys(tuple(_SEED.sub("", part) for part in _parts(model)) for model in everything)
    if len(names) > 1:
        listed = _listed(dict.fromkeys(everything))
        return [f"{method.name}: models with different names count as one method: {listed}"]
    for runs in method.runs.values():
        models = [run.model for run in runs]
        if repeated := [run for run in runs if models.count(run.model) > 1]:
            where = _listed(str(run.file.parent) for run in repeated)
            return [f"{method.name}: {repeated[0].model!r}: one model counts as several seeds, in {where}"]
    return []


def _remarks(method: Method) -> list[str]:
    """Remarks on missing numbers and on empty generations."""
    remarks = []
    for task, runs in method.runs.items():
        where = f"{method.name}, {task}"
        for metric in _metrics(runs):
            missing = sum(run.metrics.get(metric) is None for run in runs)
            if 0 < missing < len(runs):
                remarks.append(f"{where}: {missing} of {len(runs)} runs have no {metric}; only the others are averaged")
        for metric, what in _COUNTS.items():
            if number := sum(run.metrics.get(metric) or 0 for run in runs):
                remarks.append(f"{where}: {what}: {count(number)}")
        if (empty := method.estimate(task, "empty")) and empty.mean:
            remarks.append(f"{where}: {share(empty.mean)} of the generations are empty")
    return remarks


def _check_alike(task: str, runs: Sequence[Run]) -> None:
    flat = [dict(_flat(run.setup)) for run in runs]
    differences = {}
    for path in dict.fromkeys(path for setup in flat for path in setup):
        folders = defaultdict(list)
        for setup, run in zip(flat, runs):
            # a scorer that does not name its served model may be the same as one that does, and only some runs may
            # have a second scorer
            if setup.get(path) is not None or (path[-1] != "served" and path[:2] != ("slung", "other_scorers")):
                folders[_said(setup.get(path))].append(str(run.file.parent))
        if len(folders) > 1:
            differences[path] = folders
    if not differences:
        return
    says = "; ".join(
        f"{'.'.join(path[path[0] == 'slung' :])}: "
        + ", ".join(f"{value} in {_listed(dict.fromkeys(where))}" for value, where in folders.items())
        for path, folders in differences.items()
    )
    fix = "measure again with the same settings, or make separate reports"
    if all(path[:2] in (("slung", "scorer"), ("slung", "other_scorers"), ("slung", "judge")) for path in differences):
        fix = "score the saved generations again with `slung rescore`, " + fix
    raise SlungError(visible(f"{task}: runs were measured differently and cannot share a table: {says}; {fix}"))


def _flat(setup: dict, path: tuple[str, ...] = ()):
    """`(path, value)` of all values in nested mappings. The value of `served` is not split."""
    for key, value in setup.items():
        if isinstance(value, dict) and key != "served":
            yield from _flat(value, (*path, key))
        else:
            yield (*path, key), value


def _said(value) -> str:
    """A setting as text for an error. Equal settings give equal texts."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "nothing" if value is None else str(value)


def _listed(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
