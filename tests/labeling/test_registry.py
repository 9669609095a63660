"""The table of labelers, and what is held to it: config blocks, classes, messages, docs."""

import inspect
import json
import re
import subprocess
import sys
import tomllib
from typing import get_args

import pytest
from helpers import ROOT
from helpers.tables import table

from axolotl_slung import labeling
from axolotl_slung.config import SlungConfig
from axolotl_slung.labeling.blocks import LabelerConfig
from axolotl_slung.labeling.build import build
from axolotl_slung.labeling.registry import LABELERS

BLOCKS = {get_args(block.model_fields["type"].annotation)[0]: block for block in get_args(get_args(LabelerConfig)[0])}
OF_THE_BLOCK = {"type", "datasets", "name", "cuts"}
"""Keys that every labeler has, and that its class does not see."""
GIVEN_BY_BUILD = {"thresholds"}


def keys_of(kind):
    return {name: field for name, field in BLOCKS[kind].model_fields.items() if name not in OF_THE_BLOCK}


def test_each_labeler_has_a_config_block():
    assert list(BLOCKS) == list(LABELERS)


@pytest.mark.parametrize("kind", LABELERS)
def test_the_class_has_the_keys_and_defaults_of_the_block(kind):
    parameters = dict(inspect.signature(LABELERS[kind].load()).parameters)
    assert next(iter(parameters)) == "key"
    taken = {name: p.default for name, p in parameters.items() if name not in {"key", *GIVEN_BY_BUILD}}
    keys = {name: inspect.Parameter.empty if f.is_required() else f.default for name, f in keys_of(kind).items()}
    # a class writes None for an empty mapping, which would be shared between its objects
    assert taken == {name: None if value == {} else value for name, value in keys.items()}


def test_the_package_exports_the_classes():
    for entry in LABELERS.values():
        kind = getattr(labeling, entry.class_name)
        assert kind is entry.load() and issubclass(kind, labeling.Labeler) and entry.class_name in labeling.__all__
    assert set(labeling.__all__) == {e.class_name for e in LABELERS.values()} | {
        "Labeler",
        "LabelerError",
        "RowError",
        "Span",
    }
    with pytest.raises(AttributeError, match="has no attribute 'NoLabeler'"):
        labeling.NoLabeler  # noqa: B018


def test_the_table_loads_no_labeler():
    script = "import json, sys, axolotl_slung.labeling.build; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(json.loads(run.stdout))
    assert "axolotl_slung.labeling.registry" in loaded
    assert not {f"axolotl_slung.labeling.{entry.module}" for entry in LABELERS.values()} & loaded
    assert not {name for entry in LABELERS.values() for name in entry.requires} & loaded


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, entry in LABELERS.items() for name in entry.requires])
def test_a_missing_package_is_named_with_its_installation(kind, name, monkeypatch):
    for package in LABELERS[kind].requires:
        pytest.importorskip(package, reason=f"{package} does not go with the packages that are installed")
    required = {key: "a:B" for key, field in keys_of(kind).items() if field.is_required()}
    given = {"entities": {"names": ["x"]}, "patterns": {"builtin": ["email"]}, "gliner": {"labels": ["x"]}}.get(
        kind, {}
    )
    buckets = [{"name": "a", "below": 0.5, "action": "train"}, {"name": "b", "action": "mask"}]
    block = SlungConfig(labelers=[{"type": "spans"}, {"type": kind, **required, **given}], buckets=buckets)
    extra = LABELERS[kind].extra
    package = "." if extra is None else f"'.[{extra}]'"
    says = f"slung.labelers[1]: {kind}: {name} cannot be imported; pip install {package} in the clone of axolotl-slung"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(labeling.LabelerError, match=f"^{re.escape(says)}$"):
        build(block)


def test_the_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {entry.extra for entry in LABELERS.values()} - {None} <= set(project["optional-dependencies"])


# ---------------------------------------------------------------------------------------------------------------- docs


def test_readme_lists_the_labelers():
    assert {row["type"] for row in table("README.md", "type")} == {f"`{kind}`" for kind in LABELERS}


def test_the_docs_list_the_labelers_with_their_keys_and_defaults():
    rows = {row["`type`"].strip("`"): row for row in table("docs/labelers.md", "`type`")}
    assert set(rows) == set(LABELERS)
    for kind, row in rows.items():
        said = re.findall("`([^`]*)`", row["keys, with their defaults"])
        choices = {choice for field in keys_of(kind).values() for choice in get_args(field.annotation)}
        expected = set()
        for name, field in keys_of(kind).items():
            plain = field.is_required() or field.default is None
            expected.add(name if plain else f"{name}: {_yaml(field.default)}")
        assert set(said) - choices == expected, kind
        extra = LABELERS[kind].extra
        assert extra is None or f"pip install '.[{extra}]'" in row["needs"]


def _yaml(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_labels_change_their_digest_with_every_package_that_decides_them():
    """Other packages only compute: torch and numba, and zstandard, which unpacks."""
    distributions = {"livekit": "livekit-blingfire", "fasttext": "fasttext-numpy2-wheel", "re2": "google-re2"}
    for name, entry in LABELERS.items():
        decisive = set(entry.requires) - {"torch", "numba", "zstandard"}
        named = {distributions.get(package, package.replace("_", "-")) for package in decisive}
        assert named <= set(entry.load().packages), name
