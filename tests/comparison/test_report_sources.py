"""`slung report`: which model a file is about, files that are broken, and tasks that are not slung's."""

import json

import pytest
from helpers.reported import estimate, put, refused, row, run, toxic, write

from axolotl_slung.comparison.models import is_same, spelled

ARGUMENTS = ("config", "model_args")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("out/masked", "./out//masked/", True),
        ("out/masked", "/home/me/out/masked", True),
        ("../out/masked", "/home/me/out/masked", True),
        ("C:\\out\\masked", "C:/out/masked/", True),
        ("owner/model", "/x/hub/models--owner--model/snapshots/0123abc", True),
        ("out/masked", "out/masked2", False),
        ("out/masked", "other/masked", False),
        ("masked", "out/masked", False),
        ("/a/out/masked", "/b/out/masked", False),
    ],
)
def test_spellings_of_one_path(one, other, same):
    assert is_same(one, other) == is_same(other, one) == same


def test_a_name_stays_as_it_is_but_for_its_path():
    assert [spelled(name) for name in ("allenai/OLMo-1B-hf", "", "a/../b")] == ["allenai/OLMo-1B-hf", "", "b"]


@pytest.mark.parametrize("label", ["", "x="])
def test_one_model_under_two_spellings_is_not_two_seeds(tmp_path, label):
    one = write(tmp_path / "a", "out/masked", toxic(0.1, 0.8))
    other = write(tmp_path / "b", "/home/me/out/masked/", toxic(0.1, 0.8))
    printed, figures = run(tmp_path, f"{label}{one}", f"{label}{other}")
    assert row(printed, label.strip("=") or "masked") == ["1", "0.1000", "n/a", "0.8000", "yes"]
    assert (
        "are one model, 'out/masked' and '/home/me/out/masked/', with the same numbers; counted once"
        in figures["notes"][0]
    )
    # with other numbers it may have been trained again at the same place, if the label says so
    again = write(tmp_path / "c", "./out/masked", toxic(0.2, 0.8))
    assert "one model counts as several seeds" in refused(one, again)
    assert estimate(run(tmp_path, f"x={one}", f"x={again}")[1], "x", "slung_toxicity", "toxicity")["runs"] == 2


def test_two_spellings_in_one_folder_are_one_model(tmp_path):
    write(tmp_path / "r", "out/masked", toxic(0.1, 0.8), date=1.0, name="results_2026-01-01T00-00-00.json")
    write(tmp_path / "r", "./out/masked", toxic(0.2, 0.8), date=2.0, name="results_2026-01-02T00-00-00.json")
    printed, figures = run(tmp_path, tmp_path / "r")
    assert row(printed, "masked")[:2] == ["1", "0.2000"] and "the newest is used" in figures["notes"][0]


@pytest.mark.parametrize("label", ["", "x="])
def test_revisions_in_one_folder_are_entries_of_their_own(tmp_path, label):
    for number, said in enumerate(("revision=main", "revision=step1000", "revision=step2000,peft=out/adapter")):
        name = f"results_2026-01-0{number + 1}T00-00-00.json"
        tasks = toxic(0.1 * (number + 1), 0.8)
        write(tmp_path / "r", "o/m", tasks, name=name, change=put(*ARGUMENTS, value=f"pretrained=o/m,{said}"))
    printed, _ = run(tmp_path, f"{label}{tmp_path / 'r'}")
    name = label.strip("=") or "m"
    for variant, toxicity in (
        ("as it is", 0.1),
        ("revision=step1000", 0.2),
        ("revision=step2000, peft=out/adapter", 0.3),
    ):
        assert row(printed, f"{name} ({variant})")[:2] == ["1", f"{toxicity:.4f}"]


def test_a_broken_file_is_a_note_beside_the_good_ones(tmp_path):
    good = write(tmp_path / "r", "a", toxic(0.1, 0.8))
    whole = (good / "results_2026-01-01T00-00-00.json").read_text()
    (good / "results_2026-01-02T00-00-00.json").write_text(whole[: len(whole) // 2])
    printed, figures = run(tmp_path, good)
    assert row(printed, "a")[1] == "0.1000"
    (note,) = figures["notes"]
    assert note.startswith("left out: ") and "results_2026-01-02T00-00-00.json: not a result file of lm_eval" in note


GENERAL = {
    "lambada_openai": {"perplexity,none": 8.1, "perplexity_stderr,none": 0.2, "acc,none": 0.61, "acc_stderr,none": 0.01},
    "arc_easy": {"acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.45, "acc_norm_stderr,none": 0.02},
    "wikitext": {"word_perplexity,none": 12.0, "word_perplexity_stderr,none": "N/A", "bits_per_byte,none": 0.7},
    "gsm8k": {"exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": 0.01,
              "exact_match,flexible-extract": 0.2, "exact_match_stderr,flexible-extract": 0.02},
    "mmlu": {"acc,none": 0.3, "acc_stderr,none": 0.004},
    "mmlu_stem": {"acc,none": 0.31},
    "mmlu_law": {"acc,none": 0.32, "acc_stderr,none": 0.01},
}  # fmt: skip


def general(content):
    content["results"] |= {task: {"alias": task, **values} for task, values in GENERAL.items()}
    content["group_subtasks"] = {"mmlu": ["mmlu_stem"], "mmlu_stem": ["mmlu_law"], "arc_easy": []}
    content["n-samples"] |= {"mmlu_law": {"original": 5, "effective": 5}, "arc_easy": {"original": 9, "effective": 9}}
    content["n-shot"] = {"mmlu_law": 5, "arc_easy": 0}
    content["configs"]["arc_easy"] = {"output_type": "multiple_choice", "metadata": {"version": 1.0}}


def test_other_tasks_are_columns_with_their_main_metric(tmp_path):
    write(tmp_path / "r1", "a", toxic(0.1, 0.8), change=general)
    write(tmp_path / "r2", "b", toxic(0.1, 0.8))
    printed, figures = run(tmp_path, tmp_path)
    words = " ".join(printed.split())
    for said in (
        "lambada_openai: acc: 0.6100 ± 0.0100", "arc_easy: acc_norm: 0.4500 ± 0.0200", "wikitext: word_perplexity: 12.0000",
        "gsm8k: exact_match [strict-match]: 0.1000 ± 0.0100", "mmlu: acc: 0.3000 ± 0.0040",
    ):  # fmt: skip
        assert said in words, said
    # a group stands for its tasks
    assert "mmlu_law" not in printed and "mmlu_stem" not in printed
    assert "mmlu 5 examples in the prompt, 5 documents" in words
    assert estimate(figures, "a", "arc_easy", "acc_norm")["high"] == pytest.approx(0.45 + 1.96 * 0.02, rel=1e-3)


def test_results_of_other_tasks_alone(tmp_path):
    for name, accuracy in (("a", 0.5), ("b", 0.6)):
        write(tmp_path / name, name, {})
        path = tmp_path / name / "results_2026-01-01T00-00-00.json"
        content = json.loads(path.read_text())
        content["results"]["arc_easy"] = {"acc,none": accuracy, "acc_stderr,none": 0.01}
        path.write_text(json.dumps(content))
        rows = [
            {"doc_id": n, "doc": {"q": n}, "metrics": ["acc"], "acc": float(n < 100 * accuracy)} for n in range(100)
        ]
        samples = tmp_path / name / "samples_arc_easy_2026-01-01T00-00-00.jsonl"
        samples.write_text("".join(json.dumps(each) + "\n" for each in rows))
    printed, figures = run(tmp_path, tmp_path, "--against", "a")
    assert "Toxicity" not in printed and row(printed, "a") == ["1", "0.5000±0.0100"]
    (difference,) = figures["differences"]
    assert difference["how"] == "paired, 100 documents, McNemar" and difference["p"] == pytest.approx(2 / 2**10)


def test_how_it_was_measured_names_probe_lengths_and_samples(tmp_path):
    def told(content):
        probe = {"layer": 12, "pooling": "mean", "scaled": True, "draws": 3, "train": 8000, "test": 2000}
        content["configs"]["slung_civilcomments"]["metadata"]["slung"]["probe"] = probe
        content["configs"]["slung_toxicity"]["metadata"]["slung"]["samples"] = 25
        content["configs"]["slung_toxicity"]["generation_kwargs"]["do_sample"] = True

    write(tmp_path / "r", "a", toxic(0.1, 0.8), change=told)
    words = " ".join(run(tmp_path, tmp_path / "r")[0].split())
    assert "probe: layer 12, mean pooling, 3 draws, 8000 to train, 2000 to test, scaled True" in words
    assert "up to 20 tokens, sampled, 25 samples per prompt, 2,000 documents" in words


def test_metrics_without_a_table_of_their_own_are_shown(tmp_path):
    tasks = toxic(0.1, 0.8, toxicity_with_prompt=0.25, toxicity_with_prompt_stderr=0.01, later=0.4, unscored=0)
    write(tmp_path / "r", "a", tasks, change=put("higher_is_better", value={"slung_toxicity": {"later": True}}))
    words = " ".join(run(tmp_path, tmp_path / "r")[0].split())
    assert "slung_toxicity: toxicity_with_prompt lower 0.2500 ± 0.0100" in words
    assert "slung_toxicity: later higher 0.4000" in words and "unscored lower" not in words
