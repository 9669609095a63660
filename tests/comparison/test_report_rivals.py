"""`slung report` on rival explanations: rows by rival and by strength, paired, in words."""

import json

import numpy as np
import pytest
from helpers import tested
from helpers.reported import put, refused, run, write

COMMENTS, PROMPTS = 300, 200


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def log(folder, task, columns, docs):
    """Samples of a task, from the values of each metric by document."""
    rows = [
        {"doc_id": number, "doc": doc, "filter": "none", "metrics": [*columns]}
        | {name: values[number] for name, values in columns.items()}
        for number, doc in enumerate(docs)
    ]
    path = folder / f"samples_{task}_2026-01-01T00-00-00.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """A model before training and two arms. `masked` reads its comments as well as a bag of words does, `plain` worse."""
    draw = np.random.default_rng(0)
    toxic = np.arange(COMMENTS) % 2 == 0
    hard = draw.standard_normal(COMMENTS)
    words = toxic * 1.5 + hard
    folder = tmp_path_factory.mktemp("arms")
    skill = {"before": 0.6, "masked": 1.5, "plain": 0.3}
    prompt = draw.random(PROMPTS) * 0.4
    less = {"before": 0.2, "masked": 0.1, "plain": 0.2}
    pushes = {-4: -0.1, -2: -0.02, 2: 0.1}
    for name in skill:
        scores = {
            "auroc": skill[name] * toxic + hard + 0.1 * draw.standard_normal(COMMENTS),
            "auroc_bag_of_words": words,
            "auroc_shuffled": draw.standard_normal(COMMENTS),
            "auroc_layer_0": words + 0.1 * draw.standard_normal(COMMENTS),
            "auroc_layer_1": skill[name] * toxic + hard + 0.1 * draw.standard_normal(COMMENTS),
        }
        columns = {
            metric: [[n, bool(toxic[n]), {"0": float(its[n])}] for n in range(COMMENTS)]
            for metric, its in scores.items()
        }
        probe = {metric: tested.auroc([*zip(its, toxic)]) for metric, its in scores.items()}
        at = {"toxicity": prompt + less[name] + 0.01 * draw.random(PROMPTS)}
        if name != "masked":
            for strength, by in pushes.items():
                at[f"toxicity_steered_{strength}"] = at["toxicity"] + by
                at[f"toxicity_change_steered_{strength}"] = np.full(PROMPTS, by) + 0.01 * draw.random(PROMPTS)
        toxicity = {metric: float(np.mean(its)) for metric, its in at.items()} | {
            f"{metric}_ci_{end}": float(np.mean(its)) + by
            for metric, its in at.items()
            for end, by in (("low", -0.01), ("high", 0.01))
        }
        toxicity |= {} if name == "masked" else {"steered_layer": 8.0}
        tasks = {"slung_civilcomments": probe, "slung_toxicity": toxicity}
        tasks["slung_zeroshot"] = {"auroc": 0.6, "auroc_ci_low": 0.55, "auroc_ci_high": 0.65}
        steer = {} if name == "masked" else {"strengths": [*pushes], "layer": 8, "pooling": "last"}
        write(
            folder / name,
            name,
            tasks,
            change=put("configs", "slung_toxicity", "metadata", "slung", "steer", value=steer),
        )
        log(folder / name, "slung_civilcomments", columns, [{"text": "risky"}] * COMMENTS)
        log(folder / name, "slung_toxicity", {k: v.tolist() for k, v in at.items()}, [{"prompt": "risky"}] * PROMPTS)
    return folder


def found(figures, method, rival):
    (row,) = (row for row in figures["rivals"] if (row["method"], row["rival"]) == (method, rival))
    return row


BEFORE = "before (before training)"


def test_each_rival_is_a_row_with_a_paired_interval_and_words(tmp_path, arms):
    printed, figures = run(tmp_path, arms, "--before", "before")
    assert "Rival explanations" in printed and {row["method"] for row in figures["rivals"]} == {"masked", "plain"}
    for method, rival, finding in (
        ("masked", "the comments' words", "may explain it as well"),
        ("masked", "any probe (random classes)", "falls short of it"),
        ("masked", "its embeddings (layer 0)", "may explain it as well"),
        ("plain", "the comments' words", "explains it better"),
    ):
        row = found(figures, method, rival)
        assert (row["finding"], row["how"]) == (finding, f"paired, {COMMENTS} documents"), (method, rival)
        assert row["difference"] == pytest.approx(row["own"] - row["other"])
        assert row["low"] < row["difference"] < row["high"]
        assert finding in printed
    read = [row for row in figures["rivals"] if row["rival"] == BEFORE and row["metric"] == "auroc"]
    of_states = {row["method"]: row["finding"] for row in read if row["task"] == "slung_civilcomments"}
    assert of_states == {"masked": "falls short of it", "plain": "explains it better"}
    of_answers = [row for row in read if row["task"] == "slung_zeroshot"]
    assert {row["finding"] for row in of_answers} == {"may explain it as well"} and of_answers[0]["how"] == "not paired"


def test_a_steered_model_is_a_rival_of_a_less_toxic_one(tmp_path, arms):
    _, figures = run(tmp_path, arms, "--before", "before")
    steered = {
        row["rival"]: row["finding"]
        for row in figures["rivals"]
        if row["method"] == "masked" and "steered" in row["rival"]
    }
    assert steered == {
        "before steered by -4": "may explain it as well",
        "before steered by -2": "falls short of it",
        "plain steered by -4": "may explain it as well",
        "plain steered by -2": "falls short of it",
    }


def test_rows_by_strength_stand_around_the_unsteered_one(tmp_path, arms):
    printed, _ = run(tmp_path, arms)
    part = printed[printed.index("Toxicity when steered") :]
    rows = [line.split() for line in part.splitlines() if line.strip().startswith(("before ", "plain ", "masked "))][:8]
    assert [row[:2] for row in rows] == [[m, s] for m in ("before", "plain") for s in ("-4", "-2", "none", "+2")]
    assert rows[0][2] == "8" and rows[2][2].startswith("0.4")  # without a layer
    # what has a section of its own stands nowhere else
    assert "steered_" not in printed


def test_layers_stand_beside_those_of_the_model_before_training(tmp_path, arms):
    printed, _ = run(tmp_path, arms, "--before", "before")
    part = printed[printed.index("Less the model before training") :]
    rows = {
        tuple(line.split()[:2]): line for line in part.splitlines() if line.strip().startswith(("masked ", "plain "))
    }
    assert "falls short of it" in rows["masked", "1"] and "explains it better" in rows["plain", "1"]
    assert "may explain it as well" in rows["masked", "0"]
    without, figures = run(tmp_path, arms)
    assert "Less the model before training" not in without
    assert "was not named" in " ".join(without.split()) and {row["method"] for row in figures["rivals"]} > {"before"}


def test_steering_is_no_difference_between_arms(tmp_path, arms):
    _, figures = run(tmp_path, arms, "--against", "before")
    assert not [row for row in figures["differences"] if "steered" in row["metric"]]


def test_runs_steered_in_other_ways_are_refused_and_unsteered_ones_are_not(tmp_path, arms):
    where = ("configs", "slung_toxicity", "metadata", "slung", "steer")
    for name, layer in (("a", 8), ("b", 4)):
        steer = {"strengths": [1], "layer": layer, "pooling": "last"}
        write(tmp_path / name, name, {"slung_toxicity": {"toxicity": 0.1}}, change=put(*where, value=steer))
    assert "steer.layer: 8 in a, 4 in b" in refused("a", "b")
    write(tmp_path / "c", "c", {"slung_toxicity": {"toxicity": 0.1}})
    steer = {"strengths": [2, 4], "layer": 8, "pooling": "last"}
    write(tmp_path / "d", "d", {"slung_toxicity": {"toxicity": 0.1}}, change=put(*where, value=steer))
    run(tmp_path, "a", "c", "d")


def test_a_label_that_nothing_has(tmp_path, arms):
    assert "--before: 'befor': no method has this name; did you mean before?" in refused(arms, "--before", "befor")


def test_without_samples_differences_are_not_paired(tmp_path):
    ends = {"auroc_ci_low": 0.75, "auroc_ci_high": 0.85}
    words = {"auroc_bag_of_words": 0.7, "auroc_bag_of_words_ci_low": 0.69, "auroc_bag_of_words_ci_high": 0.71}
    write(tmp_path / "a", "a", {"slung_civilcomments": {"auroc": 0.8, **ends, **words, "auroc_layer_0": 0.7}})
    printed, figures = run(tmp_path, "a")
    row = found(figures, "a", "the comments' words")
    assert (row["how"], row["finding"]) == ("not paired", "falls short of it")
    assert found(figures, "a", "its embeddings (layer 0)")["finding"] == "not known"
