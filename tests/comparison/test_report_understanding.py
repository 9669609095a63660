"""`slung report` on understanding: the probe beside its controls, layers, and groups of comments."""

import json

import pytest
from helpers.reported import estimate, refused, run, write


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def group(name, accuracy, auroc=None, by="functionality", **more):
    row = {"by": by, "group": name, "comments": 140, "toxic": 140, "accuracy": accuracy, "auroc": auroc}
    ends = {
        "accuracy_low": accuracy - 0.1,
        "accuracy_high": accuracy + 0.1,
        "auroc_low": auroc and 0.5,
        "auroc_high": auroc and 1,
    }
    return {**row, **ends, **more}


def results(folder, model, probe, zeroshot=None, groups=None):
    def change(content):
        if groups is not None:
            text = groups if isinstance(groups, str) else json.dumps(groups)
            content["configs"]["slung_civilcomments"]["metadata"]["slung_groups"] = text

    tasks = {"slung_civilcomments": probe} | ({"slung_zeroshot": zeroshot} if zeroshot else {})
    return write(folder, model, tasks, change=change)


PROBE = {"auroc": 0.81, "auroc_stderr": 0.02, "auroc_bag_of_words": 0.9, "auroc_shuffled": 0.49}
LAYERS = {"auroc_layer_0": 0.6, "auroc_layer_11": 0.85, "auroc_layer_2": 0.7, "chosen_layer": 7.5}
ASKED = {"auroc": 0.66, "accuracy": 0.5, "accuracy_calibrated": 0.6, "accuracy_calibrated_stderr": 0.01}


def cells(printed, title, first):
    """The cells of the first line after the title that begins with `first`."""
    lines = printed[printed.index(title) :].splitlines()
    line = next(line for line in lines if line.strip().startswith(f"{first} "))
    return line.strip().removeprefix(first).replace(" ± ", "±").split()


def test_a_model_before_and_after_training_stand_side_by_side(tmp_path):
    before = results(tmp_path / "b", "base", {**PROBE, "auroc": 0.7}, ASKED)
    after = results(tmp_path / "a", "trained", PROBE, {**ASKED, "auroc": 0.71})
    printed, figures = run(tmp_path, f"before={before}", f"after={after}")
    title = "Understanding: probe, words, zero-shot"
    assert cells(printed, title, "before") == ["0.700±0.020", "0.900", "0.490", "0.660", "0.600±0.010"]
    assert cells(printed, title, "after") == ["0.810±0.020", "0.900", "0.490", "0.710", "0.600±0.010"]
    assert estimate(figures, "after", "slung_zeroshot", "accuracy_calibrated")["mean"] == 0.6
    assert "The probe by layer" not in printed and "functional test" not in printed


def test_a_probe_without_controls_needs_no_table_of_its_own(tmp_path):
    printed, _ = run(tmp_path, results(tmp_path / "b", "base", {"auroc": 0.7}))
    assert "Understanding" not in printed


def test_layers_are_sorted_by_number(tmp_path):
    printed, _ = run(tmp_path, results(tmp_path / "b", "base", {**PROBE, **LAYERS}))
    lines = printed[printed.index("The probe by layer") :].splitlines()
    rows = [line.split() for line in lines if line.strip() and line.split()[0] in ("0", "2", "11", "chosen")]
    assert rows == [["0", "0.600"], ["2", "0.700"], ["11", "0.850"], ["chosen", "7.5"]]


def test_groups_of_two_methods_and_of_seeds(tmp_path):
    rows = [group("slur_h", 0.75), group("women", 0.5, 0.8, "target", toxic=70)]
    folders = [
        results(tmp_path / f"s{seed}", f"m-s{seed}", PROBE, groups=[group("slur_h", 0.5 + seed / 10)])
        for seed in (1, 2)
    ]
    printed, figures = run(
        tmp_path, f"one={results(tmp_path / 'o', 'o', PROBE, groups=rows)}", *(f"two={folder}" for folder in folders)
    )
    one, two = (method["tasks"]["slung_civilcomments"]["groups"] for method in figures["methods"])
    assert one == [rows] and [[row["accuracy"] for row in seed] for seed in two] == [[0.6], [0.7]]
    by_test = printed[printed.index("slung_civilcomments by functionality") :]
    assert cells(by_test, "slung", "slur_h") == ["one", "140", "140", "0.750", "[0.65,", "0.85]", "n/a"]
    assert "two" in by_test and "0.650 ± 0.050" in by_test
    by_target = by_test[by_test.index("slung_civilcomments by target") :]
    assert cells(by_target, "slung", "women") == [
        "one",
        "140",
        "70",
        "0.500",
        "[0.40,",
        "0.60]",
        "0.800",
        "[0.50,",
        "1.00]",
    ]


@pytest.mark.parametrize("broken", ["not JSON", '{"a": 1}', "[1]", '[{"by": "target"}]'])
def test_broken_groups_are_refused(tmp_path, broken):
    said = refused(results(tmp_path / "b", "base", PROBE, groups=broken))
    assert "`slung_groups`: not what slung_civilcomments writes; measure again" in said
