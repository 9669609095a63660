"""Tables of `slung distill`."""

from __future__ import annotations

from ..render.formats import count
from ..render.sections import Facts, Section, Table

_NOTE = (
    "Of documents that the student was not fitted to. They chose its settings and cuts, which makes these figures a little too "
    "good. Then it was fitted to all documents. The mean F1 is over documents; it is 1 where nothing is marked or found."
)
_COLUMNS = {
    "threshold": "threshold",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "mean_f1": "mean F1",
    "mean_f1_with_spans": "of documents with spans",
    "f1_of_words": "F1 of words",
}


def sections(card: dict) -> list[Section]:
    """What a student learned from, and how good it is on held-out documents."""
    data, held_out = card["data"], card["held_out"]
    facts = [
        (count(data["documents"]), "documents"),
        (count(data["with_spans"]), "of them with spans"),
        (count(held_out["documents"]), "of them held out"),
        (f"{card['cuts'][0]:g} and {card['cuts'][1]:g}", "cuts of a method"),
    ]
    rows = [(title, *(_number(at[key]) for key in _COLUMNS)) for title, at in held_out["at"].items()]
    table = Table(("characters", *_COLUMNS.values()), rows)
    return [Section(card["name"], blocks=[Facts(facts)]), Section("Held-out documents", _NOTE, [table])]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
