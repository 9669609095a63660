"""Whether a judge can be trusted: its verdicts on answers that are known to be right or wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from . import content, intervals
from .metrics import Metric

KINDS = {"reference": "references", "other": "answers to other questions", "empty": "empty answers"}
"""The kinds of controls, and what messages call them. Only references are right."""

METRICS = {"correct": "", "partially_correct": "_partial"}
"""The judge's two metrics, and how the names of the metrics of its controls end."""


class Control(NamedTuple):
    """An answer with a known verdict: its document's `id`, its kind, and the answer as the candidate.

    `partial`: whether the verdict on partial correctness is known too.
    """

    id: int
    kind: str
    question: str
    answer: str
    candidate: str
    partial: bool = True


class Judged(NamedTuple):
    """A control's kind, and by metric whether the judge's verdict is right: 1.0, 0.0, or NaN if it gave none.

    A metric is missing if no verdict on it is known to be right.
    """

    kind: str
    right: Mapping[str, float]


def choose(docs: Sequence[Mapping], number: int) -> list[Control]:
    """The controls of up to `number` documents, which are always the same for the same documents.

    Each document gives three: its own answer, which is right; another question's; and the empty one. The other answer
    is about another author, unless all documents are about one, and has no word of what only the right answer says. It
    comes from another document, or else from `others`. If there is none, that control is left out.

    A right answer that says nothing beyond its question does not control partial correctness.

    Args:
        docs: documents with `id`, `question`, `answer`, `author` (may be empty) and `others`.
        number: the most documents.
    """
    answered = [place for place, doc in enumerate(docs) if doc["answer"].strip()]
    mixed = [docs[place] for place in random.Random(0).sample(answered, len(answered))]
    return [control for place in range(min(number, len(mixed))) for control in _of(mixed, place)]


def _of(docs: Sequence[Mapping], place: int) -> Iterator[Control]:
    doc = docs[place]
    told = content.content(doc["answer"], doc["question"])
    known = doc["id"], doc["question"], doc["answer"]

    def control(kind: str, candidate: str, partial: bool = True) -> Control:
        return Control(known[0], kind, *known[1:], candidate, partial)

    yield control("reference", doc["answer"], partial=bool(told))
    other = next(_wrong(doc, [*docs[place + 1 :], *docs[:place]], told), None)
    if other is not None:
        yield control("other", other)
    yield control("empty", "")


def _wrong(doc: Mapping, docs: Sequence[Mapping], told: set[str]) -> Iterator[str]:
    """Answers to the questions of other documents that have none of the words `told`."""
    author = doc["author"]
    one_author = all(other["author"] == author for other in docs)
    others = [other for other in docs if one_author or not author or other["author"] != author]
    answers = (other["answer"] for other in (*others, *doc.get("others", ())))
    # without such words, any answer may say the same
    return (text for text in answers if told and text.strip() and not told & content.words(text))


def judged(controls: Sequence[Control], verdicts: Sequence) -> dict[int, list[Judged]]:
    """Whether the judge's verdicts are right, by the document's `id`.

    Args:
        controls: the controls.
        verdicts: for each, the judge's verdict (`services.judge.Verdict`).
    """
    found: dict[int, list[Judged]] = {}
    for control, verdict in zip(controls, verdicts, strict=True):
        said = {metric: getattr(verdict, metric) for metric in METRICS if control.partial or metric == "correct"}
        right = {metric: value if control.kind == "reference" else 1 - value for metric, value in said.items()}
        found.setdefault(control.id, []).append(Judged(control.kind, right))
    return found


def row(found: Sequence[Judged]) -> dict[str, object]:
    """The values of one document that `metrics` aggregates; `found` is empty for a document without controls."""
    values: dict[str, object] = {}
    for metric, end in METRICS.items():
        right = {one.kind: one.right.get(metric, math.nan) for one in found}
        values[f"control_right{end}"] = right.get("reference", math.nan)
        values[f"control_wrong{end}"] = tuple(right.get(kind, math.nan) for kind in ("other", "empty"))
    return values


def tally(found: Mapping[int, Sequence[Judged]], metric: str, kind: str) -> tuple[int, int, int]:
    """Of the controls of one kind: how many verdicts are right, how many the judge gave, and how many it was asked for."""
    values = [one.right[metric] for its in found.values() for one in its if one.kind == kind and metric in one.right]
    known = intervals.known(values)
    return int(sum(known)), len(known), len(values)


def metrics() -> dict[str, Metric]:
    """Sensitivity: the share of references that the judge accepts. Specificity: the share of wrong answers that it rejects.

    Each has its exact 95 % interval and the number of verdicts behind it.
    """
    reported = {}
    for end in METRICS.values():
        for name, of in (("judge_sensitivity", "control_right"), ("judge_specificity", "control_wrong")):
            reported |= {
                f"{name}{end}": Metric(of + end, _rate, True),
                f"{name}{end}_ci_low": Metric(of + end, lambda values: _interval(values)[0]),
                f"{name}{end}_ci_high": Metric(of + end, lambda values: _interval(values)[1]),
                f"{name}{end}_count": Metric(of + end, lambda values: len(_known(values))),
            }
    return reported


def _known(values: Sequence) -> list[float]:
    return intervals.known([one for value in values for one in (value if isinstance(value, Sequence) else [value])])


def _rate(values: Sequence) -> float:
    return intervals.mean(_known(values))


def _interval(values: Sequence) -> tuple[float, float]:
    known = _known(values)
    return intervals.exact(int(sum(known)), len(known))
