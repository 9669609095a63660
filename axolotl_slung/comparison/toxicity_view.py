"""Sections of `slung report` on toxicity by the kind of prompt, by other scorers than the main one, and when steered."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..evals.measures.steered import is_steered, named, strengths
from ..evals.measures.toxicity import PROMPTS
from ..render.sections import Section, Table
from .cells import cell, percent
from .cells import interval as _with_interval
from .evaluations import Estimate, Evaluations, Method, metrics_of
from .tasks import TOXICITY

_WITH = "disagreement_with_"
_SUFFIX = re.compile("_(stderr|ci_low|ci_high)$")


def toxicity_in_detail(evaluations: Evaluations) -> list[Section]:
    """Tables of toxic and harmless prompts, of other scorers, and of strengths; none where no result has them."""
    tasks = [task for task in TOXICITY if evaluations.having(task)]
    apart = [table for task in tasks for table in _by_prompts(evaluations.having(task), task, len(tasks) > 1)]
    others = [table for task in tasks for table in _by_scorers(evaluations.having(task), task, len(tasks) > 1)]
    moved = [table for task in tasks for table in _by_strength(evaluations.having(task), task, len(tasks) > 1)]
    sections = []
    if apart:
        note = (
            "Prompts are toxic if the data gives them a toxicity of at least 0.5. Maximum is the mean of each prompt's "
            "highest score over several completions; the toxic rate is then the share of prompts with at least one "
            "toxic completion."
        )
        sections.append(Section("Toxicity by the kind of prompt", note, apart))
    if others:
        note = (
            "Figures of different scorers cannot be compared with each other. Disagreement is the share of completions "
            "that only one of the two, this scorer or the main one, gives at least 0.5, with its exact 95 % interval. "
            "Rank correlation is Spearman's, between the two scorers' scores."
        )
        sections.append(Section("Other scorers", note, others))
    if moved:
        note = (
            "Hidden states are moved along the direction of the probe of slung_civilcomments while the model writes. A "
            "strength of 1 is one standard deviation of the comments' states, and negative ones move away from toxic "
            "comments. Change is the toxicity less that of the same prompts without steering. In brackets: 95 % intervals. ± is a standard error. "
            "A strong push breaks the text, and broken text is not toxic either: read some samples."
        )
        sections.append(Section("Toxicity when steered", note, moved))
    return sections


def _by_prompts(methods: Sequence[Method], task: str, titled: bool) -> list[Table]:
    rows, sampled = [], any(method.estimate(task, "expected_maximum_toxic_prompts") for method in methods)
    for method in methods:
        for kind in PROMPTS:
            number = method.estimate(task, f"{kind}_prompts")
            if not number:
                continue
            cells = [cell(method.estimate(task, f"toxicity_{kind}_prompts"), 4)]
            cells.append(percent(method.estimate(task, f"toxic_rate_{kind}_prompts")))
            if sampled:
                cells.append(cell(method.estimate(task, f"expected_maximum_{kind}_prompts"), 3))
            rows.append([method.name, kind, f"{number.mean:g}", *cells])
    head = ["method", "prompts", "number", "toxicity", "toxic rate", *["maximum"] * sampled]
    return [Table(head, rows, task if titled else "", left=2)] if rows else []


def _by_scorers(methods: Sequence[Method], task: str, titled: bool) -> list[Table]:
    rows = []
    for method in methods:
        metrics = (metric for run in method.runs[task] for metric in run.metrics if _of_scorer(metric))
        for name in dict.fromkeys(_SUFFIX.sub("", metric.removeprefix(_WITH)) for metric in metrics):
            disagreement = method.estimate(task, f"disagreement_with_{name}")
            correlation = method.estimate(task, f"rank_correlation_with_{name}")
            rows.append(
                [
                    method.name,
                    name,
                    cell(method.estimate(task, f"toxicity_by_{name}"), 4),
                    percent(method.estimate(task, f"toxic_rate_by_{name}")),
                    _interval(disagreement),
                    "n/a" if correlation is None else f"{correlation.mean:.3f}",
                ]
            )
    head = ["method", "scorer", "toxicity", "toxic rate", "disagreement", "rank correlation"]
    return [Table(head, rows, task if titled else "", left=2)] if rows else []


def _of_scorer(metric: str) -> bool:
    return metric.startswith(_WITH) and not is_steered(metric)


def _by_strength(methods: Sequence[Method], task: str, titled: bool) -> list[Table]:
    rows = []
    for method in methods:
        known = strengths(metrics_of(method.runs[task]))
        # the unsteered completions stand in their place among the strengths
        for strength in sorted([*known, None], key=lambda its: (its or 0.0, its is not None)) if known else ():
            steered = strength is not None
            names = [named(name, strength) if steered else name for name in ("toxicity", "toxic_rate", "empty")]
            toxicity, rate, empty = (method.estimate(task, name) for name in names)
            change = method.estimate(task, named("toxicity_change", strength)) if steered else None
            layer = method.estimate(task, "steered_layer")
            rows.append(
                [
                    method.name,
                    f"{strength:+g}" if steered else "none",
                    f"{layer.mean:g}" if layer and steered else "",
                    _with_interval(toxicity, 3),
                    percent(rate),
                    _with_interval(change, 3) if steered else "",
                    percent(empty),
                ]
            )
    head = ["method", "strength", "layer", "toxicity", "toxic rate", "change", "empty"]
    return [Table(head, rows, task if titled else "", left=2)] if rows else []


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return percent(estimate)
    return f"{100 * estimate.mean:.1f}% ({100 * max(estimate.low, 0):.1f} to {100 * min(estimate.high, 1):.1f})"
