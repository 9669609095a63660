"""The table of actions, and what is held to it."""

import copy
import pickle
from dataclasses import fields
from importlib.resources import files

import pytest
from helpers import ROOT
from helpers.tables import table

from axolotl_slung.config import BucketConfig
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.loss.objectives import Hinge, of_bucket, unlikelihood
from axolotl_slung.loss.reader import GROUPS


@pytest.mark.parametrize(
    "trait, names",
    [
        ("coded", "unlikelihood soft hinge custom"),
        ("has_loss", "train unlikelihood soft hinge custom goldfish control_token replace"),
        ("edits_text", "drop_span drop_document control_token replace"),
        ("edits_ids", "hidden_token"),
    ],
)
def test_the_traits_of_the_first_actions(trait, names):
    first = [
        "train",
        "mask",
        "unlikelihood",
        "soft",
        "hinge",
        "custom",
        "goldfish",
        "drop_span",
        "drop_document",
        "control_token",
        "replace",
        "hidden_token",
    ]
    assert [name for name in first if getattr(Action(name).traits, trait)] == names.split()


def test_a_coded_action_has_a_loss_and_leaves_the_text():
    for action in Action:
        assert not action.traits.coded or (action.traits.has_loss and not action.traits.edits_text)


def test_an_action_is_its_name():
    for action in Action:
        assert Action(action.value) is action is pickle.loads(pickle.dumps(action)) is copy.deepcopy(action)
        assert action == action.value and action.traits.meaning


def test_a_bucket_has_the_keys_of_the_yaml():
    keys = {field.name for field in fields(Bucket)}
    assert set(BucketConfig.model_fields) == keys
    own = {key for action in Action for key in (action.traits.needs, action.traits.takes) if key is not None}
    assert own < keys


def test_every_code_has_an_objective_and_a_group():
    options = {"threshold": 0.1, "objective": "axolotl_slung.loss.objectives:unlikelihood"}
    expected = {"unlikelihood": unlikelihood, "soft": unlikelihood, "hinge": Hinge(0.1), "custom": unlikelihood}
    for action in Action:
        needed = action.traits.needs
        bucket = Bucket("b", None, action, **({needed: options[needed]} if needed in options else {}))
        objective = of_bucket(bucket)
        assert (objective is not None) == action.traits.coded
        assert action.value not in expected or objective == expected[action.value]
        assert bucket.action_of_code is (action if action.traits.coded else Action.MASK)
        assert bucket.action_of_code.value in GROUPS


def test_charts_know_the_colors_of_the_actions():
    css = files("axolotl_slung.render").joinpath("report.css").read_text(encoding="utf-8")
    for action in Action:
        assert f".k-{action.traits.look.chart} {{" in css


def test_the_docs_print_the_table_of_actions():
    expected = []
    for action in Action:
        keys = [action.traits.needs, action.traits.takes, "weight" if action.traits.coded else None]
        expected.append((f"`{action.value}`", action.traits.meaning, ", ".join(f"`{key}`" for key in keys if key)))
    rows = table("docs/objectives.md", "action")
    assert [(row["action"], row["meaning"], row["keys"]) for row in rows] == expected


def test_readme_names_the_actions():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [action.value for action in Action if f"`{action.value}`" not in readme]
