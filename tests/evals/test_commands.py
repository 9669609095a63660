"""`lm_eval`, `axolotl lm-eval` and `slung rescore` as they are typed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import HELPERS
from helpers.auditing import GIVEN, audit_folder, occurrences
from helpers.harness import SOURCES
from helpers.served import KEY, moderation, serve
from helpers.tiny import tiny_model, write_jsonl

BIN = Path(sys.executable).parent


def run(cwd, *command, **environment):
    """The finished command; every option is `embedded` but for those given, and an option of None is not set."""
    options = {f"SLUNG_{name}": "embedded" for name in SOURCES} | environment
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment |= {name: value for name, value in options.items() if value is not None}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=500
    )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def results_in(folder):
    (path,) = folder.glob("**/results_*.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    """The whole group, measured from a folder that has nothing in it."""
    cwd = tmp_path_factory.mktemp("whole")
    done = run(
        cwd, "lm_eval", "--model", "hf", "--model_args", f"pretrained={tiny_model(models)},dtype=float32", "--tasks", "slung",
        "--device", "cpu", "--batch_size", 16, "--limit", 60, "--output_path", cwd / "out", "--log_samples",
        "--metadata", json.dumps({"slung_probe_draws": 2}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return cwd, done


def test_the_group_runs_all_tasks(whole):
    cwd, done = whole
    results = results_in(cwd / "out")
    said = {task: {name for name in values if "_stderr" not in name} for task, values in results["results"].items()}
    assert set(said) == {
        "slung",
        "slung_toxicity",
        "slung_civilcomments",
        "slung_zeroshot",
        "slung_tofu",
        "slung_perplexity",
        "slung_perplexity_reddit",
    }
    assert {"toxicity,none", "toxic_rate,none", "unscored,none"} <= said["slung_toxicity"]
    assert {"auroc,none", "auroc_ci_low,none", "auroc_bag_of_words,none"} <= said["slung_civilcomments"]
    assert {"auroc,none", "accuracy,none", "accuracy_calibrated,none"} <= said["slung_zeroshot"]
    assert {"name_rate,none", "new_name_rate,none", "rougeL_recall_no_names,none"} <= said["slung_tofu"]
    assert {"token_perplexity,none", "byte_perplexity,none", "word_perplexity,none"} <= said["slung_perplexity"]
    # the standard error stands in the table's own column
    line, _ = [line for line in done.stdout.splitlines() if "|auroc " in line]
    assert f"{results['results']['slung_civilcomments']['auroc_stderr,none']:.4f}" in line


def test_metadata_of_the_command_line_reaches_the_tasks(whole):
    assert results_in(whole[0] / "out")["configs"]["slung_civilcomments"]["metadata"]["slung"]["probe"]["draws"] == 2


def test_samples_hold_no_vectors(whole):
    (path,) = (whole[0] / "out").glob("**/samples_slung_civilcomments_*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 60 and rows[0]["resps"] == [["<hidden state of 32>"]]


def test_saved_answers_are_scored_again(whole, tmp_path):
    (samples,) = (whole[0] / "out").glob("**/samples_slung_toxicity_*.jsonl")
    with serve() as service:
        service.answer = lambda text, nth: moderation(0.25, "judge-7")
        done = run(
            tmp_path, "slung", "rescore", samples, "--scorer", "moderation:m-1", "--scorer-url", service.url, "-o", "new",
            SLUNG_API_KEY=KEY, AXOLOTL_SLUNG_CACHE=str(tmp_path / "cache"),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    new, old = results_in(tmp_path / "new"), results_in(whole[0] / "out")
    said = new["results"]["slung_toxicity"]
    empty = old["results"]["slung_toxicity"]["empty,none"]
    assert said["toxicity,none"] == pytest.approx(0.25 * (1 - empty))
    assert said["toxicity_with_prompt,none"] == 0.25
    about, before = (some["configs"]["slung_toxicity"]["metadata"]["slung"] for some in (new, old))
    assert about["scorer"]["name"] == "moderation:m-1" and about["scorer"]["served"] == "judge-7"
    assert {**about, "scorer": 0} == {**before, "scorer": 0}
    assert new["model_name"] == old["model_name"] and new["n-samples"]["slung_toxicity"]["effective"] == 60
    (rows,) = (tmp_path / "new").glob("**/samples_slung_toxicity_*.jsonl")
    assert json.loads(rows.read_text().splitlines()[0])["toxicity"] in (0.25, 0.0)
    assert "toxicity" in done.stdout and KEY not in done.stdout + done.stderr


def test_the_same_scorer_gives_the_same_numbers(whole, tmp_path):
    (samples,) = (whole[0] / "out").glob("**/samples_slung_toxicity_*.jsonl")
    done = run(tmp_path, "slung", "rescore", samples, "-o", "rescored")
    assert done.returncode == 0, done.stderr
    new, old = results_in(tmp_path / "rescored"), results_in(whole[0] / "out")
    for name, value in new["results"]["slung_toxicity"].items():
        if name != "alias":
            assert value == pytest.approx(old["results"]["slung_toxicity"][name], nan_ok=True)
    # what it wrote itself is not scored again, though the same pattern finds it
    (written,) = (tmp_path / "rescored").glob("**/samples_slung_toxicity_*.jsonl")
    done = run(tmp_path, "slung", "rescore", written)
    assert done.returncode == 0 and "left out: 1 samples files that slung rescore wrote itself" in done.stderr
    assert len(list((tmp_path / "rescored").glob("**/samples_*.jsonl"))) == 1


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("samples_slung_civilcomments_2026-01-01T00-00-00.jsonl", "expected samples_slung_toxicity_"),
        ("samples_slung_tofu_2026-01-01T00-00-00.jsonl", "results_2026-01-01T00-00-00.json: missing or broken"),
    ],
)
def test_what_cannot_be_scored_again_is_told(tmp_path, file, said):
    (tmp_path / file).write_text("")
    done = run(tmp_path, "slung", "rescore", file)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("spoil", ["{broken", '["a list"]', '{"doc": {}}'])
def test_broken_samples_are_told_and_not_quoted(whole, tmp_path, spoil):
    (samples,) = (whole[0] / "out").glob("**/samples_slung_toxicity_*.jsonl")
    (results,) = samples.parent.glob("results_*.json")
    for file in (samples, results):
        (tmp_path / file.name).write_text(file.read_text() if file is results else spoil + "\n")
    done = run(tmp_path, "slung", "rescore", samples.name)
    assert done.returncode == 1 and "run the task again" in done.stderr
    assert "Traceback" not in done.stderr and spoil not in done.stderr


def test_answers_without_name_rates_are_not_judged(whole, tmp_path):
    (samples,) = (whole[0] / "out").glob("**/samples_slung_tofu_*.jsonl")
    (results,) = samples.parent.glob("results_*.json")
    (tmp_path / results.name).write_text(results.read_text())
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    bare = [{key: row[key] for key in ("doc", "resps")} | {"metrics": ["bypass"], "bypass": 999} for row in rows]
    (tmp_path / samples.name).write_text("".join(json.dumps(row) + "\n" for row in bare))
    judge = ("--judge", "openai:m", "--judge-url", "http://127.0.0.1:9/v1")
    done = run(tmp_path, "slung", "rescore", samples.name, *judge)
    assert done.returncode == 1 and "--predict_only" in done.stderr and "Traceback" not in done.stderr


def test_answers_without_a_judge_are_not_judged(whole, tmp_path):
    (samples,) = (whole[0] / "out").glob("**/samples_slung_tofu_*.jsonl")
    done = run(tmp_path, "slung", "rescore", samples)
    assert done.returncode == 1 and "no judge given; pass --judge" in done.stderr


def test_two_ranks_measure_as_one(models, tmp_path):
    audit = audit_folder(tmp_path / "audit", [])
    write_jsonl(audit / "entities.jsonl", occurrences(names=GIVEN[:4], number=5))
    arguments = [
        "--model", "hf", "--model_args", f"pretrained={tiny_model(models)},dtype=float32", "--tasks",
        "slung_civilcomments,slung_zeroshot,slung_perplexity,slung_toxicity,slung_tofu,slung_identity", "--batch_size", 8, "--device", "cpu",
        "--limit", 21, "--metadata",
        json.dumps({
            "slung_probe_layer": "all", "slung_civilcomments_test": "embedded:hatecheck", "slung_audit": str(audit),
            "slung_steer": "-2,2",
        }),
    ]  # fmt: skip
    one = run(tmp_path, "lm_eval", *arguments, "--output_path", tmp_path / "one")
    two = run(
        tmp_path, "torchrun", "--nproc_per_node", 2, "--master_port", free_port(), HELPERS / "measuring_ranks.py",
        *arguments, "--output_path", tmp_path / "two",
    )  # fmt: skip
    assert one.returncode == 0 and two.returncode == 0, (one.stderr + two.stderr)[-4000:]
    assert "rank 1" in two.stdout + two.stderr
    one, two = results_in(tmp_path / "one"), results_in(tmp_path / "two")
    for task in ("slung_civilcomments", "slung_zeroshot"):
        groups = [json.loads(some["configs"][task]["metadata"]["slung_groups"]) for some in (one, two)]
        assert len(groups[0]) > 6
        for its, expected in zip(*groups, strict=True):
            assert its == {
                name: value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-5)
                for name, value in expected.items()
            }
    one, two = one["results"], two["results"]
    assert one["slung_civilcomments"]["auroc,none"] >= 0 and "toxicity_steered_-2,none" in one["slung_toxicity"]
    for task in one:
        for name, value in one[task].items():
            assert two[task][name] == (
                value if isinstance(value, str) else pytest.approx(value, rel=1e-5, nan_ok=True)
            ), name


def test_axolotls_own_command(models, tmp_path):
    config = {
        "base_model": str(tiny_model(models)),
        "plugins": ["axolotl.integrations.lm_eval.LMEvalPlugin"],
        "lm_eval_model": str(tiny_model(models)),
        "lm_eval_tasks": ["slung_perplexity"],
        "lm_eval_batch_size": 8,
        "bf16": True,
        "output_dir": str(tmp_path / "out"),
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    done = run(tmp_path, "axolotl", "lm-eval", "config.yml")
    assert done.returncode == 0, done.stderr[-4000:]
    assert results_in(tmp_path / "out")["results"]["slung_perplexity"]["token_perplexity,none"] > 1


def test_a_wrong_option_is_told_by_its_name(models, tmp_path):
    done = run(
        tmp_path,
        "lm_eval",
        "--model",
        "dummy",
        "--tasks",
        "slung_toxicity",
        SLUNG_SCORER="perspective",
        PERSPECTIVE_API_KEY=None,
    )
    assert done.returncode != 0
    assert "SLUNG_SCORER" in done.stderr and "PERSPECTIVE_API_KEY" in done.stderr


def test_the_report_takes_what_was_scored_last(whole, tmp_path):
    import shutil

    shutil.copytree(whole[0] / "out", tmp_path / "out")
    (samples,) = (tmp_path / "out").glob("**/samples_slung_toxicity_*.jsonl")
    with serve() as service:
        service.answer = lambda text, nth: moderation(0.25)
        options = {"AXOLOTL_SLUNG_CACHE": str(tmp_path / "cache")}
        done = run(
            tmp_path, "slung", "rescore", samples, "--scorer", "moderation:m-1", "--scorer-url", service.url, **options
        )
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "slung", "report", "out", "--json", "figures.json")
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "figures.json").read_text())["measured"]
    assert measured["slung_toxicity"]["slung"]["scorer"]["name"] == "moderation:m-1"
    assert "slung_civilcomments" in measured and (tmp_path / "report" / "plane.png").exists()
