"""The rooms of the package: which may import which, and which can do without Axolotl."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import axolotl_slung

PACKAGE = Path(axolotl_slung.__file__).parent

BASICS = {"visible", "errors", "storage", "compiled", "packed", "regression", "yaml_text"}

ALLOWED = {
    # the flow of the data: text, spans, labels, loss
    "visible": set(),
    "errors": {"visible"},
    "compiled": set(),
    "yaml_text": set(),
    "packed": set(),
    "regression": set(),
    "storage": {"visible", "errors"},
    "labeling": BASICS,
    "labels": {*BASICS, "labeling"},
    "config": {*BASICS, "labeling", "labels"},
    "fault_words": set(),
    "manifest": {"visible", "errors", "storage"},
    "faults": {*BASICS, "labeling", "labels", "config", "fault_words"},
    "loss": {*BASICS, "labels"},
    # Axolotl
    "training": {*BASICS, "labeling", "labels", "loss", "config", "faults", "manifest"},
    # before a run
    "corpus": {*BASICS, "labeling", "labels", "config", "faults"},
    "mixing": {*BASICS, "labeling", "labels", "config", "faults", "corpus"},
    "render": {"visible", "errors"},
    "inspection": {*BASICS, "labeling", "labels", "config", "corpus", "render"},
    "label_stats": {*BASICS, "labeling", "labels", "config", "corpus", "render"},
    "distill": {*BASICS, "labeling", "labels", "corpus", "label_stats"},
    "doctor": {*BASICS, "labels", "loss", "config", "faults", "training"},
    "arms": {*BASICS, "labels", "config", "training"},
    # after it
    "evals": {*BASICS, "labeling", "manifest"},
    "audit": {*BASICS, "labels", "evals"},
    "lm_eval_tasks": {"evals"},
    "attacks": {*BASICS, "labels", "training", "audit", "evals"},
    "comparison": {*BASICS, "evals", "render"},
    "demo": {*BASICS, "labeling", "labels", "evals"},
}
"""Room: the rooms that it may import, at the top of a module or in a function. `cli` may import all but `demo`."""

WITHOUT_AXOLOTL = ("labeling", "labels", "loss", "evals", "corpus", "mixing")


def modules() -> dict[str, Path]:
    """Each module of the package by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(name: str) -> Iterator[str]:
    """The package's own modules that a module imports anywhere in its source, types aside."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        targets = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*up, *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
        yield from (target for target in targets if target in MODULES)


def room(name: str) -> str | None:
    """The folder or file below the package that a module is in; None for the package itself, which all may import."""
    return name.split(".")[1] if "." in name else None


def arrows() -> dict[tuple[str, str], list[str]]:
    """From one room to another: the modules that import."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in MODULES:
        for target in imported(name):
            if None not in (room(name), room(target)) and room(name) != room(target):
                found.setdefault((room(name), room(target)), []).append(name)
    return found


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of which each is on a cycle, or leads to one and is reached from one."""
    left = {node: set(targets) - {node} for node, targets in graph.items()}
    while True:
        ends = {node for node, targets in left.items() if not targets & left.keys()}
        starts = left.keys() - set().union(*left.values()) if left else set()
        if not ends | starts:
            return sorted(left)
        for node in ends | starts:
            del left[node]


def test_the_walk_sees_imports_in_functions_and_of_modules():
    assert "axolotl_slung.labeling.profanity.model" in set(imported("axolotl_slung.evals.services.scorers"))
    assert "axolotl_slung.training.data.hooks" in set(imported("axolotl_slung.training.data.look"))
    assert "axolotl_slung.storage" in set(imported("axolotl_slung.labeling.cache"))


def test_cycle_finds_one():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]


def test_rooms_import_only_what_they_may():
    allowed = {**ALLOWED, "cli": ALLOWED.keys() - {"demo"}, "__main__": {"cli"}}
    assert {room(name) for name in MODULES} - {None} <= allowed.keys()
    assert {arrow: who for arrow, who in arrows().items() if arrow[1] not in allowed[arrow[0]]} == {}


def test_the_allowed_arrows_have_no_cycle():
    assert cycle(ALLOWED) == []


def test_no_module_imports_itself_through_others():
    # the package itself imports SlungPlugin when that is asked for
    assert cycle({name: set(imported(name)) - {"axolotl_slung"} for name in MODULES}) == []


@pytest.mark.parametrize("name", WITHOUT_AXOLOTL)
def test_axolotl_is_not_allowed_in_by_another_room(name):
    reached, todo = set(), [name]
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo += ALLOWED[here]
    assert "training" not in reached


def test_six_rooms_do_without_axolotl():
    names = [name for name in MODULES if room(name) in WITHOUT_AXOLOTL]
    # Triton and datatrove are not on every machine
    optional = {
        "axolotl_slung.loss.rows_triton": "triton",
        "axolotl_slung.corpus.datatrove": "datatrove",
        "axolotl_slung.mixing.datatrove": "datatrove",
    }
    script = f"""
import importlib, importlib.util, sys

class NoAxolotl:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "axolotl":
            raise AssertionError("axolotl was imported")

sys.meta_path.insert(0, NoAxolotl())
for name in {names!r}:
    needed = {optional!r}.get(name)
    if needed is None or importlib.util.find_spec(needed):
        importlib.import_module(name)
assert "axolotl" not in sys.modules
try:
    import axolotl
except AssertionError:
    print("done")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("done")
