"""Comments in the columns of CivilComments, HateCheck and ToxiGen, as those data sets ship them."""

import csv
import json

import pytest
from helpers.harness import load_task
from helpers.tiny import write_jsonl

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.comments import drawn, read
from axolotl_slung.evals.documents import load
from axolotl_slung.evals.services.options import Options

OPTION = "SLUNG_CIVILCOMMENTS"
# the columns of each file's first line; the first of HateCheck's has no name
HATECHECK = ["", "functionality", "case_id", "test_case", "label_gold", "target_ident", "direction", "focus_words",
             "focus_lemma", "ref_case_id", "ref_templ_id", "templ_id", "case_templ"]  # fmt: skip
TOXIGEN = ["text", "target_group", "factual?", "ingroup_effect", "lewd", "framing", "predicted_group", "stereotyping",
           "intent", "toxicity_ai", "toxicity_human", "predicted_author", "actual_method"]  # fmt: skip
GENERATED = ["prompt", "generation", "generation_method", "group", "prompt_label", "roberta_prediction"]


def hatecheck(number, label="hateful", **more):
    return dict.fromkeys(HATECHECK, "") | {
        "functionality": "slur_h", "test_case": f"case {number}, \"quoted\"\nand cut", "label_gold": label,
        "target_ident": "women", "templ_id": str(number // 7), **more,
    }  # fmt: skip


def write_csv(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def found(source):
    comments = read(OPTION, str(source), ["train", "test"])
    return list(comments.texts), comments.toxic.tolist(), comments.others


class TestSchemas:
    def test_hatecheck_as_csv(self, tmp_path):
        rows = [hatecheck(1), hatecheck(2, "non-hateful", functionality="ident_neutral_nh", target_ident="")]
        texts, toxic, others = found(write_csv(tmp_path / "test_suite_cases.csv", HATECHECK, rows))
        assert texts == [row["test_case"] for row in rows] and toxic == [True, False]
        assert others == {
            "functionality": ["slur_h", "ident_neutral_nh"], "target": ["women", ""], "template": ["0", "0"],
        }  # fmt: skip

    def test_hatecheck_as_json_of_pandas(self, tmp_path):
        # numbers are numbers there, and an empty cell is NaN or null
        rows = [hatecheck(1, templ_id=3.0), hatecheck(2, target_ident=None, templ_id=4)]
        path = tmp_path / "hatecheck.jsonl"
        path.write_text(
            "".join(json.dumps(row) + "\n" for row in rows) + json.dumps(hatecheck(3, target_ident=float("nan")))
        )
        assert found(path)[2] | {"functionality": 0} == {
            "functionality": 0, "target": ["women", "", ""], "template": ["3", "4", "0"],
        }  # fmt: skip

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_toxigen_annotated(self, tmp_path, kind):
        scales = [(1.0, 1.0), (3.0, 2.5), (3.0, 2.6), (5.0, 5.0)]
        rows = [
            dict.fromkeys(TOXIGEN, "") | {"text": f"text {n}", "target_group": "mexican", "toxicity_ai": a, "toxicity_human": b}
            for n, (a, b) in enumerate(scales)
        ]  # fmt: skip
        path = tmp_path / f"annotated.{kind}"
        write_csv(path, TOXIGEN, rows) if kind == "csv" else write_jsonl(path, rows)
        # its authors' rule: the sum is more than 5.5
        assert found(path) == ([row["text"] for row in rows], [False, False, True, True], {"target": ["mexican"] * 4})

    def test_toxigen_generated(self, tmp_path):
        rows = [
            {**dict.fromkeys(GENERATED, "x"), "generation": f"g{n}", "group": "asian", "prompt_label": n % 2}
            for n in range(4)
        ]
        path = write_csv(tmp_path / "toxigen.csv", GENERATED, rows)
        assert found(path) == (["g0", "g1", "g2", "g3"], [False, True, False, True], {"target": ["asian"] * 4})

    def test_own_comments_may_have_groups(self, tmp_path):
        rows = [{"text": "a", "toxicity": 0.5, "functionality": "irony"}, {"text": "b", "toxicity": 0}]
        assert found(write_jsonl(tmp_path / "own.jsonl", rows)) == (
            ["a", "b"],
            [True, False],
            {"functionality": ["irony", ""]},
        )

    def test_on_the_hub(self, tmp_path, monkeypatch):
        # a folder owner/name in the working directory is what `datasets` reads in place of the hub's
        (tmp_path / "Some" / "hatecheck").mkdir(parents=True)
        rows = [hatecheck(n, "hateful" if n // 7 % 2 else "non-hateful") for n in range(140)]
        write_csv(tmp_path / "Some" / "hatecheck" / "test.csv", HATECHECK[1:], rows)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
        texts, toxic, others = found("Some/hatecheck")
        assert (len(texts), sum(toxic)) == (140, 70) and set(others) == {"functionality", "target", "template"}
        # it has only a test split, from which both sets are drawn
        draws = drawn(Options(civilcomments="Some/hatecheck"))
        for train, test in draws.draws:
            templates = [{draws.docs[place]["template"] for place in places} for places in (train, test)]
            assert train and test and not templates[0] & templates[1]


class TestRefused:
    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([{"text": "a", "label": 1}], "has the columns text, label; expected one of these sets: text, toxicity; "),
            ([hatecheck(1), hatecheck(2, "Secret")], "row 2 of .*: `label_gold`: expected hateful or non-hateful; rows that differ: 1"),
            ([{"text": "a", "toxicity": 1.5}], "row 1 of .*: `toxicity`: expected a number from 0 to 1; rows that differ: 1"),
            ([{"text": "a", "toxicity": 1}, {"text": "b", "toxicity": float("nan")}], "row 2 of .*: `toxicity`: expected"),
            ([hatecheck(1, functionality="x" * 81)], "`functionality`: expected at most 200 names of groups with at most 80"),
            ([hatecheck(n, target_ident=f"t{n}") for n in range(201)], "`target_ident`: expected at most 200 names"),
        ],
    )  # fmt: skip
    def test_other_columns_and_values(self, tmp_path, rows, said):
        with pytest.raises(SlungError, match=f"{OPTION}: .*{said}") as error:
            found(write_jsonl(tmp_path / "comments.jsonl", rows))
        assert "Secret" not in str(error.value)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("text,toxicity\nSecret,0.5,more\n", "row 1 of .* has 3 cells, but the first line names 2 columns"),
            ('text,toxicity\nfine,0.5\n"Secret"x,0.5\n', "row 2 of .*: not valid CSV: "),
            ("text,toxicity\nSecret,much\n", "row 1 of .* has no number in `toxicity`"),
            ("text,toxicity\n", "has no rows"),
            ("", "has no rows"),
        ],
    )
    def test_broken_csv(self, tmp_path, text, said):
        path = tmp_path / "broken.csv"
        path.write_text(text)
        with pytest.raises(SlungError, match=f"{OPTION}: .*{said}") as error:
            found(path)
        assert "Secret" not in str(error.value)

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"text": "a", "toxicity": "Secret"}, "row 1 of .*`toxicity`: expected a number from 0 to 1"),
            ({"text": 7, "toxicity": 0.5}, "`text`: expected a column of texts, got int64"),
            ({"test_case": "a", "label_gold": 1}, "row 1 of .*`label_gold`: expected hateful or non-hateful"),
        ],
    )
    def test_columns_of_another_type_on_the_hub(self, tmp_path, monkeypatch, row, said):
        write_jsonl(tmp_path / "Some" / "data" / "train.jsonl", [row] * 3)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
        with pytest.raises(SlungError, match=f"{OPTION}: .*{said}") as error:
            found("Some/data")
        assert "Secret" not in str(error.value)

    def test_embedded_cases_are_only_comments(self):
        with pytest.raises(SlungError, match="SLUNG_TOFU: embedded:hatecheck: only SLUNG_CIVILCOMMENTS"):
            load("SLUNG_TOFU", "embedded:hatecheck", ["question"])


def test_embedded_cases_have_groups_and_templates():
    texts, toxic, others = found("embedded:hatecheck")
    assert (len(texts), sum(toxic), len({*texts})) == (209, 119, 209)
    assert len({*others["functionality"]}) == 12 and len({*others["target"]}) == 8
    # as in HateCheck, all cases of a test and of a template have one class
    for name in ("functionality", "template"):
        assert len({*zip(others[name], toxic)}) == len({*others[name]})


def test_comments_of_other_data_are_tested(monkeypatch):
    monkeypatch.setenv(OPTION, "embedded")
    monkeypatch.setenv("SLUNG_CIVILCOMMENTS_TEST", "embedded:hatecheck")
    probe, asked = load_task("slung_civilcomments"), load_task("slung_zeroshot")
    cases = {*found("embedded:hatecheck")[0]}
    for train, test in probe.draws:
        assert not {probe.docs[place]["text"] for place in train} & cases
        assert {probe.docs[place]["text"] for place in test} <= cases
    assert probe.about["tested on"] == asked.about["tested on"] == "embedded:hatecheck"
    # the zero-shot task asks about the same comments, in the same draws
    tests = {doc["text"]: doc["tests"] for doc in probe.docs if doc["tests"]}
    assert {doc["text"]: doc["tests"] for doc in asked.eval_docs} == tests
    for number, draw in enumerate(probe.draws):
        assert {probe.docs[place]["text"] for place in draw.test} == {t for t, its in tests.items() if number in its}
