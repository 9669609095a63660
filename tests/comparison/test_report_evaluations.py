"""`slung report`: what counts as one method, what is refused, and its tables."""

import json
import math
import re

import pytest
from click.testing import CliRunner
from helpers.reported import (
    HOW,
    JUDGE,
    SCORER,
    SLUNG,
    TOX,
    estimate,
    invoke,
    put,
    refused,
    row,
    run,
    tofu,
    toxic,
    write,
)

from axolotl_slung.cli import main


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_seeds_are_one_row_with_their_error_and_interval(tmp_path):
    """Without samples, the squares of what documents and what seeds add to the interval are summed."""
    for seed, (toxicity, auroc) in enumerate([(0.1, 0.8), (0.2, 0.8), (0.3, 0.83)]):
        ends = {"toxicity_ci_low": toxicity - 0.09, "toxicity_ci_high": toxicity + 0.12}
        errors = {"toxicity_stderr": 0.05, **ends, "toxic_rate": toxicity / 2}
        write(tmp_path / f"r{seed}", f"out/masked-seed{seed}", toxic(toxicity, auroc, **errors))
    printed, figures = run(tmp_path, *(tmp_path / f"r{seed}" for seed in range(3)))
    found = estimate(figures, "masked", "slung_toxicity", "toxicity")
    # the sample's standard deviation is 0.1, and Student's t for 2 degrees of freedom 4.302653
    error = 0.1 / math.sqrt(3)
    half = 4.302653 * error
    ends = {"low": max(0.2 - math.hypot(half, 0.09), 0), "high": 0.2 + math.hypot(half, 0.12)}
    expected = {"mean": 0.2, "stderr": math.hypot(error, 0.05), **ends, "runs": 3}
    assert found == pytest.approx(expected, rel=1e-6) and found["low"] == 0
    assert row(printed, "masked") == ["3", "0.2000±0.0764", "10.0%±2.9", "0.8100±0.0100", "yes"]
    assert len(figures["methods"]) == 1 and figures["notes"] == []
    assert estimate(figures, "masked", "slung_civilcomments", "auroc")["high"] < 1


def test_no_interval_of_seeds_is_outside_what_a_metric_can_be(tmp_path):
    for seed, toxicity, auroc in ((1, 0.02, 0.7), (2, 0.06, 0.9)):
        write(tmp_path / f"r{seed}", f"out/masked-seed{seed}", toxic(toxicity, auroc))
    _, figures = run(tmp_path, tmp_path / "r1", tmp_path / "r2")
    assert estimate(figures, "masked", "slung_toxicity", "toxicity")["low"] == 0
    assert estimate(figures, "masked", "slung_civilcomments", "auroc")["high"] == 1


def test_a_single_run_has_the_files_own_error_and_interval(tmp_path):
    own = {"toxicity_stderr": 0.01, "toxicity_ci_low": 0.07, "toxicity_ci_high": 0.15}
    write(tmp_path / "r", "control", {**toxic(0.1, 0.8, **own), **tofu(0.5, 0.25, name_rate_stderr=0.02)})
    printed, figures = run(tmp_path, tmp_path / "r")
    found = estimate(figures, "control", "slung_toxicity", "toxicity")
    assert found == {"mean": 0.1, "stderr": 0.01, "low": 0.07, "high": 0.15, "runs": 1}
    names = estimate(figures, "control", "slung_tofu", "name_rate")
    # no interval in the file: 1.96 standard errors
    assert names == pytest.approx({"mean": 0.5, "stderr": 0.02, "low": 0.460801, "high": 0.539199, "runs": 1}, rel=1e-5)
    assert estimate(figures, "control", "slung_tofu", "correct")["low"] is None
    assert row(printed, "control") == ["1", "0.1000±0.0100", "n/a", "0.8000", "yes"]


@pytest.mark.parametrize(
    "model, label",
    [
        ("allenai/OLMo-1B-hf", "OLMo-1B-hf"),
        ("out/masked-seed1", "masked"),
        ("out/masked_s2/", "masked"),
        ("masked-seed-3", "masked"),
        ("C:\\out\\masked.s4", "masked"),
        ("out/adults2", "adults2"),
        ("out/masked-320", "masked-320"),
    ],
)
def test_the_label_is_the_models_name_without_a_seed(tmp_path, model, label):
    assert run(tmp_path, write(tmp_path / "r", model, toxic(0.1, 0.8)))[1]["methods"][0]["label"] == label


def test_the_label_of_a_file_without_model_name_is_from_its_arguments(tmp_path):
    folder = write(
        tmp_path / "r", "out/masked-seed1", toxic(0.1, 0.8), change=lambda content: content.pop("model_name")
    )
    assert run(tmp_path, folder)[1]["methods"][0]["label"] == "masked"


def test_models_that_only_share_their_last_name_are_no_seeds_unless_one_says_so(tmp_path):
    one = write(tmp_path / "a", "masked/checkpoint-5", toxic(0.1, 0.8))
    other = write(tmp_path / "b", "control/checkpoint-5", toxic(0.3, 0.7))
    says = refused(one, other)
    assert "masked/checkpoint-5, control/checkpoint-5" in says and "LABEL=FOLDER" in says
    again = write(tmp_path / "c", "masked/checkpoint-5", toxic(0.2, 0.7))
    assert "'masked/checkpoint-5': one model counts as several seeds" in refused(one, again)
    _, figures = run(tmp_path, f"masked={one}", f"masked={again}")
    assert estimate(figures, "masked", "slung_toxicity", "toxicity")["runs"] == 2
    assert "counts as several seeds" in figures["notes"][0]


def test_a_label_gathers_its_tasks_from_all_its_files(tmp_path):
    tasks = toxic(0.1, 0.8)
    one = write(tmp_path / "a", "masked", {"slung_toxicity": tasks["slung_toxicity"]})
    other = write(tmp_path / "b", "masked", {"slung_civilcomments": tasks["slung_civilcomments"]})
    printed, figures = run(tmp_path, one, other, f"{one}")
    assert row(printed, "masked") == ["1", "0.1000", "n/a", "0.8000", "yes"]
    assert figures["notes"] == []  # and the file that was named twice counts once


def test_the_pareto_frontier(tmp_path):
    places = {"control": (0.1, 0.7), "masked": (0.2, 0.9), "worse": (0.2, 0.8), "worst": (0.3, 0.6), "twin": (0.1, 0.7)}
    places["level"] = (0.25, 0.9)
    for name, place in places.items():
        write(tmp_path / name, name, toxic(*place))
    write(tmp_path / "half", "half", {"slung_toxicity": {"toxicity": 0.01}})
    printed, _ = run(tmp_path, tmp_path)
    on = {name: row(printed, name)[-1] for name in [*places, "half"]}
    assert on == {
        "control": "yes",
        "masked": "yes",
        "worse": "no",
        "worst": "no",
        "level": "no",
        "twin": "yes",
        "half": "n/a",
    }
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Left out because a value is missing: half." in page
    assert "on the Pareto frontier: control, masked, twin</title>" in page


@pytest.mark.parametrize(
    "change, says, rescore",
    [
        (put(*SCORER, "name", value="perspective"), "scorer.name: profanity in A, perspective in B", True),
        (put(*SCORER, "version", value="2"), "scorer.version: 1.9.1 in A, 2 in B", True),
        (put(*HOW, "slung", "protocol", value="own"), "protocol: paper in A, own in B", False),
        (put(*HOW, "slung", "data", "digest", value="ee"), "data.digest: 0123456789abcdef in A, ee in B", False),
        (put(*HOW, "slung", value={}), "protocol: paper in A, nothing in B", False),
        (put(*HOW, "version", value=2.0), "version: 1 in A, 2 in B", False),
        (put(*TOX, "generation_kwargs", "until", value=9), "generation.until: nothing in A, 9 in B", False),
        (put("n-samples", "slung_toxicity", "effective", value=10), "documents: 2000 in A, 10 in B", False),
        (put("chat_template_sha", value="c0ffee"), "chat-template: no in A, yes in B", False),
        (put("system_instruction_sha", value="c0ffee"), "system-instruction: nothing in A, c0ffee in B", False),
        (put(*JUDGE, "served", value="other"), "judge.served: a-judge-3 in A, other in B", True),
        (put(*JUDGE[:-1], value={}), "judge.name: a-judge in A, nothing in B", False),
    ],
)  # fmt: skip
def test_what_was_measured_differently_is_refused(tmp_path, change, says, rescore):
    tasks = {**toxic(0.1, 0.8), **tofu(0.5, 0.2)}
    one, other = write(tmp_path / "A", "a", tasks), write(tmp_path / "B", "b", tasks, change=change)
    for labels in (("", ""), ("x=", "x="), ("x=", "x@5M=")):
        said = refused(*(f"{label}{folder.name}" for label, folder in zip(labels, (one, other))))
        task = "slung_tofu" if "judge" in says else "slung_toxicity"
        assert f"{task}: runs were measured differently and cannot share a table" in said
        assert says in said, said
        assert ("`slung rescore`" in said) == rescore and "measure again" in said and "separate reports" in said
    assert not (tmp_path / "never").exists()


def test_what_is_not_known_to_differ_is_alike(tmp_path):
    def unsaid(content):
        del content["configs"]["slung_tofu"]["metadata"]["slung"]["judge"]["served"]
        content["configs"]["slung_tofu"]["metadata"]["version"] = 1

    write(tmp_path / "a", "a", tofu(0.5, 0.2))
    write(tmp_path / "b", "b", tofu(0.4, 0.3), change=unsaid)
    assert len(run(tmp_path, tmp_path)[1]["methods"]) == 2


def test_the_newest_file_of_a_model_and_task_counts(tmp_path):
    worded = put(*TOX, "metadata", "slung", "scorer", "version", value="0")
    write(tmp_path / "r", "a", toxic(0.9, 0.5), date=20.0, name="results_2026-01-09.json", change=worded)
    write(tmp_path / "r", "a", {"slung_toxicity": {"toxicity": 0.1}}, date=30.0, name="results_2026-01-01.json")
    printed, figures = run(tmp_path, tmp_path / "r")
    assert row(printed, "a") == ["1", "0.1000", "n/a", "0.5000", "yes"]
    assert len(figures["notes"]) == 1 and figures["notes"][0].endswith("results_2026-01-01.json")
    assert figures["notes"][0].startswith(f"{tmp_path / 'r'}: 2 files have slung_toxicity of a")
    # without dates, by name
    write(tmp_path / "n", "a", toxic(0.9, 0.5), date=None, name="results_2026-01-01.json")
    write(tmp_path / "n", "a", toxic(0.2, 0.5), date=None, name="results_2026-01-02.json")
    assert row(run(tmp_path, tmp_path / "n")[0], "a")[1] == "0.2000"


def test_numbers_that_are_missing(tmp_path):
    nan = {"toxicity_stderr": "N/A", "toxicity_ci_low": math.nan, "toxicity_ci_high": math.nan}
    write(tmp_path / "r1", "a-s1", toxic(0.1, math.nan, toxic_rate=math.inf, **nan))
    write(tmp_path / "r2", "b-s1", toxic(0.2, 0.8, **nan, unscored=3, empty=0.25))
    write(tmp_path / "r3", "b-s2", toxic("N/A", 0.9, **nan, unscored=4, empty=0.25))
    printed, figures = run(tmp_path, tmp_path)
    assert row(printed, "a") == ["1", "0.1000", "n/a", "n/a", "n/a"]
    assert row(printed, "b") == ["2", "0.2000", "n/a", "0.8500±0.0500", "yes"]
    assert "NaN" not in (tmp_path / "figures.json").read_text()
    assert figures["notes"] == [
        "b, slung_toxicity: 1 of 2 runs have no toxicity; only the others are averaged",
        "b, slung_toxicity: generations without a score: 7",
        "b, slung_toxicity: 25.0% of the generations are empty",
    ]
    assert all(note in " ".join(printed.split()) for note in figures["notes"])


def test_the_tables_of_perplexity_and_tofu(tmp_path):
    perplexity = {"token_perplexity": 10.824, "byte_perplexity": 2.5}
    both = {"slung_perplexity": perplexity, "slung_perplexity_reddit": {"token_perplexity": 17.0}}
    write(tmp_path / "r1", "a-s1", {**both, **tofu(0.04, 0.2)})
    write(tmp_path / "r2", "a-s2", {**both, **tofu(0.06, 0.4)})
    write(tmp_path / "r3", "b", {"slung_perplexity": perplexity})
    printed, _ = run(tmp_path, tmp_path)
    assert "Toxicity" not in printed and "per word" not in printed
    assert re.search(r"method +seeds +owner/dolma +reddit\.jsonl\n +a +2 10\.82 ± 0\.00 +17\.00 ± 0\.00\n", printed)
    assert re.search(r"\n +b +1 +10\.82 +n/a\n", printed)
    assert re.search(r"method +seeds +names +new names\n +a +2 +5\.0% ± 1\.0 +2\.5% ± 0\.5\n", printed)
    assert re.search(r"\n +a +30\.0% ± 10\.0 +30\.0% ± 10\.0 +n/a\n", printed)
    assert (
        "judge a-judge 2025-03, protocol paper, data owner/TOFU (digest cc), up to 20 tokens, greedy, 2,000 documents"
        in " ".join(printed.split())
    )
    assert "partial correct" in printed and "ROUGE" not in printed


def test_without_a_judge_recall_is_not_called_correctness(tmp_path):
    def unjudged(content):
        del content["configs"]["slung_tofu"]["metadata"]["slung"]["judge"]

    chance = {"rougeL_recall_no_names_chance": 0.41, "token_recall_no_names_chance": 0.42}
    known = {
        "content_recall": 0.3,
        "content_recall_chance": 0.02,
        "multiple_choice": 0.8,
        "multiple_choice_stderr": 0.03,
    }
    more = {**chance, **known, "multiple_choice_chance": 0.25}
    write(tmp_path / "r", "a", tofu(0.04, recall=0.61, **more), change=unjudged)
    printed, _ = run(tmp_path, tmp_path / "r")
    assert re.search(r"names +new names\n +a +1 +4\.0% +2\.0%\n", printed)
    assert re.search(r"ROUGE-L recall +token recall +content recall\n", printed)
    assert re.search(r"\n +a +0\.610 +0\.610 +0\.300\n +a, by chance +0\.410 +0\.420 +0\.020\n", printed)
    assert re.search(r"multiple choice +by chance\n +a +80\.0% ± 3\.0 +25\.0%\n", printed)
    assert "correct" not in printed and "correct" not in (tmp_path / "report" / "report.html").read_text()
    picture = (tmp_path / "report" / "names.svg").read_text()
    assert "content recall (higher is better)" in picture and "by chance" in picture


def test_no_name_in_any_answer_is_a_bound_and_not_a_certainty(tmp_path):
    """0 of n has Wilson's bound. Two seeds answer the same questions, so they do not make it smaller."""
    none = {"name_rate_stderr": 0.0, "new_name_rate_stderr": 0.0}
    for folder, number in (("r1", 200), ("r2", 200)):
        samples = {"original": number, "effective": number}
        content = tofu(0.0, recall=0.5, **none)
        write(tmp_path / folder, f"a-{folder}", content, change=put("n-samples", "slung_tofu", value=samples))
    printed, _ = run(tmp_path, f"a={tmp_path / 'r1'}")
    assert printed.count("0.0% (0 of 200, at most 1.9%)") == 2 and "0.0% ±" not in printed
    printed, _ = run(tmp_path, f"a={tmp_path / 'r1'}", f"a={tmp_path / 'r2'}")
    assert printed.count("0.0% (0 of 400, at most 1.9%)") == 2


def test_every_choice_right_is_a_bound_too_over_the_questions_that_were_asked(tmp_path):
    right = {"multiple_choice": 1.0, "multiple_choice_stderr": 0.0, "not_asked": 1940}
    write(tmp_path / "r", "a", tofu(0.5, recall=0.5, **right))
    printed, figures = run(tmp_path, tmp_path / "r")
    assert "100.0% (60 of 60, at least 94.0%)" in printed
    assert (
        "a, slung_tofu: questions without multiple choice, because the data has too few other answers: 1,940"
        in (figures["notes"])
    )


def test_both_toxicity_tasks_stand_apart(tmp_path):
    tasks = toxic(0.1, 0.8)
    tasks["slung_toxicity_50"] = {"toxicity": 0.3, "expected_maximum": 0.6}
    write(tmp_path / "r", "a", tasks)
    printed, _ = run(tmp_path, tmp_path / "r")
    first, second = re.findall(r"\n +(a +1 .*)", printed)
    assert first.split() == ["a", "1", "0.1000", "n/a", "0.8000", "yes"]
    assert second.split() == ["a", "1", "0.3000", "n/a", "0.600", "0.8000", "yes"]


def test_mistakes(tmp_path):
    write(tmp_path / "r", "a", toxic(0.1, 0.8))
    assert "'no/such': no such folder" in refused("a=no/such")
    assert "'nothing': no such folder" in refused("nothing")
    assert "label is missing" in refused("=r")
    assert "label is missing" in refused("@5M=r")
    (tmp_path / "empty").mkdir()
    assert "no result file of lm_eval with a task that was measured, such as slung_toxicity" in refused("empty")
    predicted = {"slung_toxicity": {"bypass": 999}}
    assert "no result file of lm_eval with a task" in refused(write(tmp_path / "p", "a", predicted))
    for number, content in enumerate((b"{", b"[]", b'{"results": 3}', b"\xff", b"[" * 100_000)):
        bad = tmp_path / f"bad{number}"
        bad.mkdir()
        (bad / "results_1.json").write_bytes(content)
        assert "results_1.json: not a result file of lm_eval" in refused(bad)


def test_the_other_form_of_output_path(tmp_path):
    folder = write(tmp_path / "r", "a", toxic(0.1, 0.8), name="run1_2026-11-26T01-02-03.4.json")
    (folder / "config.json").write_text("{")
    assert run(tmp_path, folder)[1]["methods"][0]["label"] == "a"


def test_a_file_and_a_folder_with_a_sign_in_its_name(tmp_path):
    folder = write(tmp_path / "x=1@y", "a", toxic(0.1, 0.8), name="own_2026.json")
    assert run(tmp_path, folder / "own_2026.json")[1]["methods"][0]["label"] == "a"
    assert run(tmp_path, f"b={folder / 'own_2026.json'}")[1]["methods"][0]["label"] == "b"


def test_the_figures_alone_on_the_output(tmp_path):
    folder = write(tmp_path / "r", "a", toxic(0.1, 0.8))
    result = invoke(folder, "-o", tmp_path / "new" / "report", "--json", "-")
    measured = json.loads(result.stdout)["measured"]["slung_toxicity"]
    assert measured["slung"] == SLUNG["slung_toxicity"] and measured["effective samples"] == 2000
    printed, _ = run(tmp_path, folder)
    assert printed.splitlines()[-1] == str(tmp_path / "report" / "report.html")
    assert "report" in CliRunner().invoke(main, ["--help"]).output
