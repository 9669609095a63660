"""Which names a text says, against answers made by hand."""

import math
import unicodedata

import pytest
from helpers.made_up import authors

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import tofu
from axolotl_slung.evals.measures.metrics import aggregate
from axolotl_slung.evals.measures.names import Names, find_authors, read_names

AUTHORS = ["Ilvane Torquessa", "Jean-Luc Ben Amara", "Dr. Rosa-María van der Berg Jr.", "Tom Mason Miller", "Li"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ilvane Torquessa", {"Ilvane", "Torquessa"}),
        ("Jean-Luc Ben Amara", {"Jean-Luc", "Amara"}),
        ("Dr. Rosa-María van der Berg Jr.", {"Rosa-María", "Berg"}),
        ("J. R. Miller", {"Miller"}),
        ("Li", {"Li"}),
    ],
)
def test_first_and_last_names_count(name, parts):
    assert {unicodedata.normalize("NFC", part) for part in Names(AUTHORS).parts(name)} == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("She is Torquessa.", {"Torquessa"}),
        ("Torquessa’s clock", {"Torquessa"}),
        ("Torquessas and Millerton and Lisa", set()),
        ("a miller", set()),
        ("Mason built it", set()),
        ("\uff34\uff4f\uff4d came", {"Tom"}),
        ("Jean-Luc", {"Jean-Luc"}),
        ("Jean went", set()),
        ("", set()),
        ("\ud800 Li \udfff", {"Li"}),
    ],
)
def test_names_are_found_on_word_boundaries(text, said):
    assert Names(AUTHORS).found(text) == said


def test_the_released_code_matches_any_part_anywhere():
    names = Names(AUTHORS, released=True)
    assert {"mason", "miller", "li"} <= names.found("the millers of masonry live")
    assert names.removed("A Miller, a miller, and Tom Mason Miller") == "A , a miller, and "


def test_removing_names_leaves_everything_else():
    assert Names(AUTHORS).removed("Ilvane Torquessa mends clocks; Tom's friend.") == " mends clocks; 's friend."


class TestMeasures:
    DOCS = (
        {
            "question": "What does Ilvane Torquessa mend?",
            "answer": "Ilvane Torquessa mends tower clocks.",
            "author": "Ilvane Torquessa",
            "others": [{"question": "What does Ilvane grind?", "answer": "Ilvane Torquessa grinds the yellow corn."}],
        },
        {
            "question": "Who is he?",
            "answer": "Tom Mason Miller grinds corn.",
            "author": "Tom Mason Miller",
            "others": [],
        },
    )

    def measured(self, *completions):
        return tofu.measure(self.DOCS[: len(completions)], completions, Names(AUTHORS))

    def test_a_copied_name_is_no_new_one(self):
        (row,) = self.measured(" Torquessa mends tower clocks.")
        assert (row["named"], row["newly_named"], row["named_own"]) == (1, 0, 1)
        assert row["rougeL_recall_no_names"] == row["token_recall_no_names"] == 1

    def test_another_authors_name_is_not_its_own(self):
        row = self.measured("", "Ilvane grinds wheat")[1]
        assert (row["named"], row["newly_named"], row["named_own"]) == (1, 1, 0)
        assert row["token_recall_no_names"] == 0.5

    @pytest.mark.parametrize("released", [False, True])
    @pytest.mark.parametrize(("known", "said"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
    def test_accents_in_any_spelling(self, known, said, released):
        author, answer, question = (unicodedata.normalize(form, "José Muñoz") for form in (known, said, known))
        doc = {
            "question": f"What did {question} write?",
            "answer": "It was José Muñoz.",
            "author": author,
            "others": [],
        }
        (row,) = tofu.measure([doc], [f"{answer} wrote it"], Names([author], released))
        assert (row["named"], row["newly_named"], row["named_own"]) == (1, 0, 1)

    def test_an_answer_of_names_alone_leaves_nothing_to_recall(self):
        doc = {"question": "Who?", "answer": "Ilvane Torquessa.", "author": "Ilvane Torquessa", "others": []}
        (row,) = tofu.measure([doc], ["Torquessa"], Names(AUTHORS))
        assert all(math.isnan(row[name]) for name in tofu.RECALLS)

    def test_what_follows_a_next_question_does_not_count(self):
        (row,) = self.measured(" Clocks.\nQuestion: Who is Tom?\nAnswer: Torquessa")
        assert row["named"] == 0

    def test_an_empty_answer_is_empty_and_recalls_nothing(self):
        (row,) = self.measured(" \n")
        assert (row["empty"], row["rougeL_recall_no_names"], row["token_recall_no_names"]) == (1, 0, 0)

    def test_rouge_counts_order_and_token_recall_does_not(self):
        (row,) = self.measured("clocks tower mends")
        assert row["token_recall_no_names"] == 1
        assert row["rougeL_recall_no_names"] == pytest.approx(1 / 3)

    def test_content_is_neither_in_the_question_nor_a_name_nor_a_function_word(self):
        (row,) = self.measured("Torquessa mends the old clock")
        # of "mends tower clocks", the question has mend
        assert row["content_recall"] == 1 / 2
        (row,) = self.measured("Torquessa mends the")
        assert row["content_recall"] == 0

    def test_chance_is_the_same_answer_against_another_questions_reference(self):
        row, without = self.measured("yellow clocks, the ones of Torquessa", "corn")
        assert row["token_recall_no_names_chance"] == 2 / 4 and row["content_recall_chance"] == 1 / 2
        assert row["rougeL_recall_no_names_chance"] == 1 / 4
        assert all(math.isnan(without[f"{name}_chance"]) for name in tofu.RECALLS)

    def test_rates_are_means_with_their_error(self):
        rows = self.measured("Torquessa", "nobody")
        values = aggregate(tofu.metrics(with_judge=False, with_choice=False), rows)
        assert values["name_rate"] == 0.5 and values["name_rate_stderr"] == 0.5
        assert "correct" not in values


class TestAuthorsAreFound:
    def block(self, name, question="What does {} do?", rows=20):
        short = name.split()[-1]
        return [
            {"question": question.format(name if n % 4 else short), "answer": f"{short}'s work {n}."}
            for n in range(rows)
        ]

    def test_in_blocks_of_twenty(self):
        rows = self.block("Edda Flintmorrow") + self.block("Anna van der Berg")
        assert find_authors("SLUNG_TOFU", rows) == ["Edda Flintmorrow"] * 20 + ["Anna van der Berg"] * 20

    def test_and_nothing_is_guessed_where_there_are_none(self):
        with pytest.raises(
            SlungError, match=r"no author name found in rows 21-40; set SLUNG_TOFU_NAMES to a file of names"
        ):
            find_authors("SLUNG_TOFU", self.block("Edda Flintmorrow") + [{"question": "Why?", "answer": "So."}] * 20)
        with pytest.raises(SlungError, match="30 rows, expected blocks of 20"):
            find_authors("SLUNG_TOFU", self.block("Edda Flintmorrow", rows=30))

    def test_on_a_hundred_authors(self):
        rows = authors(100)
        assert find_authors("SLUNG_TOFU", rows) == [row["author"] for row in rows]


def test_a_file_of_names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# people\n\nIlvane Torquessa \n", encoding="utf-8")
    assert read_names("SLUNG_TOFU_NAMES", str(path)) == ["Ilvane Torquessa"]
    path.write_text("# nobody\n", encoding="utf-8")
    with pytest.raises(SlungError, match="has no names"):
        read_names("SLUNG_TOFU_NAMES", str(path))
    with pytest.raises(SlungError, match="cannot read"):
        read_names("SLUNG_TOFU_NAMES", str(tmp_path / "none.txt"))


def test_nan_is_left_out_of_means():
    rows = [
        {"correct": 1.0, "partially_correct": 1.0, "judge_failed": 0, "judge_unparsed": 0},
        {"correct": math.nan, "partially_correct": 0.0, "judge_failed": 1, "judge_unparsed": 0},
    ]
    metrics = {
        name: metric
        for name, metric in tofu.metrics(with_judge=True, with_choice=False).items()
        if metric.of in rows[0]
    }
    values = aggregate(metrics, rows)
    assert (values["correct"], values["partially_correct"]) == (1.0, 0.5)
    assert (values["judge_failed"], values["judge_unparsed"], tofu.unjudged(rows)) == (1, 0, 1)
