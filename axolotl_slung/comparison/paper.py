"""The paper's own numbers, of its models, its texts, its scorer and its judge: rows of tables, and nothing else.

They are never on a frontier, in a picture or in a difference. `paper.json` names the table of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..render.sections import Section, Table

_MARK = "paper"


@cache
def numbers() -> dict:
    """The numbers as they are printed, by table."""
    return json.loads(Path(__file__).with_name("paper.json").read_text(encoding="utf-8"))


def perplexity(tasks: Sequence[str]) -> list[list[str]]:
    """Rows of Table 2: name, seeds, and a cell for each of the tasks."""
    table = numbers()["tables"]["Table 2"]
    return [[_named(name, "Table 2"), "3", *(_cell(dict(zip(table["columns"], cells)).get(task), 2) for task in tasks)]
            for name, cells in table["rows"].items()]  # fmt: skip


def names() -> list[list[str]]:
    """Rows of Table 4: name, seeds, names, new names."""
    rows = numbers()["tables"]["Table 4"]["rows"]
    return [[_named(name, "Table 4"), "3", _cell(cells[0], 1, "%"), "n/a"] for name, cells in rows.items()]


def correct() -> list[list[str]]:
    """Rows of Table 4: name, full correct, partial correct, by the paper's judge."""
    rows = numbers()["tables"]["Table 4"]["rows"]
    return [[_named(name, "Table 4"), *(_cell(cell, 1, "%") for cell in cells[1:])] for name, cells in rows.items()]


def section() -> Section:
    """What the paper prints, table by table, and what makes it another measurement."""
    given = numbers()
    tables = [
        Table(["method", *table["columns"]],
              [[name, *(cell if isinstance(cell, str) else _cell(cell, 2 if source == "Table 2" else 1) for cell in cells)]
               for name, cells in table["rows"].items()],
              f"{source}: {table['about']}")
        for source, table in given["tables"].items()
    ]  # fmt: skip
    note = (
        f"{given['paper']}. Its model was {given['model']}. Rows marked '{_MARK}' are of another scorer, another judge and "
        f"other texts: they show the order of magnitude, and are on no frontier and in no difference. Figure 2: "
        f"{given['Figure 2']}"
    )
    return Section("The paper's numbers", note, tables)


def _named(name: str, source: str) -> str:
    return f"{_MARK}, {source}: {name}"


def _cell(value, digits: int, unit: str = "") -> str:
    if value is None:
        return "n/a"
    mean, error = value
    return f"{mean:.{digits}f}{unit}" + ("" if error is None else f" ± {error:.{digits}f}")
