"""What the package and its tests import is what pyproject.toml declares."""

import ast
import re
import sys
import tomllib

from helpers import ROOT

DISTRIBUTIONS = {
    "absl": "absl-py",
    "fasttext": "fasttext-numpy2-wheel",
    "livekit": "livekit-blingfire",
    "re2": "google-re2",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Of modules whose distribution has another name."""

EXTRAS = {
    "datatrove": "datatrove",
    "detoxify": "detoxify",
    "gguf": "demo",
    "gliner": "gliner",
    "presidio_analyzer": "presidio",
    "spacy": "presidio",
    "tldextract": "presidio",
}
"""The extra of each module that only an extra brings."""

BROUGHT_ALONG = {"triton"}
"""Modules that torch brings where it can use them, and that nothing else should ask for."""

BROUGHT_FOR_TESTS = {"deepspeed", "triton"}
"""The first by axolotl[deepspeed], which knows the version that goes with it."""


def imported(*folders):
    """The third-party modules of all import statements, wherever they stand in a file."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module.partition(".")[0])
    ours = {"axolotl_slung", "axolotl_slung_lm_eval", "helpers"}
    return found - set(sys.stdlib_module_names) - ours


def distributions(modules):
    return {canonical(DISTRIBUTIONS.get(module, module)) for module in modules}


def declared(*extras):
    """What the package requires, or what these extras add to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["optional-dependencies"][extra] for extra in extras] or [project["dependencies"]]
    return {canonical(re.match(r"[\w.-]+", entry)[0]) for entries in lists for entry in entries}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_declared_and_nothing_else():
    modules = imported("axolotl_slung", "discovery", "lm_eval_tasks")
    assert modules >= EXTRAS.keys() | BROUGHT_ALONG
    assert distributions(modules - EXTRAS.keys() - BROUGHT_ALONG) == declared()
    for extra in set(EXTRAS.values()):
        assert distributions(module for module, of in EXTRAS.items() if of == extra) == declared(extra)


def test_what_the_tests_import_is_declared():
    assert distributions(imported("tests") - BROUGHT_FOR_TESTS) <= declared() | declared("test", "demo")
