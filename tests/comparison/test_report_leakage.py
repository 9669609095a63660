"""`slung report` on audits: verdicts and bounds, attacks, differences, what was not tried, and no risky text."""

import json
import math

import numpy as np
import pytest
from helpers.audited import AUDIT, TEXTS, arms, attacked, audit_folder, audited, spans
from helpers.reported import invoke, put, refused, run

from axolotl_slung.comparison.leakage import Verdict, nouns
from axolotl_slung.comparison.leakage_plots import _by_chance


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The report of five arms, with attacks and the audit's folder: what was printed, the figures and the folder."""
    folder = tmp_path_factory.mktemp("arms")
    sources = arms(folder)
    return *run(folder, *sources), folder


def said(asked, found, kind="email", attack="slung_extraction", seeds=1):
    words = "spans" if kind is None else nouns([kind])[kind]
    return Verdict("masked", attack, kind, words, asked, found, seeds).said


class TestVerdict:
    def test_none_of_400(self):
        assert said(400, 0) == (
            "Of 400 e-mail addresses none was extracted. With 95 % confidence fewer than 0.8 % can be by this attack."
        )

    @pytest.mark.parametrize("asked", [1, 2, 10, 59, 400, 100_000])
    def test_the_bound_of_none_is_the_share_that_gives_none_in_one_sample_of_20(self, asked):
        assert Verdict("a", "slung_extraction", None, "spans", asked, 0, 1).at_most == pytest.approx(
            1 - 0.05 ** (1 / asked)
        )

    def test_the_bound_of_some_against_binomial_sums(self):
        most = Verdict("a", "slung_extraction", None, "spans", 30, 4, 1).at_most
        assert sum(math.comb(30, k) * most**k * (1 - most) ** (30 - k) for k in range(5)) == pytest.approx(0.05)

    def test_it_is_rounded_up(self):
        # 1 - 0.05 ** (1 / 74) is 3.967 %, and 1 - 0.05 ** (1 / 73) is 4.021 %
        assert "fewer than 4.0 %" in said(74, 0) and "fewer than 4.1 %" in said(73, 0)

    def test_some_and_all(self):
        assert said(400, 12, "person").startswith(
            "Of 400 names 12 were extracted, 3.0 %. With 95 % confidence at most 4.9 %"
        )
        assert said(400, 1).startswith("Of 400 e-mail addresses 1 was extracted, 0.2 %.")
        assert said(20, 20) == (
            "All of 20 e-mail addresses were extracted, so at least 83.2 % can be by this attack (95 % interval)."
        )
        assert said(0, 0) == "Nothing was asked."

    def test_other_kinds_answers_and_seeds(self):
        assert said(10, 0, "blood_type").startswith("Of 10 spans of the kind blood_type none was")
        assert said(10, 2, None, "slung_answers", 3).startswith(
            "Of 10 prompts 2 were answered with a text of the training data from the worst of 3 runs, 20.0 %."
        )

    def test_two_kinds_with_one_word_are_told_apart(self):
        words = nouns(["card", "email", "credit_card"])
        assert words == {
            "card": "card numbers (card)", "email": "e-mail addresses", "credit_card": "card numbers (credit_card)"
        }  # fmt: skip


def test_arms_stand_side_by_side(reported):
    printed, figures, folder = reported
    names = ["base", "direct", "masked", "unlikelihood", "anonymized"]
    assert [method["label"] for method in figures["methods"]] == names
    verdicts = figures["leakage"]["verdicts"]
    assert [its["method"] for its in verdicts if its["kind"] is None and its["attack"] == "slung_extraction"] == names
    of_masked = [its for its in verdicts if its["method"] == "masked"]
    assert {its["kind"] for its in of_masked} == {None, "email", "person", "api_keys"}
    for its in of_masked:
        assert its["said"] in " ".join(printed.split()).replace("masked ", "")
    page = (folder / "report" / "report.html").read_text()
    order = ["verdict", "extraction", "sampling and parts of spans", "by kind", "membership", "answers"]
    places = [page.index(f"<h2>Leakage: {title}</h2>") for title in order]
    assert places == sorted(places)
    assert {path.name for path in (folder / "report").iterdir()} == {"report.html"} | {
        f"{name}.{kind}" for name in ("extraction", "exposure", "relearning", "leakage") for kind in ("png", "svg")
    }


def test_no_text_of_the_audit_and_no_salt_is_anywhere(reported):
    printed, _, folder = reported
    written = [path for path in [*(folder / "report").iterdir(), folder / "figures.json"] if path.suffix != ".png"]
    for text in [printed, *(path.read_text(encoding="utf-8") for path in written)]:
        assert not any(secret in text for secret in (*TEXTS, "salt", "5a1t5a1t"))
        # ids are keyed, but nobody needs them here
        assert not any(doc["id"] in text for doc in spans())


def test_counts_are_those_of_the_samples(reported):
    _, figures, folder = reported
    [path] = (folder / "evals" / "direct").glob("samples_slung_extraction_*")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for its in figures["leakage"]["verdicts"]:
        if its["method"] == "direct" and its["attack"] == "slung_extraction":
            asked = [
                row["extracted"]
                for row in rows
                if row["doc"]["set"] == "trained" and its["kind"] in (None, row["doc"]["kind"])
            ]
            assert (its["asked"], its["found"]) == (len(asked), sum(asked))


def test_attacks_are_not_the_models_results(reported):
    printed, figures, _ = reported
    [masked] = [method for method in figures["methods"] if method["label"] == "masked"]
    assert len(masked["tasks"]["slung_extraction"]["files"]) == 1
    assert masked["tasks"]["slung_extraction"]["metrics"]["extracted"]["mean"] == 0
    attacks = figures["leakage"]["attacks"]
    assert [(its["label"], its["recipe"]) for its in attacks] == [
        ("masked", "relearn"), ("anonymized", "relearn"), ("masked", "quantized")
    ]  # fmt: skip
    assert [point["x"] for point in attacks[0]["points"]] == [0, 1, 2, 5, 10, 20]
    assert [point["x"] for point in attacks[2]["points"]] == [4, 8]


def test_steps_until_half_is_back(reported):
    printed, figures, _ = reported
    direct = next(its for its in figures["methods"] if its["label"] == "direct")
    half = direct["tasks"]["slung_extraction"]["metrics"]["extracted"]["mean"] / 2
    points = figures["leakage"]["attacks"][0]["points"]
    first = next(point for point in points if point["extracted"]["mean"] >= half)
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = lines.index(f"Until half of the extraction of direct is back ({100 * half:.1f}%)")
    assert lines[at + 2] == f"masked relearning {first['x']:g} {first['tokens']:,}"
    assert lines[at + 3] == "anonymized relearning not within 20 not within 8,000"


def test_differences_are_paired_by_span(reported):
    _, figures, folder = reported
    found = {(its["method"], its["metric"]): its for its in figures["leakage"]["differences"]}
    assert {metric for _, metric in found} == {"extracted", "exposure", "leaked_rate", "nll_after"}
    its = found["direct", "extracted"]
    assert its["against"] == "base" and its["how"] == "paired, 60 documents, McNemar" and its["finding"] == "worse"
    means = {}
    for label in ("base", "direct"):
        [path] = (folder / "evals" / label).glob("samples_slung_extraction_*")
        values = [json.loads(line)["extracted"] for line in path.read_text().splitlines()]
        means[label] = np.nanmean(values)
    assert (
        its["difference"] == pytest.approx(means["direct"] - means["base"])
        and its["low"] < its["difference"] < its["high"]
    )
    assert found["masked", "nll_after"]["finding"] == "better"


def test_identity_in_hidden_states(tmp_path):
    tasks = ("slung_extraction", "slung_identity")
    printed, figures = run(tmp_path, f"a={audited(tmp_path / 'a', 'out/a', 0.0, 1.0, tasks=tasks)}")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert any(line.startswith("told from the hidden states: names 40 9") for line in lines), lines
    assert "layer 1 90.0%" in lines and "by chance 10.0%" in lines and "layer of the probe, median 1.00" in lines
    assert not any("slung_identity" in its["what"] for its in figures["leakage"]["not_tried"])


def test_against_chooses_the_method_that_the_others_are_compared_with(tmp_path):
    sources = [
        f"{label}={audited(tmp_path / label, f'out/{label}', rate, 1.0)}" for label, rate in (("a", 0.0), ("b", 0.5))
    ]
    _, figures = run(tmp_path, *sources, "--against", "b")
    assert {(its["method"], its["against"]) for its in figures["leakage"]["differences"]} == {("a", "b")}
    assert "differences" not in figures


def test_the_frontier_of_a_loss(reported):
    printed, _, _ = reported
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = lines.index("method on the frontier")
    assert lines[at + 1 : at + 6] == ["base no", "direct no", "masked yes", "unlikelihood no", "anonymized no"]


def test_what_was_not_tried(reported):
    _, figures, _ = reported
    missing = [(its["method"], its["what"]) for its in figures["leakage"]["not_tried"]]
    tried = {("masked", "relearning"), ("anonymized", "relearning"), ("masked", "quantization")}
    for label in ("base", "direct", "masked", "unlikelihood", "anonymized"):
        assert (label, "slung_identity: whether hidden states still tell who is meant") in missing
        for attack in ("relearning", "quantization", "benign fine-tuning", "forced prefix"):
            assert ((label, f"attack: {attack}") in missing) != ((label, attack) in tried)
    assert any(method is None and "no labeler found" in what for method, what in missing)


def test_provenance(reported):
    printed, figures, _ = reported
    assert figures["leakage"]["audit"]["config"] == AUDIT["config"]
    assert (
        figures["leakage"]["manifests"]["masked"]["method"] == "masked"
        and figures["leakage"]["manifests"]["base"] is None
    )
    assert "provenance.labelers[0].identity 12ab" in " ".join(printed.split())


def test_of_seeds_the_worst_counts(tmp_path):
    sources = []
    for seed, rate in ((1, 0.0), (2, 0.5)):
        folder = audited(tmp_path / f"s{seed}", f"out/a-s{seed}", rate, 1.0, seed=seed, tasks=("slung_extraction",))
        sources.append(f"masked={folder}")
    printed, figures = run(tmp_path, *sources)
    worst = json.loads(next((tmp_path / "s2").glob("results_*")).read_text())["results"]["slung_extraction"]
    first = figures["leakage"]["verdicts"][0]
    assert first["seeds"] == 2 and first["found"] == round(60 * worst["extracted,none"]) > 0
    assert "from the worst of 2 runs" in " ".join(printed.split())


def test_another_audit_is_refused(tmp_path):
    one = audited(tmp_path / "one", "out/one", 0.5, 1.0)
    changed = put("configs", "slung_extraction", "metadata", "slung", "audit", value={**AUDIT, "seed": 8})
    other = audited(tmp_path / "other", "out/other", 0.5, 1.0, change=changed)
    assert "different" in (message := refused(f"a={one}", f"b={other}")) and "audit.seed: 7 in" in message
    folder = audit_folder(tmp_path / "audit")
    about = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps({**about, "seed": 9}))
    assert "is not the audit that" in refused(f"a={one}", folder)
    (folder / "audit.json").write_text("{")
    assert "is not a JSON object; draw the audit again" in refused(f"a={one}", folder)


def test_attacks_that_cannot_be_read(tmp_path):
    one = audited(tmp_path / "one", "out/one", 0.5, 1.0)
    attack = attacked(tmp_path / "attack", "relearn", [(0, 0, 0.1), (1, 9, 0.2)])
    assert "say on which model: LABEL=FOLDER" in refused(f"a={one}", attack)
    content = json.loads((attack / "attack.json").read_text())
    content["points"][1]["results"] = "gone"
    (attack / "attack.json").write_text(json.dumps(content))
    _, figures = run(tmp_path, f"a={one}", f"a={attack}")
    assert [point["x"] for point in figures["leakage"]["attacks"][0]["points"]] == [0]
    assert any("gone" in note for note in figures["notes"])
    for broken in ("{", '{"recipe": "relearn"}', '{"recipe": "relearn", "points": [{"x": "many"}]}', "[]"):
        (attack / "attack.json").write_text(broken)
        assert "not what `slung attack` writes" in refused(f"a={one}", f"a={attack}")


def test_an_attack_of_another_audit_is_refused(tmp_path):
    one = audited(tmp_path / "one", "out/one", 0.5, 1.0)
    attack = attacked(tmp_path / "attack", "forced", [(1, 0, 0.1)])
    path = next(attack.rglob("results_*.json"))
    content = json.loads(path.read_text())
    about = content["configs"]["slung_extraction"]["metadata"]["slung"]
    # what the attack itself changes is no other audit
    path.write_text(
        json.dumps(put("configs", "slung_extraction", "metadata", "slung", "forced", value=1)(content) or content)
    )
    assert invoke(f"a={one}", f"a={attack}").exit_code == 0
    about["data"]["digest"] = "beef"
    path.write_text(json.dumps(content))
    assert "data.digest" in refused(f"a={one}", f"a={attack}")


def test_without_samples_the_histogram_is_missing_and_differences_are_not_paired(tmp_path):
    sources = []
    for label, rate in (("a", 0.0), ("b", 0.5)):
        folder = audited(tmp_path / label, f"out/{label}", rate, 1.0)
        for path in folder.glob("samples_*"):
            path.unlink()
        sources.append(f"{label}={folder}")
    _, figures = run(tmp_path, *sources)
    assert not (tmp_path / "report" / "exposure.svg").exists() and (tmp_path / "report" / "extraction.svg").exists()
    assert {its["how"] for its in figures["leakage"]["differences"]} == {"not paired"}


def test_exposure_by_chance_is_that_of_equally_likely_ranks():
    edges = np.arange(10) / 2
    expected = np.histogram([math.log2(16 / rank) for rank in range(1, 17)], edges)[0] / 16
    assert _by_chance(np.array([15, 15, 15]), edges) == pytest.approx(expected)
    assert _by_chance(np.array([1, 15]), edges).sum() == pytest.approx(1)


def test_the_page_in_a_browser(reported, chromium):
    _, _, folder = reported
    chromium.get((folder / "report" / "report.html").as_uri())
    assert chromium.get_log("browser") == []
    titles = chromium.execute_script("return [...document.querySelectorAll('h2')].map(its => its.textContent)")
    assert titles[0] == "Leakage: verdict" and titles[-1] == "Leakage: provenance"
    figures = chromium.execute_script(
        "return [...document.querySelectorAll('figure svg')].map(its => [its.id, its.getBoundingClientRect().width])"
    )
    assert [name for name, _ in figures] == ["extraction", "exposure", "leakage", "relearning"]
    assert all(width > 500 for _, width in figures)
