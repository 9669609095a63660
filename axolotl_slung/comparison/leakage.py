"""What the audits of models say: verdicts with their bounds, how far attacks got, and what nobody tried."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..evals.measures.intervals import exact
from .attacks import RECIPES, Attack
from .differences import Difference, differences_in
from .evaluations import Evaluations, compared, metrics_of
from .provenance import manifests
from .results import Run
from .tasks import ANSWERS, AUDIT, EXTRACTION, IDENTITY, KEPT, MEMBERSHIP

_NOUNS = {
    "email": "e-mail addresses", "EMAIL_ADDRESS": "e-mail addresses", "phone": "telephone numbers",
    "PHONE_NUMBER": "telephone numbers", "ip": "IP addresses", "IP_ADDRESS": "IP addresses", "credit_card": "card numbers",
    "CREDIT_CARD": "card numbers", "card": "card numbers", "iban": "account numbers", "IBAN_CODE": "account numbers",
    "us_ssn": "social security numbers", "US_SSN": "social security numbers", "api_keys": "keys", "jwt": "web tokens",
    "private_key": "private keys", "url_credentials": "passwords in URLs", "person": "names", "PERSON": "names",
    "entities": "names", "address": "addresses", "order": "order numbers",
}  # fmt: skip
_KIND = re.compile("(?:extracted|leaked_rate)_kind_(.+)")
_COMPARED = ((EXTRACTION, "extracted"), (MEMBERSHIP, "exposure"), (ANSWERS, "leaked_rate"), (KEPT, "nll_after"))
"""What is compared between methods."""


@dataclass(frozen=True)
class Verdict:
    """How many spans of one kind an attack got out of a model, in words and numbers.

    Attributes:
        method: its name.
        attack: the task that is the attack.
        kind: of the spans; None for all kinds together. `named` is the kind in words.
        asked: number of spans, or of prompts.
        found: how many gave the span. Of several seeds, those of the worst.
        seeds: number of runs.
    """

    method: str
    attack: str
    kind: str | None
    named: str
    asked: int
    found: int
    seeds: int

    @property
    def at_most(self) -> float:
        """The one-sided 95 % bound of the share (Clopper and Pearson 1934)."""
        from scipy.stats import beta

        return 1.0 if self.found == self.asked else float(beta.ppf(0.95, self.found + 1, self.asked - self.found))

    @property
    def said(self) -> str:
        """The verdict in words."""
        if not self.asked:
            return "Nothing was asked."
        extraction = self.attack == EXTRACTION
        what = self.named if extraction else "prompts" if self.kind is None else f"prompts that ask for {self.named}"
        done = "extracted" if extraction else "answered with a text of the training data"
        number = "none was" if not self.found else f"{self.found:,} {'was' if self.found == 1 else 'were'}"
        worst = f" from the worst of {self.seeds} runs" if self.seeds > 1 else ""
        can = "can be by this attack"
        # rounded up, so that the sentence stays true
        bound = f"{math.ceil(1000 * self.at_most - 1e-9) / 10:.1f} %"
        if not self.found:
            return f"Of {self.asked:,} {what} {number} {done}{worst}. With 95 % confidence fewer than {bound} {can}."
        if self.found == self.asked:
            low, _ = exact(self.found, self.asked)
            return (
                f"All of {self.asked:,} {what} were {done}{worst}, so at least {100 * low:.1f} % {can} (95 % interval)."
            )
        share = f"{100 * self.found / self.asked:.1f} %"
        return f"Of {self.asked:,} {what} {number} {done}{worst}, {share}. With 95 % confidence at most {bound} {can}."

    def to_json(self) -> dict:
        """As numbers and strings."""
        low, high = exact(self.found, self.asked)
        return {**vars(self), "low": low, "high": high, "at_most": self.at_most, "said": self.said}


def nouns(kinds: Iterable[str]) -> dict[str, str]:
    """Kinds of spans in words. Two kinds with one word, such as those of two labelers, are told apart by their names."""
    named = {kind: _NOUNS.get(kind, f"spans of the kind {kind}") for kind in kinds}
    shared = [words for words in named.values() if [*named.values()].count(words) > 1]
    return {kind: f"{words} ({kind})" if words in shared else words for kind, words in named.items()}


def verdicts_of(evaluations: Evaluations) -> list[Verdict]:
    """For each method, attack and kind; all kinds together come first."""
    found = []
    for method in evaluations.methods:
        for task, metric in ((EXTRACTION, "extracted"), (ANSWERS, "leaked_rate")):
            kinds = {name: its[1] for name in metrics_of(method.runs.get(task, [])) if (its := _KIND.fullmatch(name))}
            words = {None: "spans", **nouns(kinds.values())}
            for name, kind in {metric: None, **kinds}.items():
                if counts := [its for run in method.having(task, name) if (its := _counted(run, name))]:
                    asked, worst = max(counts, key=lambda its: its[1] / max(its[0], 1))
                    found.append(Verdict(method.name, task, kind, words[kind], asked, worst, len(counts)))
    return found


def _counted(run: Run, metric: str) -> tuple[int, int] | None:
    """The number of values of a rate, and of those that are 1; None if the file does not say."""
    number, rate = run.metrics.get(f"{metric}_n"), run.metrics.get(metric)
    return None if number is None or rate is None else (round(number), round(rate * number))


def differences_of(evaluations: Evaluations) -> list[Difference]:
    """The differences of all methods to the one of `--against`, or else to the first that was asked."""
    asked = evaluations.having(*AUDIT)
    against = evaluations.against or next((method.name for method in asked), "")
    return [
        its
        for base, others in compared(asked, against)
        for its in differences_in(others, base, evaluations.comparer, _COMPARED)
    ]


def most_extracted(evaluations: Evaluations) -> tuple[str, float] | None:
    """The method of which most spans were extracted without an attack, and their share; None if none were."""
    its = [
        (method.name, estimate.mean)
        for method in evaluations.methods
        if (estimate := method.estimate(EXTRACTION, "extracted"))
    ]
    best = max(its, key=lambda each: each[1], default=None)
    return best if best and best[1] > 0 else None


def not_tried(evaluations: Evaluations) -> Iterator[tuple[str, str]]:
    """What of the audit was not done: `(method, what)`; all methods if the method is empty."""
    tasks = {
        EXTRACTION: "continuing the text in front of a span",
        MEMBERSHIP: "ranking a span among others of its kind",
        ANSWERS: "prompts that ask for personal data",
        KEPT: "how well the low-risk text is predicted: a model that learned nothing leaks nothing",
        IDENTITY: "whether hidden states still tell who is meant",
    }
    for method in evaluations.having(*AUDIT):
        yield from ((method.name, f"{task}: {what}") for task, what in tasks.items() if task not in method.runs)
        heldout = method.estimate(EXTRACTION, "extracted_heldout")
        if EXTRACTION in method.runs and heldout is None:
            yield method.name, "spans that were never trained on, which show what comes by chance"
        done = {attack.recipe for attack in evaluations.attacks if attack.label in (method.label, method.name)}
        yield from ((method.name, f"attack: {what[0]}") for recipe, what in RECIPES.items() if recipe not in done)
    yield "", "texts that no labeler found: they are trained on like any text, and the audit does not ask for them"
    yield (
        "",
        "spans that were not sampled, other prompts, other settings of sampling, and attacks not named on this page",
    )
    yield "", "attackers who have more than the text in front of a span, such as parts of the training data"


@dataclass(frozen=True)
class Leakage:
    """What the audits of all methods say.

    Attributes:
        verdicts: for each method, attack and kind; all kinds together come first.
        differences: of the methods to one of them.
        attacks: what `slung attack` has measured.
        most: the method of which most spans were extracted without an attack, and their share.
        not_tried: what was not done, as `(method, what)`; all methods if the method is empty.
        audit: audit.json without its salt, if the audit's folder was given.
        manifests: by method, the manifest beside its model; None if there is none on this machine.
    """

    verdicts: list[Verdict]
    differences: list[Difference]
    attacks: list[Attack]
    most: tuple[str, float] | None
    not_tried: list[tuple[str, str]]
    audit: dict | None
    manifests: dict[str, dict | None]

    def to_json(self) -> dict:
        """As numbers and strings."""
        return {
            **{name: [its.to_json() for its in getattr(self, name)] for name in ("verdicts", "differences", "attacks")},
            "not_tried": [{"method": method or None, "what": what} for method, what in self.not_tried],
            "audit": self.audit,
            "manifests": self.manifests,
        }


def leakage_of(evaluations: Evaluations) -> Leakage | None:
    """What the audits say; None if no model was asked or attacked."""
    if not evaluations.having(*AUDIT) and not evaluations.attacks:
        return None
    return Leakage(
        verdicts_of(evaluations),
        differences_of(evaluations),
        evaluations.attacks,
        most_extracted(evaluations),
        list(not_tried(evaluations)),
        evaluations.audit,
        manifests(evaluations.methods),
    )
