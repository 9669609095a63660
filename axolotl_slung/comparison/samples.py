"""The samples of a run (`lm_eval --log_samples`): each document's values, without its texts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SlungError
from ..evals.measures.paired import Values
from ..storage import read_text
from ..visible import visible

Key = tuple[object, str]
"""A document's number, and the digest of its data."""


@dataclass(frozen=True)
class Samples:
    """The documents of one run, in the order of their keys.

    Attributes:
        keys: the documents.
        clusters: the cluster of each document: its author if it has one, or the document itself.
        of_filter: by filter and document, the values of the metrics.
    """

    keys: list[Key]
    clusters: list[object]
    of_filter: dict[str, list[dict]]

    def values(self, metric: str) -> list | None:
        """The metric's value for each document, in the order of `keys`; None if a document has none.

        Args:
            metric: its name, `name` or `name [filter]`.
        """
        name, _, chosen = metric.partition(" [")
        rows = self.of_filter.get(chosen.removesuffix("]") or "none", [])
        if len(rows) != len(self.keys) or not all(name in row for row in rows):
            return None
        return [row[name] for row in rows]


def read(path: Path) -> Samples:
    """The samples of a file.

    Raises:
        SlungError: the file is not one of lm_eval's samples. No line is quoted: lines are risky text.
    """
    rows: dict[str, dict[Key, dict]] = {}
    authors = {}
    try:
        for line in read_text("samples", path).split("\n"):
            if not line.strip():
                continue
            row = json.loads(line)
            data = json.dumps(row["doc"], sort_keys=True).encode("utf-8", "surrogatepass")
            key = (row["doc_id"], hashlib.sha256(data).hexdigest())
            values = {name: row[name] for name in row.get("metrics", []) if name in row}
            # a rank may repeat its last document to stay in step with the others
            rows.setdefault(str(row.get("filter", "none")), {}).setdefault(key, values)
            author = row["doc"].get("author") if isinstance(row.get("doc"), dict) else None
            authors[key] = ("author", author) if isinstance(author, str) and author else key
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        rows = {}
    if not rows:
        raise SlungError(
            f"{visible(str(path))}: not a samples file of lm_eval; run the task again with --log_samples"
        ) from None
    keys = sorted(authors, key=lambda key: (str(type(key[0])), key[0], key[1]))
    of_filter = {chosen: [its[key] for key in keys] for chosen, its in rows.items() if its.keys() == authors.keys()}
    return Samples(keys, [authors[key] for key in keys], of_filter)


def values_of_runs(runs: Sequence[Samples], metric: str, reported: Sequence[float]) -> Values | None:
    """The metric's values of several runs on the same documents.

    Args:
        runs: the samples of each run.
        metric: the metric's name.
        reported: the metric of each run in its results file.

    Returns:
        The values; None if samples do not have them, or if they do not give what the results say by any way known here.
    """
    given = [run.values(metric) for run in runs]
    if any(values is None for values in given):
        return None
    ways = (_each(_mean), False), (_each(_negative), True), (_each(_per_unit), True), (_aurocs, False)
    for of_run, power in ways:
        pairs = [of_run(values) for values in given]
        if any(pair is None for values in pairs for pair in values):
            continue
        numbers = np.array(pairs, dtype=float)
        found = Values(numbers[..., 0], numbers[..., 1], power)
        if np.allclose(found.of_runs, reported, rtol=1e-6, atol=1e-9, equal_nan=True):
            return found
    return None


def _each(of_one: Callable[[object], tuple[float, float] | None]) -> Callable[[list], list]:
    return lambda values: [of_one(value) for value in values]


def _mean(value) -> tuple[float, float] | None:
    if not isinstance(value, (int, float)):
        return None
    return (float(value), 1.0) if math.isfinite(value) else (0.0, 0.0)


def _negative(value) -> tuple[float, float] | None:
    """Of a log-likelihood, for a perplexity."""
    return (-float(value), 1.0) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _per_unit(value) -> tuple[float, float] | None:
    """Of a log-likelihood and a number of tokens, bytes or words, for a perplexity."""
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, (int, float)) for part in value)):
        return None
    return -float(value[0]), float(value[1])


def _aurocs(values: list) -> list[tuple[float, float]] | list[None]:
    """Of the mean AUROC of draws: per comment a number whose mean is the metric, and whose spread is its error's.

    A comment adds the share of the other class that it is on the right side of, less the mean of that, over the number
    of its class (DeLong et al. 1988), in each draw that tests it. A mean of such numbers resamples as the AUROC does, to
    first order.

    Args:
        values: per comment `[number, toxic, {draw: score}]`, as `slung_civilcomments` and `slung_zeroshot` save them.
    """
    if not all(isinstance(value, list) and len(value) == 3 and isinstance(value[2], dict) for value in values):
        return [None] * len(values)
    draws: dict[str, list[tuple[int, bool, float]]] = {}
    for place, (_, toxic, scores) in enumerate(values):
        for draw, score in scores.items():
            draws.setdefault(draw, []).append((place, bool(toxic), float(score)))
    if not draws:
        return [None] * len(values)
    added, aurocs = np.zeros(len(values)), []
    for tested in draws.values():
        places, toxic, scores = (np.array(column) for column in zip(*tested))
        if toxic.all() or not toxic.any():
            return [None] * len(values)
        for ours, sign in ((toxic, 1), (~toxic, -1)):
            others = np.sort(sign * scores[~ours])
            below = (np.searchsorted(others, sign * scores[ours], side) for side in ("left", "right"))
            shares = sum(below) / (2 * others.size)
            added[places[ours]] += (shares - shares.mean()) / shares.size
        aurocs.append(shares.mean())
    numbers = np.mean(aurocs) + len(values) * added / len(aurocs)
    return [(float(number), 1.0) for number in numbers]
