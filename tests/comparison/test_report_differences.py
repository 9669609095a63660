"""`slung report --against`, and what of the frontier is noise."""

import json

import numpy as np
import pytest
from helpers.reported import estimate, invoke, refused, row, run, tofu, toxic, write

from axolotl_slung.comparison.frontier import points
from axolotl_slung.comparison.gathered import evaluations
from axolotl_slung.comparison.results import parse_source
from axolotl_slung.evals.measures.paired import Clusters, Values, difference, level

SECRET = "a text that is risky"


def log(folder, task, docs, **metrics):
    """Write samples as lm_eval does: a row per document, and the mean of each metric into the results."""
    rows = []
    for number, doc in enumerate(docs):
        values = {name: float(its[number]) for name, its in metrics.items()}
        rows.append(
            {"doc_id": number, "doc": {**doc, "text": SECRET}, "filter": "none", "metrics": [*values], **values}
        )
    (folder / f"samples_{task}_2026-01-01T00-00-00.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    path = folder / "results_2026-01-01T00-00-00.json"
    content = json.loads(path.read_text())
    content["results"][task] |= {f"{name},none": float(np.nanmean(its)) for name, its in metrics.items()}
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def prompts():
    """200 prompts, how toxic each is for any model, and a generator of random numbers."""
    draw = np.random.default_rng(0)
    return [{"prompt": str(number)} for number in range(200)], draw.random(200) * 0.4, draw


@pytest.fixture(scope="module")
def arms(tmp_path_factory, prompts):
    """Direct, masked (less toxic, by less than the error of either) and twin (as direct)."""
    docs, hard, draw = prompts
    folder = tmp_path_factory.mktemp("arms")
    for name, less in (("direct", 0.0), ("masked", 0.02), ("twin", 0.0)):
        scores = np.clip(hard + 0.02 * draw.standard_normal(200) - less, 0, 1)
        tasks = toxic(0.0, {"direct": 0.8, "masked": 0.81, "twin": 0.79}[name])
        tasks["slung_toxicity"] |= {"toxicity_stderr": float(scores.std() / 200**0.5)}
        tasks["slung_civilcomments"] |= {"auroc_stderr": 0.002, "auroc_ci_low": 0.79, "auroc_ci_high": 0.81}
        write(folder / name, name, tasks)
        log(folder / name, "slung_toxicity", docs, toxicity=scores, toxic_rate=scores > 0.35)
    return folder


def found(figures, method, metric):
    return next(each for each in figures["differences"] if (each["method"], each["metric"]) == (method, metric))


def test_pairing_sees_what_two_errors_hide(tmp_path, arms):
    printed, figures = run(tmp_path, arms, "--against", "direct")
    its = found(figures, "masked", "toxicity")
    means = [estimate(figures, name, "slung_toxicity", "toxicity") for name in ("masked", "direct")]
    assert its["difference"] == pytest.approx(means[0]["mean"] - means[1]["mean"])
    # two errors would be several times the interval
    assert -0.03 < its["low"] < its["high"] < -0.01 and means[0]["stderr"] > 0.006
    assert its["p"] <= its["adjusted"] < 0.001 and its["finding"] == "better" and its["how"] == "paired, 200 documents"
    assert found(figures, "twin", "toxicity")["finding"] == "within noise"
    rate = found(figures, "masked", "toxic_rate")
    assert rate["how"] == "paired, 200 documents, McNemar"
    assert found(figures, "masked", "auroc")["how"] == "not paired"
    assert {each["against"] for each in figures["differences"]} == {"direct"}
    words = " ".join(printed.split())
    assert "masked less direct" in words and "paired, 200 documents" in words and "better" in words
    page = (tmp_path / "report" / "report.html").read_text()
    assert "masked less direct" in page and SECRET not in page + printed
    # auroc has no samples at all
    assert [note for note in figures["notes"] if "--log_samples" in note and "slung_civilcomments" in note]


def test_seeds_have_the_interval_of_their_samples(tmp_path, prompts):
    docs, hard, draw = prompts
    scores = [np.clip(hard + 0.02 * draw.standard_normal(200) + 0.01 * seed, 0, 1) for seed in range(3)]
    for seed, its in enumerate(scores):
        folder = tmp_path / f"s{seed}"
        errors = {"toxicity_stderr": 0.05, "toxicity_ci_low": 0.1, "toxicity_ci_high": 0.4}
        write(folder, f"direct-seed{seed}", toxic(0.0, 0.8, **errors))
        log(folder, "slung_toxicity", docs, toxicity=its, toxic_rate=its > 0.35)
    _, figures = run(tmp_path, *(tmp_path / f"s{seed}" for seed in range(3)))
    clusters = Clusters(range(200))
    for metric, values in (("toxicity", np.array(scores)), ("toxic_rate", np.array(scores) > 0.35)):
        found = estimate(figures, "direct", "slung_toxicity", metric)
        expected = level(Values(values.astype(float), np.ones((3, 200))), clusters)
        assert found == pytest.approx({**expected._asdict(), "runs": 3})


def test_a_seed_without_the_metric_does_not_say_which_documents_there_are(tmp_path, prompts):
    docs, hard, _ = prompts
    for seed, number in enumerate((50, 200, 200)):
        folder = tmp_path / f"s{seed}"
        write(folder, f"direct-seed{seed}", toxic(0.0, 0.8))
        more = {"toxic_rate": hard[:number] > 0.1 * seed} if seed else {}
        log(folder, "slung_toxicity", docs[:number], toxicity=hard[:number], **more)
    sources = [parse_source(str(tmp_path / f"s{seed}")) for seed in range(3)]
    [method] = evaluations(sources).methods
    found = method.estimate("slung_toxicity", "toxic_rate")
    assert found.runs == 2 and found.low < found.mean < found.high


def test_the_report_has_the_interval_of_its_samples(tmp_path, arms):
    _, figures = run(tmp_path, arms, "--against", "direct")
    values = []
    for name in ("masked", "direct"):
        (path,) = (arms / name).glob("samples_*")
        scores = np.array([[json.loads(line)["toxicity"] for line in path.read_text().splitlines()]])
        values.append(Values(scores, np.ones_like(scores)))
    its, expected = found(figures, "masked", "toxicity"), difference(*values, Clusters(range(200)))
    assert (its["difference"], its["low"], its["high"], its["p"]) == pytest.approx(
        (expected.difference, expected.low, expected.high, expected.p)
    )


def test_the_frontier_says_what_is_noise(tmp_path, arms):
    printed, _ = run(tmp_path, arms)
    on = {name: " ".join(row(printed, name)[4:]) for name in ("direct", "masked", "twin")}
    # masked is less toxic beyond noise, and better in both means
    assert on["masked"] == "yes" and on["direct"] == "no" and on["twin"] == "no"
    pair = evaluations([parse_source(str(arms / name)) for name in ("direct", "twin")])
    placed = points(pair, ("slung_toxicity", "toxicity"), ("slung_civilcomments", "auroc"))
    assert [point.said for point in placed] == ["yes", "no (within noise)"]


def test_a_rival_within_noise_is_marked(tmp_path):
    errors = {"toxicity_stderr": 0.01, "toxicity_ci_low": None, "toxicity_ci_high": None}
    close = {"auroc_stderr": 0.01, "auroc_ci_low": None, "auroc_ci_high": None}
    for name, toxicity, auroc in (
        ("best", 0.1, 0.80),
        ("close", 0.101, 0.799),
        ("far", 0.2, 0.799),
        ("edge", 0.099, 0.6),
    ):
        tasks = toxic(toxicity, auroc, **errors)
        tasks["slung_civilcomments"] |= close
        write(tmp_path / name, name, tasks)
    printed, _ = run(tmp_path, tmp_path)
    on = {name: " ".join(row(printed, name)[4:]) for name in ("best", "close", "far", "edge")}
    # edge is on the frontier only because its toxicity is lower by a tenth of its error
    assert on == {"best": "yes", "close": "no (within noise)", "far": "no", "edge": "yes (within noise)"}


def test_questions_about_one_author_are_a_cluster_and_seeds_are_resampled(tmp_path):
    draw = np.random.default_rng(0)
    docs = [{"question": str(n), "author": f"author {n // 20}"} for n in range(200)]
    sources = []
    for name, rate in (("direct", 0.5), ("masked", 0.1)):
        for seed in range(3):
            folder = write(tmp_path / f"{name}-{seed}", f"{name}-s{seed}", tofu(0.0, recall=0.5))
            said = draw.random(200) < rate
            sources.append(log(folder, "slung_tofu", docs, name_rate=said, new_name_rate=said))
    _, figures = run(tmp_path, *sources, "--against", "direct")
    its = found(figures, "masked", "name_rate")
    assert its["how"] == "paired, 3/3 runs, 200 documents in 10 clusters"
    assert its["low"] < -0.4 < its["high"] < -0.25 and its["finding"] == "better"


def test_what_cannot_be_paired_is_told(tmp_path, arms, prompts):
    docs, hard, _ = prompts
    other = write(tmp_path / "other", "other", toxic(0.2, 0.8))
    log(other, "slung_toxicity", [{"prompt": f"another {n}"} for n in range(200)], toxicity=hard, toxic_rate=hard > 0.3)
    broken = write(tmp_path / "broken", "broken", toxic(0.2, 0.8))
    (broken / "samples_slung_toxicity_2026-01-01T00-00-00.jsonl").write_text(f'{{"doc": "{SECRET}"')
    wrong = write(tmp_path / "wrong", "wrong", toxic(0.2, 0.8))
    log(wrong, "slung_toxicity", docs, toxicity=hard)
    content = json.loads((wrong / "results_2026-01-01T00-00-00.json").read_text())
    content["results"]["slung_toxicity"]["toxicity,none"] = 0.9
    (wrong / "results_2026-01-01T00-00-00.json").write_text(json.dumps(content))
    _, figures = run(tmp_path, arms / "direct", other, broken, wrong, "--against", "direct")
    assert {found(figures, name, "toxicity")["how"].split(",")[0] for name in ("other", "broken", "wrong")} == {
        "not paired"
    }
    notes = "\n".join(figures["notes"])
    assert "samples of other and direct are of other documents" in notes
    assert "not a samples file of lm_eval; run the task again with --log_samples" in notes and SECRET not in notes
    assert "its samples do not give toxicity" in notes


def test_methods_are_compared_within_their_quantity(tmp_path, arms, prompts):
    docs, hard, draw = prompts
    sources = [f"base={arms / 'twin'}"]
    for amount, more in (("20M", 0.1), ("80M", 0.3)):
        for name, rise in (("direct", more), ("masked", more / 2)):
            folder = write(tmp_path / f"{name}-{amount}", f"{name}-{amount}", toxic(0.0, 0.8))
            log(folder, "slung_toxicity", docs, toxicity=hard + rise, toxic_rate=hard + rise > 0.5)
            sources.append(f"{name}@{amount}={folder}")
    printed, figures = run(tmp_path, *sources, "--against", "direct")
    for amount, less in (("20M", 0.05), ("80M", 0.15)):
        its = found(figures, f"masked @ {amount}", "toxicity")
        assert its["against"] == f"direct @ {amount}" and its["difference"] == pytest.approx(-less)
        assert f"masked @ {amount} less direct @ {amount}" in " ".join(printed.split())
    assert len({(each["method"], each["against"]) for each in figures["differences"]}) == 2
    assert "--against: base not compared; no direct has the same quantity and stage" in figures["notes"]
    # with the name of one of them, that one is compared with all
    _, figures = run(tmp_path, *sources, "--against", "direct @ 20M")
    pairs = {(each["method"], each["against"]) for each in figures["differences"]}
    assert pairs == {(name, "direct @ 20M") for name in ("base", "masked @ 20M", "direct @ 80M", "masked @ 80M")}


def test_an_unknown_label_is_told(tmp_path, arms):
    said = refused(arms, "--against", "direkt")
    assert (
        "--against: 'direkt': no method has this name; did you mean direct? expected one of direct, masked, twin"
        in said
    )


def test_numbers_of_the_paper_are_rows_and_nothing_else(tmp_path, arms):
    write(tmp_path / "r", "a", {**toxic(0.1, 0.8), **tofu(0.05, 0.2), "slung_perplexity": {"token_perplexity": 11.0}})
    _, before = run(tmp_path, tmp_path / "r")
    printed, figures = run(tmp_path, tmp_path / "r", "--paper")
    words = " ".join(printed.split())
    assert "paper, Table 2: Masked SLUNG 3 10.82 ± 0.03" in words
    assert "paper, Table 4: Direct training 3 34.3% ± 9.2 n/a" in words
    assert "paper, Table 4: Unlikelihood SLUNG 22.3% ± 2.1 43.6% ± 3.2 n/a" in words
    assert "another scorer, another judge and other texts" in words
    assert figures.pop("paper")["tables"]["Table 2"]["rows"]["Toxic Baseline"] == [[10.83, 0.03], [17.41, 0.07]]
    assert figures == before
    result = invoke(arms, "--against", "paper, Table 4: OLMo 1B", "--paper", "-o", tmp_path / "never")
    assert result.exit_code == 1 and "no method has this name" in result.output
