"""The sections of `slung report` on what was not tried, and on where the audit and its models come from."""

from __future__ import annotations

from collections.abc import Iterator

from ..render.formats import count
from ..render.sections import Section, Table
from .evaluations import Evaluations
from .leakage import Leakage
from .provenance import flat, strata
from .tasks import AUDIT


def not_tried(leakage: Leakage) -> Section:
    """The section on what the page says nothing of."""
    rows: dict[str, list[str]] = {}
    for method, what in leakage.not_tried:
        rows.setdefault(what, []).append(method)
    told = [[", ".join(method for method in methods if method) or "all", what] for what, methods in rows.items()]
    note = "The page says nothing of these. A low rate above does not bound them."
    return Section("Leakage: what was not tried", note, [Table(["method", "what"], told, left=2)])


def provenance(evaluations: Evaluations, leakage: Leakage) -> Iterator[Section]:
    """The section on where the audit, the models and the results come from."""
    tables = []
    if leakage.audit:
        rows = [list(row) for row in flat({key: its for key, its in leakage.audit.items() if key != "counts"})]
        tables.append(Table(["key", "value"], rows, "The audit", left=2))
        if counts := _counts(leakage.audit.get("counts")):
            head = ["set", "kind", "in the data", "found", "sampled"]
            tables.append(Table(head, counts, "The audit's spans: different texts", left=3, brief=12))
    for name, manifest in leakage.manifests.items():
        if manifest:
            rows = [list(row) for row in flat(manifest)]
            tables.append(Table(["key", "value"], rows, f"The training of {name}", left=2, brief=12))
    lacking = [name for name, manifest in leakage.manifests.items() if not manifest]
    if lacking:
        rows = [[name, "no slung_manifest.json beside its model on this machine"] for name in lacking]
        tables.append(Table(["method", "training"], rows, left=2))
    tasks: dict[tuple[str, str], list[str]] = {}
    for method in evaluations.having(*AUDIT):
        for task in AUDIT:
            for run in method.runs.get(task, []):
                tasks.setdefault((method.name, str(run.file)), []).append(task)
    rows = [[method, ", ".join(its), file] for (method, file), its in tasks.items()]
    tables.append(Table(["method", "tasks", "results"], rows, left=3, brief=12))
    note = (
        "What was measured, and how it came about: digests, versions and counts. No text of the data is on this page."
    )
    yield Section("Leakage: provenance", note, tables)


def _counts(counts) -> list[list[str]]:
    """The rows of the table of strata; none if they are not as `slung audit` writes them."""
    rows = []
    for names, (found, sampled) in strata(counts):
        said = [name.replace("_", " ") for name in names]
        rows.append([*said[:1], names[1], *said[2:], count(found), count(sampled)])
    return rows
