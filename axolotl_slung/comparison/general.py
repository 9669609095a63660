"""Tasks of lm_eval that are not slung's: their main metric, and groups of tasks."""

from __future__ import annotations

from collections.abc import Mapping

from .settings import mapping

_MAIN = ("acc_norm", "acc", "exact_match", "f1", "mcc", "pass@1", "bleu", "rougeL", "perplexity", "word_perplexity")
_UNITS = ("_stderr", "_ci_low", "_ci_high")


def main_metric(metrics: Mapping[str, float | None]) -> str:
    """The metric that stands for a task: `acc_norm` if it has one, else `acc`, and so on; else its first metric.

    Args:
        metrics: a run's metrics, at least one.
    """
    names = [name for name in metrics if not name.endswith(_UNITS)] or list(metrics)
    of_base = {name.partition(" [")[0]: name for name in reversed(names)}
    return next((of_base[base] for base in _MAIN if base in of_base), names[0])


def measured_groups(content: Mapping) -> dict[str, dict]:
    """The parts of a results file, with groups in place of their tasks.

    A group that has a metric of its own, such as `mmlu`, stands for all tasks below it. It has the number of documents of
    all of them, and the number of examples in the prompt if they agree.

    Returns:
        `results`, `n-samples` and `n-shot`.
    """
    below = {name: list(tasks) for name, tasks in mapping(content.get("group_subtasks")).items() if tasks}
    results = dict(content["results"])
    samples, shots = dict(mapping(content.get("n-samples"))), dict(mapping(content.get("n-shot")))
    hidden = set()
    for group in below:
        leaves = _below(group, below, set())
        values = mapping(results.get(group))
        if not any(isinstance(value, (int, float)) for key, value in values.items() if "," in key):
            continue
        hidden |= leaves
        numbers = [mapping(samples.get(leaf)).get("effective") for leaf in sorted(leaves - below.keys())]
        samples[group] = {"effective": sum(number for number in numbers if isinstance(number, int))}
        of_leaves = {shots[leaf] for leaf in leaves - below.keys() if leaf in shots}
        shots[group] = of_leaves.pop() if len(of_leaves) == 1 else None
    kept = {task: values for task, values in results.items() if task not in hidden}
    return {"results": kept, "n-samples": samples, "n-shot": shots}


def _below(group: str, below: Mapping[str, list[str]], seen: set[str]) -> set[str]:
    for task in below.get(group, []):
        if task not in seen:
            seen.add(task)
            _below(task, below, seen)
    return seen
