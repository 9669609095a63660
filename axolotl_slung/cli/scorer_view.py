"""Tables of `slung scorer`."""

from __future__ import annotations

import math

from ..evals.calibration import Calibrated
from ..evals.measures.scorer_agreement import Agreement, Figure
from ..evals.scorer_check import Report
from ..render.formats import count
from ..render.sections import Facts, Section, Table

_NOTE = "With 95 % intervals. By chance, AUROC is 0.5 and average precision is the share of toxic texts."


def sections(report: Report) -> list[Section]:
    """The report of a check."""
    return [_about(report.scorer, report.data), Section("Against the frozen scores", _NOTE, _tables(report.groups))]


def before_and_after(scorer: dict, data: dict, found: Calibrated) -> list[Section]:
    """The report of a calibration."""
    tables = _tables({"before": found.before, "after": found.after})
    return [_about(scorer, data), Section("The map, on prompts that it was not made from", _NOTE, tables)]


def of_card(card: dict) -> list[Section]:
    """What was fitted, and how well it does on held-out prompts."""
    rows = [(name, str(value)) for name, value in card["chosen"].items()]
    rows += [(name, str(value)) for name, value in card["held_out"].items()]
    note = "Chosen on the held-out prompts, which makes these figures a little too good. All texts were then fitted."
    return [Section(card["kind"], note, [Table(("", "value"), rows)])]


def _about(scorer: dict, data: dict) -> Section:
    facts = [
        (count(data["texts"]), "texts with a frozen score"),
        (count(data["without_score"]), "texts without one, left out"),
        (count(data["unscored"]), "texts that the scorer gave no score, left out"),
    ]
    note = f"{scorer['version']}. {data['source']}, sha256 {data['sha256']}."
    if data.get("seen"):
        note += f" The scorer was fitted to {count(data['seen'])} of these prompts, so its figures are too good."
    return Section(scorer["name"], note, [Facts(facts)])


def _tables(groups: dict[str, Agreement]) -> list[Table]:
    ranking = [
        (name, count(one.n), _decimal(one.toxic), _figure(one.auroc), _figure(one.average_precision))
        for name, one in groups.items()
    ]
    scale = [(name, _figure(one.bias), _figure(one.mean_absolute_error)) for name, one in groups.items()]
    cut = [(name, _figure(one.recall), _figure(one.precision)) for name, one in groups.items()]
    return [
        Table(("texts", "n", "toxic", "AUROC", "average precision"), ranking),
        Table(("texts", "bias", "mean absolute error"), scale),
        Table(("texts", "recall at 0.5", "precision at 0.5"), cut),
    ]


def _figure(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "n/a"
    if math.isnan(figure.low):
        return _decimal(figure.value)
    return f"{_decimal(figure.value)} ({_decimal(figure.low)} to {_decimal(figure.high)})"


def _decimal(number: float) -> str:
    return f"{number:.3f}"
