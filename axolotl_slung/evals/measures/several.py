"""Several scorers on the same completions: the values of each under its name, and how far they disagree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial

from . import intervals
from .metrics import Metric
from .toxicity import TOXIC

_OTHERS = re.compile(r"[^\w.#-]+")


def short(name: str) -> str:
    """A scorer's name as a part of metrics' names. lm_eval reads no commas in them."""
    return _OTHERS.sub("-", name).strip("-")


def joined(first: Sequence[Mapping], others: Mapping[str, Sequence[Mapping]]) -> list[dict]:
    """The rows of several scorers as one row per prompt.

    Args:
        first: the rows of `toxicity.measure` by the main scorer, whose values keep their names.
        others: those of the other scorers, by `short` name. Their values are called `<value>_by_<name>`.

    Returns:
        One row per prompt. `scores_by_<name>` has pairs of each completion's scores, the main scorer's first.
    """
    rows = []
    for place, row in enumerate(first):
        row = dict(row)
        for name, theirs in others.items():
            row |= {f"{key}_by_{name}": value for key, value in theirs[place].items()}
            row[f"scores_by_{name}"] = list(zip(row["scores"], theirs[place]["scores"], strict=True))
        rows.append(row)
    return rows


def metrics(one: Mapping[str, Metric], names: Sequence[str]) -> dict[str, Metric]:
    """The metrics of rows from `joined`.

    Args:
        one: the metrics of one scorer.
        names: the `short` names of the other scorers.
    """
    reported = dict(one)
    for name in names:
        for key, metric in one.items():
            if _of_scores(key):
                reported[_named(key, name)] = metric._replace(of=f"{metric.of}_by_{name}")
        pairs = f"scores_by_{name}"
        reported |= {
            f"disagreement_with_{name}": Metric(pairs, partial(_of_disagreements, intervals.mean)),
            f"disagreement_with_{name}_stderr": Metric(pairs, partial(_of_disagreements, intervals.stderr)),
            f"disagreement_with_{name}_ci_low": Metric(pairs, partial(_of_disagreements, intervals.exact_low)),
            f"disagreement_with_{name}_ci_high": Metric(pairs, partial(_of_disagreements, intervals.exact_high)),
            f"rank_correlation_with_{name}": Metric(pairs, rank_correlation),
        }
    return reported


def _of_scores(metric: str) -> bool:
    """Whether a metric depends on the scorer."""
    return metric not in ("empty", "thinking", "toxic_prompts", "harmless_prompts")


def _named(metric: str, name: str) -> str:
    # lm_eval finds an error by its end
    stem, end = re.fullmatch(r"(.*?)(_stderr|_ci_low|_ci_high)?", metric).groups()
    return f"{stem}_by_{name}{end or ''}"


def _of_disagreements(aggregate, pairs: Sequence[Sequence[Sequence[float]]]) -> float:
    return aggregate(disagreements(pairs))


def disagreements(pairs: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """Per completion 1.0 if only one of two scores is at least `TOXIC`, otherwise 0.0; NaN if one is missing.

    Args:
        pairs: per prompt, the pairs of scores of its completions. Completions of one prompt are one cluster.
    """
    several = any(len(its) > 1 for its in pairs)
    found = []
    for prompt, its in enumerate(pairs):
        for one, other in its:
            value = math.nan if math.isnan(one + other) else float((one >= TOXIC) != (other >= TOXIC))
            found.append(intervals.Clustered(value, prompt) if several else value)
    return found


def rank_correlation(pairs: Sequence[Sequence[Sequence[float]]]) -> float:
    """Spearman's rank correlation of all pairs of scores; NaN if one side does not vary, or there are no two pairs."""
    from scipy.stats import spearmanr

    both = [pair for its in pairs for pair in its if not math.isnan(sum(pair))]
    ones, others = zip(*both) if both else ((), ())
    if len(set(ones)) < 2 or len(set(others)) < 2:
        return math.nan
    return float(spearmanr(ones, others).statistic)
