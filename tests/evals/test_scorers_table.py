"""The tables of scorers in docs/evaluation.md are those of the code."""

import re

from helpers import ROOT

from axolotl_slung.evals.services.guards import GUARDS
from axolotl_slung.evals.services.hub_scorers import ALIASES
from axolotl_slung.evals.services.scorers import KINDS


def table(first):
    """The rows of the table whose first column has this head, by their first cell."""
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    lines = page[page.index(f"\n| {first} |") + 1 :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
    assert {len(row) for row in rows} == {5}, "each row has five cells"
    return {row[0].strip("`| "): row for row in rows}


def test_every_kind_of_scorer_has_a_row():
    rows = table("scorer")
    assert list(rows) == list(KINDS), (
        "docs/evaluation.md, Scorers: give each entry of scorers.KINDS a row, in its order"
    )
    for name, alias in ALIASES.items():
        row = rows[f"{name}[:FOLDER]"]
        assert f"`{alias.model}`" in row[1] and row[3].startswith("sigmoid" if alias.sigmoid else "softmax")
    assert all(all(row) for row in rows.values())


def test_every_guard_has_a_row():
    rows = table("guard")
    assert list(rows) == [f"guard:{name}:MODEL" for name in GUARDS]
    for row, guard in zip(rows.values(), GUARDS.values()):
        assert row[3] == guard.license
        assert set(re.findall(r"\w+", row[1].lower())) - {"or"} == set(guard.words)
        assert ("chat template" in row[2]) == (not guard.prompt)
