"""Runs grouped by method, and what is known of each metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import SlungError
from ..evals.measures.paired import Clusters, Values, level
from . import paper, samples
from .estimates import SUFFIXES, Estimate, of_files, of_run, within
from .general import main_metric
from .groups import groups_of
from .results import Run, quantity_text
from .samples import Samples
from .tasks import TASKS, TOFU

if TYPE_CHECKING:
    from .attacks import Attack
    from .differences import Comparer, Difference

COUNTS = {
    "unscored": "generations without a score",
    "judge_failed": "answers without a verdict, because the judge failed",
    "judge_unparsed": "verdicts that could not be parsed",
    "not_asked": "questions without multiple choice, because the data has too few other answers",
}
_LOWER = (
    "toxicity", "toxic_rate", "toxicity_with_prompt", "toxic_rate_with_prompt", "expected_maximum", "token_perplexity",
    "byte_perplexity", "word_perplexity", "perplexity", "name_rate", "new_name_rate", "own_name_rate",
)  # fmt: skip
_HIGHER = (
    "auroc", "correct", "partially_correct", "rougeL_recall_no_names", "token_recall_no_names", "content_recall",
    "multiple_choice", "acc", "acc_norm", "exact_match", "f1",
)  # fmt: skip
_DIRECTIONS = {**dict.fromkeys(_LOWER, False), **dict.fromkeys(_HIGHER, True)}
"""Whether higher is better, for files that do not say so."""


@dataclass(frozen=True, eq=False)
class Method:
    """Runs with one label and one quantity (tokens of risky data): for each task its runs, one per seed.

    `tuned` tells instruction-tuned models from pretrained ones.

    The samples of runs are read when they are asked for, and kept.
    """

    label: str
    quantity: int | None
    runs: dict[str, list[Run]]
    tuned: bool = False
    _samples: dict[str, list[Samples] | str] = field(default_factory=dict, repr=False)
    _values: dict[tuple[str, str], Values | None] = field(default_factory=dict, repr=False)
    _estimates: dict[tuple[str, str], Estimate | None] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The label, with the quantity if there is one, and whether the model is tuned."""
        amount = "" if self.quantity is None else f" @ {quantity_text(self.quantity)}"
        return f"{self.label}{amount}{' (tuned)' if self.tuned else ''}"

    def having(self, task: str, metric: str) -> list[Run]:
        """The runs of a task that have the metric."""
        return [run for run in self.runs.get(task, []) if run.metrics.get(metric) is not None]

    def samples_of(self, task: str) -> list[Samples] | str:
        """The samples of a task's runs, or why there are none."""
        if task not in self._samples:
            self._samples[task] = _read(self.runs[task])
        return self._samples[task]

    def values(self, task: str, metric: str) -> Values | None:
        """The metric's values of all runs that have it; None if the samples do not give it, or if there are none."""
        if (task, metric) not in self._values:
            runs, read = self.having(task, metric), self.samples_of(task)
            given = [] if isinstance(read, str) else read
            chosen = [its for its, run in zip(given, self.runs[task]) if run in runs]
            alike = all(its.keys == chosen[0].keys for its in chosen)
            reported = [run.metrics[metric] for run in runs]
            self._values[task, metric] = samples.values_of_runs(chosen, metric, reported) if chosen and alike else None
        return self._values[task, metric]

    def estimate(self, task: str, metric: str) -> Estimate | None:
        """The metric, as mean over seeds. None if no run has it.

        For a single run, error and interval are over samples, from the run's file. For several, they are over samples
        and seeds: from the runs' samples if they are there, and otherwise, too wide, from the files.
        """
        if (task, metric) not in self._estimates:
            runs = [run.metrics for run in self.having(task, metric)]
            made = None
            if len(runs) == 1:
                made = of_run(runs[0], metric)
            elif runs:
                made = self._of_seeds(task, metric) or of_files(runs, metric)
            self._estimates[task, metric] = made
        return self._estimates[task, metric]

    def _of_seeds(self, task: str, metric: str) -> Estimate | None:
        """The metric over several seeds and their samples; None without samples."""
        values = self.values(task, metric)
        if values is None:
            return None
        there = (values.bottoms != 0).any(0)
        having = self.having(task, metric)
        # another run may have other documents
        of_documents = next(
            its.clusters  # pyright: ignore[reportAttributeAccessIssue]
            for its, run in zip(self.samples_of(task), self.runs[task])
            if run in having
        )
        clusters = Clusters([cluster for cluster, kept in zip(of_documents, there, strict=True) if kept])
        found = level(Values(values.tops[:, there], values.bottoms[:, there], values.power), clusters)
        return within(found, metric, [run.metrics for run in having])

    def samples(self, task: str, metric: str) -> int:
        """The number of samples of all runs that have the metric; 0 if a file does not say."""
        runs = self.having(task, metric)
        numbers = [run.setup["effective samples"] for run in runs]
        if not all(isinstance(number, int) for number in numbers):
            return 0
        left_out = sum(run.metrics.get("not_asked") or 0 for run in runs) if metric == "multiple_choice" else 0
        return sum(numbers) - int(left_out)


def _read(runs: Sequence[Run]) -> list[Samples] | str:
    if missing := [run for run in runs if run.samples is None]:
        folder = missing[0].file.parent
        return f"no samples beside {missing[0].file.name} in {folder}; run lm_eval with --log_samples"
    try:
        return [samples.read(run.samples) for run in runs if run.samples is not None]
    except SlungError as error:
        return str(error)


@dataclass(frozen=True)
class Evaluations:
    """Methods and notes about them.

    Labels are in the order of their first sources. Methods with the same label are sorted by quantity.

    Attributes:
        methods: the methods.
        notes: remarks on what was read.
        comparer: tells differences from noise.
        differences: of each method to the one that the others are compared with, if one is.
        with_paper: whether the paper's numbers stand beside the methods'.
        attacks: what `slung attack` has measured.
        audit: the content of audit.json, if the audit's folder was given.
        against: the name of the method that the others are compared with, if one was chosen.
        before: the label of the model before training, if one was named.
    """

    methods: list[Method]
    notes: list[str]
    comparer: Comparer
    differences: list[Difference] = field(default_factory=list)
    with_paper: bool = False
    attacks: list[Attack] = field(default_factory=list)
    audit: dict | None = None
    against: str | None = None
    before: str | None = None

    def beside(self, method: Method) -> list[Method]:
        """The methods that are tuned as this one is, or as little. It is one of them."""
        return [other for other in self.methods if other.tuned == method.tuned]

    def before_of(self, method: Method) -> Method | None:
        """The model before training that belongs beside a method; None if there is none."""
        its = (other for other in self.beside(method) if other.label == self.before and other.quantity is None)
        return next(its, None)

    def having(self, *tasks: str) -> list[Method]:
        """The methods that have a run of any of the tasks."""
        return [method for method in self.methods if any(task in method.runs for task in tasks)]

    @property
    def tasks(self) -> list[str]:
        """All tasks, slung's first."""
        return ordered(task for method in self.methods for task in method.runs)

    @property
    def others(self) -> dict[str, str]:
        """The tasks that are not slung's, each with its main metric."""
        found = {}
        for task in self.tasks:
            if task not in TASKS:
                metrics = {
                    name: None for method in self.having(task) for run in method.runs[task] for name in run.metrics
                }
                found[task] = main_metric(metrics)
        return found

    def setup(self, task: str) -> dict:
        """How the task was measured in its first run."""
        return self.having(task)[0].runs[task][0].setup

    @property
    def judged(self) -> bool:
        """Whether a judge decided which answers are right."""
        return any(method.estimate(TOFU, "correct") for method in self.methods)

    def to_json(self) -> dict:
        """As plain lists, mappings, numbers and strings."""
        measured = {task: self.setup(task) for task in self.tasks}
        figures = {"methods": [_figures(method) for method in self.methods], "measured": measured}
        if self.differences:
            figures["differences"] = [difference.to_json() for difference in self.differences]
        if self.with_paper:
            figures["paper"] = paper.numbers()
        return {**figures, "notes": self.notes}


def compared(methods: Sequence[Method], against: str) -> list[tuple[Method, list[Method]]]:
    """The methods that others are compared with, each with those others. Tuned models are compared among themselves.

    Args:
        methods: all methods.
        against: the name of a method; or the label of several with a quantity. Each of those is compared with the methods
            of its quantity.
    """
    named = next((method for method in methods if method.name == against), None)
    label, quantities = (named.label, {named.quantity}) if named else (against, {method.quantity for method in methods})

    def belongs(other: Method, base: Method) -> bool:
        # a tuned model and a pretrained one are asked in different ways
        return (
            other is not base and other.tuned == base.tuned and (named is not None or other.quantity == base.quantity)
        )

    bases = [method for method in methods if method.label == label and method.quantity in quantities]
    return [(base, [other for other in methods if belongs(other, base)]) for base in bases]


def ordered(tasks: Iterable[str]) -> list[str]:
    """Each task once, slung's first."""
    found = dict.fromkeys(tasks)
    return [*(task for task in TASKS if task in found), *(task for task in found if task not in TASKS)]


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """The names of the runs' metrics, without errors, ends of intervals and numbers of values."""
    names = dict.fromkeys(name for run in runs for name in run.metrics if not name.endswith(SUFFIXES))
    # the number of a rate's values
    return [name for name in names if not (name.endswith("_n") and name.removesuffix("_n") in names)]


def directions(task: str, runs: Sequence[Run]) -> dict[str, bool]:
    """The metrics of a task that can be better or worse, and whether higher is better. Of other tasks, the main one."""
    names = metrics_of(runs)
    if task not in TASKS and not any(run.setup["slung"] for run in runs):
        names = [main_metric(dict.fromkeys(names))]
    found = {}
    for name in names:
        base = name.partition(" [")[0]
        said = [run.better[base] for run in runs if base in run.better]
        better = said[0] if said else _DIRECTIONS.get(base)
        if better is not None and name not in COUNTS:
            found[name] = better
    return found


def _figures(method: Method) -> dict:
    tasks = {}
    for task, runs in method.runs.items():
        estimates = {name: method.estimate(task, name) for name in metrics_of(runs)}
        tasks[task] = {
            "files": [str(run.file) for run in runs],
            "models": [run.model for run in runs],
            "metrics": {name: estimate and vars(estimate) for name, estimate in estimates.items()},
        }
        if any(of_runs := [groups_of(run.file, task) for run in runs]):
            tasks[task]["groups"] = of_runs
    return {"label": method.label, "quantity": method.quantity, "tuned": method.tuned, "tasks": tasks}
