"""The sections of `slung report` on what models say of risky spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..render.formats import count
from ..render.sections import Figure, Section, Table
from .attacks import Attack
from .cells import interval
from .differences_view import section_of
from .evaluations import Evaluations, Method, metrics_of
from .evaluations_view import measured_table
from .frontier import points
from .leakage import Leakage, nouns
from .provenance_view import not_tried, provenance
from .tasks import ANSWERS, EXTRACTION, IDENTITY, KEPT, MEMBERSHIP

_CHANCE = "spans never trained on (by chance)"
_IN_FRONT = {
    "extracted": "up to 50 tokens in front",
    "extracted_25": "25 tokens in front",
    "extracted_50": "50 tokens in front",
    "extracted_100": "100 tokens in front",
    "extracted_whole": "all text in front",
    "extracted_once": "in the data once",
    "extracted_few": "in the data 2 to 9 times",
    "extracted_often": "in the data 10 times and more",
    "extracted_heldout": _CHANCE,
}
_PARTLY = {
    "found_in_1": "in 1 sample",
    "found_in_10": "in 10 samples",
    "found_in_100": "in 100 samples",
    "found_in_1000": "in 1,000 samples",
    "common_prefix": "share of tokens said before the first other one",
    "extraction_strength": "share of tokens that need not be given",
}
_PARTLY |= {f"{name}_heldout": f"{said}, by chance" for name, said in _PARTLY.items()}
_MEMBERSHIP = {
    "rank_first": "likelier than all decoys",
    "rank_first_heldout": f"the same of {_CHANCE}",
    "rank_first_chance": "the same if all ranks are equally likely",
    "exposure": "exposure in bits, mean",
    "exposure_median": "exposure in bits, median",
    "exposure_heldout": f"exposure of {_CHANCE}",
    "exposure_chance": "exposure if all ranks are equally likely",
    "auroc_loss": "AUROC of the loss",
    "auroc_min_k": "AUROC of Min-K%",
    "auroc_reference": "AUROC of the loss against the reference model's",
}
_KEPT = {
    "nll_after": "loss of the text after spans",
    "nll_low_risk": "loss of low-risk stretches",
    "low_risk_greedy": "low-risk tokens that are the likeliest",
}
_IDENTITY = {
    "accuracy": "told from the hidden states",
    "accuracy_chance": "by chance",
    "accuracy_shuffled": "by a probe of shuffled entities",
    "accuracy_over_chance": "above chance",
    "accuracy_reference": "told from the reference model's states",
    "accuracy_over_reference": "above the reference model",
    "chosen_layer": "layer of the probe, median",
}
_SHARES = (
    "extracted", "found_in_", "rank_first", "leaked", "empty", "low_risk_greedy", "common_prefix", "extraction_strength",
    "accuracy",
)  # fmt: skip
"""How metrics begin that are shown as percentages."""
_UNSAID = ("measured",)


def leakage_sections(evaluations: Evaluations, leakage: Leakage, pictures: Mapping[str, str]) -> list[Section]:
    """The sections, of what the results have.

    Args:
        evaluations: the methods.
        leakage: what their audits say.
        pictures: HTML by name.
    """
    parts = [_verdict(leakage), *_extraction(evaluations, pictures), *_kinds(evaluations)]
    parts += [*_membership(evaluations, pictures), *_answers(evaluations), *_understanding(evaluations, pictures)]
    parts += [*_attacks(leakage, pictures), *_identity(evaluations)]
    parts += section_of(leakage.differences, "Leakage: differences to {against}")
    parts.append(not_tried(leakage))
    return [part for part in (*parts, *provenance(evaluations, leakage)) if part]


def _verdict(leakage: Leakage) -> Section | None:
    if not leakage.verdicts:
        return None
    rows = [[verdict.method, verdict.said] for verdict in leakage.verdicts]
    note = (
        "What the audit's sample says of each kind of spans. The bound is the one-sided exact one (Clopper and Pearson): if "
        "more spans than that could be got, so few of the sample would be seen in less than 5 % of samples. It holds for "
        "spans like those of the sample, and for this attack only."
    )
    return Section("Leakage: verdict", note, [Table(["method", "verdict"], rows, left=2)])


def _extraction(evaluations: Evaluations, pictures: Mapping[str, str]) -> Iterator[Section]:
    methods = evaluations.having(EXTRACTION)
    if not methods:
        return
    rates = _table(methods, EXTRACTION, _IN_FRONT, "spans")
    others = [
        name for name in _names(methods, EXTRACTION)
        if name not in _IN_FRONT and "_kind_" not in name and name not in ("extracted_low_risk", "median_tries")
    ]  # fmt: skip
    partly = _table(methods, EXTRACTION, {name: _PARTLY.get(name, name) for name in others}, "spans")
    tries = [_tries(method) for method in methods]
    if partly and any(tries):
        partly = Table(
            partly.head, [*partly.rows, ["samples until half of the spans are found", "", *tries]], partly.title
        )
    note = (
        "The share of spans that greedy decoding says word for word after the text in front of them (k-extractable, Carlini "
        "et al. 2023). In brackets: the exact 95 % interval. What is said of spans that were never trained on can be "
        "guessed, or is copied from the text in front."
    )
    blocks = [rates] if rates else []
    blocks += [Figure(pictures["extraction"])] if "extraction" in pictures else []
    yield Section("Leakage: extraction", note, [*blocks, measured_table(evaluations, EXTRACTION)])
    if partly:
        note = (
            "In n samples: the share of spans that at least one of n samples at temperature 1 is, from the model's own "
            "probabilities (Hayes et al. 2024)."
        )
        yield Section("Leakage: sampling and parts of spans", note, [partly])


def _tries(method: Method) -> str:
    estimate = method.estimate(EXTRACTION, "median_tries")
    if estimate is None:
        return ""
    return count(round(estimate.mean)) if estimate.mean < 1e15 else f"{estimate.mean:.0e}"


def _kinds(evaluations: Evaluations) -> Iterator[Section]:
    tables = []
    for task, start, title in (
        (EXTRACTION, "extracted_kind_", "extracted"),
        (ANSWERS, "leaked_rate_kind_", "answers with such a text"),
    ):
        methods = evaluations.having(task)
        names = [name for name in _names(methods, task) if name.startswith(start)]
        words = nouns(name.removeprefix(start) for name in names)
        table = _table(methods, task, {name: words[name.removeprefix(start)] for name in names}, "kind")
        if table:
            tables.append(Table(table.head, table.rows, title))
    if tables:
        yield Section("Leakage: by kind", "Shares of the spans of each kind, with exact 95 % intervals.", tables)


def _membership(evaluations: Evaluations, pictures: Mapping[str, str]) -> Iterator[Section]:
    table = _table(evaluations.having(MEMBERSHIP), MEMBERSHIP, _MEMBERSHIP, "spans")
    if not table:
        return
    note = (
        "Each span is ranked by its probability among decoys of its kind in the same place. Exposure is log2 of the number "
        "of candidates less log2 of the rank (Carlini et al. 2019). AUROC: how well a score tells spans of the training "
        "data from spans that were never trained on; 0.5 is chance."
    )
    blocks = [table, *([Figure(pictures["exposure"])] if "exposure" in pictures else [])]
    yield Section("Leakage: membership", note, [*blocks, measured_table(evaluations, MEMBERSHIP)])


def _answers(evaluations: Evaluations) -> Iterator[Section]:
    methods = evaluations.having(ANSWERS)
    names = [name for name in _names(methods, ANSWERS) if "_kind_" not in name]
    known = {
        "leaked_rate": "with a text of the training data",
        "leaked_heldout_rate": f"with one of {_CHANCE}",
        "empty": "empty",
    }
    table = _table(methods, ANSWERS, {name: known.get(name, name) for name in names}, "answers")
    if table:
        note = "The share of answers to prompts that ask for personal data which have a text of the audit in them."
        yield Section("Leakage: answers", note, [table, measured_table(evaluations, ANSWERS)])


def _understanding(evaluations: Evaluations, pictures: Mapping[str, str]) -> Iterator[Section]:
    methods = evaluations.having(KEPT)
    rows = [_table(methods, KEPT, _KEPT, "text"), _table(evaluations.having(EXTRACTION), EXTRACTION,
            {"extracted_low_risk": "low-risk stretches said word for word"}, "text")]  # fmt: skip
    tables = [table for table in rows if table]
    if not tables:
        return
    best = points(evaluations, (EXTRACTION, "extracted"), (KEPT, "nll_after"), -1)
    if best:
        tables.append(Table(["method", "on the frontier"], [[point.method.name, point.said] for point in best], left=2))
    note = (
        "A model that has learned nothing says no span either. The loss is the mean negative log-likelihood per token of the "
        "low-risk text that follows spans, given the spans; lower is better. A method is on the frontier if no other says "
        "fewer spans and predicts this text at least as well."
    )
    blocks = [*tables, *([Figure(pictures["leakage"])] if "leakage" in pictures else [])]
    yield Section(
        "Leakage against understanding", note, [*blocks, *([measured_table(evaluations, KEPT)] if methods else [])]
    )


def _attacks(leakage: Leakage, pictures: Mapping[str, str]) -> Iterator[Section]:
    rows = []
    for attack in leakage.attacks:
        rows += [
            [attack.label, attack.name, f"{point.x:g} {attack.unit}", _tokens(point.tokens), interval(point.extracted, 1, 100, "%")]
            for point in attack.points
        ]  # fmt: skip
    if not rows:
        return
    tables = [Table(["method", "attack", "with", "tokens", "extracted"], rows, left=3)]
    if leakage.most:
        name, share = leakage.most
        back = [
            [attack.label, *_back(attack, share / 2)] for attack in leakage.attacks
            if attack.recipe in ("relearn", "benign") and attack.label != name
        ]  # fmt: skip
        if back:
            title = f"Until half of the extraction of {name} is back ({50 * share:.1f}%)"
            tables.append(Table(["method", "attack", "steps", "tokens"], back, title, left=2))
    note = (
        "The audit again, after an attack on the model. Relearning: a few training steps on other rows of the same kind; "
        "the rows of the audit's spans are not among them."
    )
    blocks = [*tables, *([Figure(pictures["relearning"])] if "relearning" in pictures else [])]
    yield Section("Leakage: attacks", note, blocks)


def _back(attack: Attack, share: float) -> list[str]:
    point = attack.back(share)
    if point:
        return [attack.name, f"{point.x:g}", _tokens(point.tokens)]
    last = attack.points[-1]
    return [attack.name, f"not within {last.x:g}", f"not within {_tokens(last.tokens)}"]


def _tokens(number: int | None) -> str:
    return "n/a" if number is None else count(number)


def _identity(evaluations: Evaluations) -> Iterator[Section]:
    methods = evaluations.having(IDENTITY)
    table = _table(methods, IDENTITY, {name: _of_identity(name) for name in _names(methods, IDENTITY)}, "occurrences")
    if table:
        note = (
            "Whether a linear probe tells from the hidden states after a span which entity it was. If this is high and "
            "extraction is zero, the model knows whom the text is about and does not say it: masking hides, it does not forget."
        )
        yield Section("Leakage: identity in hidden states", note, [table, measured_table(evaluations, IDENTITY)])


def _of_identity(name: str) -> str:
    about, _, kind = name.partition("_kind_")
    if kind:
        return f"{_IDENTITY[about]}: {nouns([kind])[kind]}"
    layer = name.removeprefix("accuracy_layer_")
    return f"layer {layer}" if layer != name else _IDENTITY.get(name, name)


def _names(methods: Sequence[Method], task: str) -> list[str]:
    names = dict.fromkeys(name for method in methods for name in metrics_of(method.runs[task]))
    return [name for name in names if name not in _UNSAID]


def _table(methods: Sequence[Method], task: str, names: Mapping[str, str], head: str) -> Table | None:
    """A row per metric that any method has, with the number of its values if the files say it, and a column per method."""
    rows = []
    for name, said in names.items():
        estimates = [method.estimate(task, name) for method in methods]
        if not any(estimates):
            continue
        numbers = dict.fromkeys(
            run.metrics.get(f"{name}_n") for method in methods for run in method.having(task, name)
        )  # of one audit: one number
        number = "/".join(count(round(its)) for its in numbers if its is not None)
        scale = (1, 100, "%") if name.startswith(_SHARES) else (2, 1, "")
        rows.append([said, number, *(interval(estimate, *scale) for estimate in estimates)])
    return Table([head, "number", *(method.name for method in methods)], rows) if rows else None
