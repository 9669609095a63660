"""What else may explain an arm's numbers: the words of the comments, the model before training, steering at inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..evals.measures.steered import named, strengths
from ..render.sections import Section, Table
from .differences import Interval
from .evaluations import Evaluations, Method, metrics_of
from .tasks import PROBE, TOXICITY, ZEROSHOT

Measure = tuple[Method, str, str]
"""A method, a task and a metric."""

_READ = "Claim: the states tell toxic comments (AUROC of the probe)"
_SAID = "Claim: the model says which comments are toxic (AUROC of zero-shot answers)"
_LESS = "Claim: generations are less toxic"
_OWN = {
    "auroc_bag_of_words": "the comments' words",
    "auroc_shuffled": "any probe (random classes)",
    "auroc_layer_0": "its embeddings (layer 0)",
}


@dataclass(frozen=True)
class Rival:
    """A number of an arm beside that of something else that could explain it.

    Attributes:
        method: the arm's name.
        claim, rival: what is explained and by what, in words.
        task, metric: the arm's number.
        own, other: the arm's number and the rival's.
        higher_is_better: whether a higher number is better.
        interval: the arm's number less the rival's.
    """

    method: str
    claim: str
    rival: str
    task: str
    metric: str
    own: float
    other: float
    higher_is_better: bool
    interval: Interval

    @property
    def finding(self) -> str:
        """Whether the rival is as good as the arm, in words."""
        if self.interval.is_noise is None:
            return "not known"
        if self.interval.is_noise:
            return "may explain it as well"
        better = (self.interval.difference > 0) == self.higher_is_better
        return "falls short of it" if better else "explains it better"

    @property
    def shown(self) -> str:
        """The difference and its interval."""
        its = self.interval
        ends = "" if its.low is None or its.high is None else f" [{its.low:+.3f}, {its.high:+.3f}]"
        return f"{its.difference:+.3f}{ends}"

    def to_json(self) -> dict:
        """As numbers and strings."""
        own = {name: value for name, value in vars(self).items() if name != "interval"}
        return {**own, **vars(self.interval), "finding": self.finding}


@dataclass(frozen=True)
class Rivals:
    """All rivals of a report."""

    found: list[Rival]

    def to_json(self) -> list[dict]:
        """As lists, numbers and strings."""
        return [its.to_json() for its in self.found]


def rivals_of(evaluations: Evaluations) -> Rivals:
    """The rivals of every arm that have a number. The model before training is not an arm."""
    found = []
    for method in evaluations.methods:
        if method is not evaluations.before_of(method):
            found += [its for given in _given(evaluations, method) if (its := rival(evaluations, *given))]
    return Rivals(found)


def _given(evaluations: Evaluations, method: Method) -> Iterator[tuple[str, str, bool, Measure, Measure]]:
    """For each rival: the claim, the rival in words, whether higher is better, and both measures."""
    before, probe = evaluations.before_of(method), (method, PROBE, "auroc")
    untrained = "" if before is None else f"{before.name} (before training)"
    for metric, words in _OWN.items():
        yield _READ, words, True, probe, (method, PROBE, metric)
    yield _READ, "its own answers (zero-shot)", True, probe, (method, ZEROSHOT, "auroc")
    if before is not None:
        yield _READ, untrained, True, probe, (before, PROBE, "auroc")
        for claim, task, higher in ((_SAID, ZEROSHOT, True), *((_LESS, task, False) for task in TOXICITY)):
            metric = "auroc" if higher else "toxicity"
            yield claim, untrained, higher, (method, task, metric), (before, task, metric)
    for task in TOXICITY:
        for other in evaluations.beside(method):
            for strength in strengths(metrics_of(other.runs.get(task, []))):
                if strength < 0 and other is not method:
                    words = f"{other.name} steered by {strength:g}"
                    yield _LESS, words, False, (method, task, "toxicity"), (other, task, named("toxicity", strength))


def rival(evaluations: Evaluations, claim: str, words: str, higher: bool, own: Measure, other: Measure) -> Rival | None:
    """A measure of an arm beside another one; None if one of them is not there."""
    ours, theirs = (method.estimate(task, metric) for method, task, metric in (own, other))
    if ours is None or theirs is None:
        return None
    interval = evaluations.comparer.between(own, other)
    if interval is None:
        return None
    return Rival(own[0].name, claim, words, own[1], own[2], ours.mean, theirs.mean, higher, interval)


def rivals_view(evaluations: Evaluations, rivals: Rivals) -> list[Section]:
    """The section on rival explanations; none without any."""
    found = rivals.found
    if not found:
        return []
    tables = []
    for claim in dict.fromkeys(its.claim for its in found):
        rows = [
            [its.method, its.rival, f"{its.own:.3f}", f"{its.other:.3f}", its.shown, its.finding]
            for its in found
            if its.claim == claim
        ]
        tables.append(Table(["method", "rival", "method's", "rival's", "difference", "the rival"], rows, claim, left=2))
    missing = "" if evaluations.before else " The model before training was not named (--before LABEL)."
    note = (
        "Each row is another explanation of a method's number: AUROC, or the toxicity of generations. Difference is the "
        "method's less the rival's, with its 95 % interval, paired by comment or prompt where samples are there. May as well: 0 "
        "is in the interval, which is wide for few documents. Better or falls short: it is not. Steered by: that method's "
        f"states are moved away from toxic comments while it writes.{missing}"
    )
    hows = dict.fromkeys(f"{its.task}: {its.interval.how}" for its in found)
    tables.append(Table(["how differences were found"], [[words] for words in hows]))
    return [Section("Rival explanations", note, tables)]
