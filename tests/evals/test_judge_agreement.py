"""Sheets of judged answers for people, and how a judge agrees with them."""

import csv
import hashlib
import json
import math
import random
import stat

import pytest
from click.testing import CliRunner
from helpers.harness import evaluate, saying
from helpers.judging import asked_of, good, said
from helpers.served import KEY, Reply, serve
from sklearn.metrics import cohen_kappa_score

from axolotl_slung.cli import main
from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures.agreement import agreement
from axolotl_slung.evals.rescore import rescore
from axolotl_slung.evals.services.options import read_options

HOSTILE = "=1+1 \x1b[2J \u202eabc\nsecond line"


def number_of(text):
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def answer_of(prompt):
    """The model's answer: one in five is empty, one is hostile."""
    if "Ilvane Torquessa do for a living" in prompt:
        return HOSTILE
    return "" if number_of(prompt) % 5 == 0 else f" It said {number_of(prompt) % 1000}.\nQuestion: next?"


def mostly_no(text, nth):
    """Right about controls, and accepts a quarter of the model's answers."""
    kind, texts = asked_of(text)
    if "It said" in texts["completion"] or texts["completion"] == HOSTILE:
        return said(kind, number_of(texts["question"]) % 4 == 0)
    return good(text, nth)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A samples file of slung_tofu with a judge's verdicts, and that of another judge on the same answers."""
    folder = tmp_path_factory.mktemp("judged")
    with pytest.MonkeyPatch.context() as patch, serve() as served:
        for name, value in {
            "AXOLOTL_SLUNG_CACHE": str(folder / "cache"), "SLUNG_TOFU": "embedded", "SLUNG_API_KEY": KEY,
            "SLUNG_TOFU_WRONG_ANSWERS": "0", "SLUNG_JUDGE_URL": served.url, "SLUNG_JUDGE_CONTROLS": "5",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        served.answer = lambda text, nth: Reply({}, 400) if "It said" in text else good(text, nth)
        with pytest.raises(SlungError, match="slung rescore"):
            evaluate("slung_tofu", saying(answer_of), {"slung_judge": "openai:m"})
        (kept,) = (folder / "cache" / "unscored").glob("*/samples_*.jsonl")
        served.answer = mostly_no
        found = []
        for judge in ("m", "other"):
            rescore(kept, read_options({"slung_judge": f"openai:{judge}"}), folder / judge)
            found += (folder / judge).glob("*/samples_*.jsonl")
    return found


def run(*arguments, cwd=None):
    return CliRunner().invoke(main, ["judge-agreement", *map(str, arguments)], env={"COLUMNS": "100"})


def rows_of(sheet):
    if sheet.suffix == ".csv":
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in sheet.read_text(encoding="utf-8").splitlines()]


def filled(sheet, verdict, to=None, separator=","):
    """The sheet as a person returns it, with `verdict(row)` in each row."""
    rows = [row | {"verdict": verdict(row)} for row in rows_of(sheet)]
    to = to or sheet
    if to.suffix == ".csv":
        with to.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=separator)
            writer.writeheader()
            writer.writerows(rows)
    else:
        to.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return to


def judged(sheet):
    return json.loads(sheet.with_name(f"{sheet.stem}.judge.json").read_text())["verdicts"]


@pytest.mark.parametrize("name", ["sheet.jsonl", "sheet.csv"])
def test_a_sheet_is_written_filled_and_read_back(samples, tmp_path, name):
    sheet = tmp_path / name
    done = run(samples[0], "-o", sheet, "-n", 20)
    assert done.exit_code == 0, done.output
    rows, verdicts = rows_of(sheet), judged(sheet)
    assert [list(row) for row in rows] == [["id", "question", "reference", "candidate", "verdict"]] * 20
    assert {row["id"] for row in rows} == verdicts.keys() and not any(row["verdict"] for row in rows)
    # half of each, in an order that gives nothing away
    said = [verdicts[row["id"]] for row in rows]
    assert said.count("correct") == 10 and said not in (sorted(said), sorted(said, reverse=True))
    assert all("next?" not in row["candidate"] and row["candidate"].strip() for row in rows)
    assert "correct" not in sheet.read_text()
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # a person who disagrees about three of those that the judge accepts
    wrong = [row["id"] for row in rows if verdicts[row["id"]] == "correct"][:3]
    filled(sheet, lambda row: " Incorrect. " if row["id"] in wrong else verdicts[row["id"]].upper())
    done = run(sheet, "--json", tmp_path / "figures.json")
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["counts"] == [[10, 0], [3, 7]]
    assert figures["agreement"]["value"] == 17 / 20 and "85.0%" in done.output and "0.700" in done.output
    assert "openai:m: correct" in done.output


def test_the_same_samples_give_the_same_sheet_and_it_is_never_replaced(samples, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        assert run(samples[0], "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()
    done = run(samples[0], "-o", tmp_path / "a.jsonl")
    assert done.exit_code == 2 and "may hold people's verdicts" in done.output
    (tmp_path / "b.jsonl").unlink()
    assert run(samples[0], "-o", tmp_path / "b.jsonl").exit_code == 2


def test_more_answers_than_there_are(samples, tmp_path):
    done = run(samples[0], "-o", tmp_path / "all.jsonl", "-n", 1000, "--metric", "partially_correct")
    rows = rows_of(tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in samples[0].read_text().splitlines()]
    spoken = [row for row in lines if not row["empty"]]
    assert len(rows) == len(spoken) < len(lines) and f"{len(rows)} of {len(rows)} judged answers" in done.output
    accepted = sum(row["partially_correct"] for row in spoken)
    assert list(judged(tmp_path / "all.jsonl").values()).count("yes") == accepted
    filled(tmp_path / "all.jsonl", lambda row: judged(tmp_path / "all.jsonl")[row["id"]])
    figures = json.loads(run(tmp_path / "all.jsonl", "--json", "-").output)
    # all answers are on the sheet, so both kappas are the same; full agreement is not certain
    assert figures["kappa"] == figures["kappa_of_all"] and figures["kappa"]["value"] == 1.0
    assert figures["kappa"]["low"] < 0.99 and figures["agreement"]["low"] == pytest.approx(0.025 ** (1 / len(rows)))


def test_hostile_texts(samples, tmp_path):
    # a spreadsheet must not run a text as a formula, nor a terminal its escapes
    for name, begins in (("a.csv", "'=1+1"), ("b.jsonl", "=1+1")):
        sheet = tmp_path / name
        run(samples[0], "-o", sheet, "-n", 1000)
        (text,) = [row["candidate"] for row in rows_of(sheet) if "1+1" in row["candidate"]]
        assert text == f"{begins} ⟨U+001B⟩[2J ⟨U+202E⟩abc\nsecond line"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_spreadsheets_make_of_csv(samples, tmp_path, separator):
    sheet = tmp_path / "sheet.csv"
    run(samples[0], "-o", sheet, "-n", 10)
    back = filled(sheet, lambda row: "correct", tmp_path / "back.csv", separator)
    done = run(back, "--verdicts", tmp_path / "sheet.judge.json", "--json", "-")
    assert json.loads(done.output)["counts"] == [[0, 5], [0, 5]]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows[2].update(verdict=" "), "row 3: no verdict; write correct or incorrect"),
        (
            lambda rows: rows[4].update(verdict="corect"),
            "row 5: its verdict is neither correct nor incorrect; did you mean",
        ),
        (
            lambda rows: rows[4].update(verdict="secret text"),
            "row 5: its verdict is neither correct nor incorrect; write",
        ),
        (lambda rows: rows.append(rows[0]), "row 7: its id was in an earlier row"),
        (lambda rows: rows[1].update(id="secret text"), "row 2: its id is not in sheet.judge.json"),
        (lambda rows: rows.pop(), "no row with the id a"),
        (lambda rows: rows[3].pop("verdict"), "row 4: no text in `id` or `verdict`"),
        (lambda rows: [row.update(verdict="") for row in rows], "rows 1, 2, 3, 4, 5 and 1 more: no verdict"),
    ],
)
def test_faults_of_a_filled_sheet_name_the_row(samples, tmp_path, spoil, says):
    sheet = tmp_path / "sheet.jsonl"
    run(samples[0], "-o", sheet, "-n", 6)
    rows = [row | {"verdict": "correct"} for row in rows_of(sheet)]
    spoil(rows)
    sheet.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(sheet)
    assert done.exit_code == 2 and says in done.output and "secret text" not in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{sheet}", "-o", "{new}"], "not a samples file"),
        (["{samples}"], "expected one filled sheet; to write a new sheet"),
        (["{sheet}", "-n", "5"], "--answers, --metric: are for a new sheet"),
        (["{samples}", "-o", "{new}", "--json", "-"], "are for a filled sheet"),
        (["{samples}", "-o", "new.xlsx"], "expected a name that ends in .jsonl or .csv"),
        (["{samples}", "{other}", "-o", "{new}"], "its judge is not that of samples_"),
        (["{alone}"], "alone.judge.json: No such file"),
    ],
)
def test_faults_of_the_command_line(samples, tmp_path, arguments, says):
    sheet = tmp_path / "sheet.jsonl"
    run(samples[0], "-o", sheet, "-n", 6)
    alone = tmp_path / "alone.jsonl"
    alone.write_text(sheet.read_text())
    names = {"sheet": sheet, "samples": samples[0], "other": samples[1], "new": tmp_path / "new.jsonl", "alone": alone}
    done = run(*(argument.format(**names) for argument in arguments))
    assert done.exit_code == 2 and says in done.output


def test_samples_without_a_judge(samples, tmp_path):
    for path in (samples[0], *samples[0].parent.glob("results_*.json")):
        content = path.read_text()
        if path.suffix == ".json":
            content = json.loads(content)
            del content["configs"]["slung_tofu"]["metadata"]["slung"]["judge"]
            content = json.dumps(content)
        (tmp_path / path.name).write_text(content)
    done = run(tmp_path / samples[0].name, "-o", tmp_path / "new.jsonl")
    assert done.exit_code == 2 and "no verdicts of a judge" in done.output and not (tmp_path / "new.jsonl").exists()


# ---------------------------------------------------------------------------------------------------------------- kappa


def slow_kappa(pairs):
    """Cohen's kappa by its definition, over a list of pairs."""
    equal = sum(judge == person for judge, person in pairs) / len(pairs)
    by_chance = 0.0
    for word in (True, False):
        by_judge = sum(judge is word for judge, _ in pairs) / len(pairs)
        by_person = sum(person is word for _, person in pairs) / len(pairs)
        by_chance += by_judge * by_person
    return (equal - by_chance) / (1 - by_chance)


def test_kappa_is_that_of_a_slow_reference():
    rng = random.Random(3)
    for number in (2, 3, 10, 31, 200):
        pairs = [(True, False), (False, False)]
        pairs += [(rng.random() < 0.4, rng.random() < 0.6) for _ in range(number - 2)]
        found = agreement(pairs, accepted=0.5)
        assert found.kappa.value == pytest.approx(slow_kappa(pairs))
        assert found.kappa.value == pytest.approx(cohen_kappa_score(*zip(*pairs)))
        assert found.kappa.low <= found.kappa.value <= found.kappa.high


def test_kappa_over_all_answers_weighs_the_judges_verdicts():
    pairs = [(True, True)] * 8 + [(True, False)] * 2 + [(False, False)] * 9 + [(False, True)]
    found = agreement(pairs, accepted=0.1)
    weights = [0.1 / 10 if judge else 0.9 / 10 for judge, _ in pairs]
    assert found.kappa_of_all.value == pytest.approx(cohen_kappa_score(*zip(*pairs), sample_weight=weights))
    assert found.agreement_of_all.value == pytest.approx(0.1 * 0.8 + 0.9 * 0.9)


def test_kappa_where_both_say_one_word():
    found = agreement([(False, False)] * 9, accepted=0.0)
    assert found.kappa.value is None and found.agreement.value == found.agreement_of_all.value == 1.0
    assert found.agreement_of_all.low < 0.95 and math.isfinite(found.kappa.low)


@pytest.mark.parametrize(("of_accepted", "of_rejected"), [(0.9, 0.1), (0.8, 0.3), (0.97, 0.02)])
def test_intervals_of_kappa_contain_it(monkeypatch, of_accepted, of_rejected):
    monkeypatch.setattr("axolotl_slung.evals.measures.agreement.DRAWS", 1000)
    rng = random.Random(5)
    true = (0.5 * of_accepted + 0.5 * (1 - of_rejected)) * 2 - 1  # with half of each verdict
    covered = 0
    for _ in range(300):
        pairs = [(True, rng.random() < of_accepted) for _ in range(15)]
        pairs += [(False, rng.random() < of_rejected) for _ in range(15)]
        found = agreement(pairs, accepted=0.5).kappa
        covered += found.low <= true <= found.high
    assert 0.9 <= covered / 300 <= 0.99
