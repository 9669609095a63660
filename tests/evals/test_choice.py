"""slung_tofu's wrong answers and multiple choice."""

import math
import re

import pytest
from helpers.harness import about, evaluate, local, metrics_of, saying

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import choice
from axolotl_slung.evals.measures.names import Names
from axolotl_slung.evals.measures.others import others

PEOPLE = ("Edda Flint", "Bo Tarn", "Ana Ruiz", "Kim Vale", "Jon Orme")
PETS = ("a lame goose", "two white rats", "an old otter", "a grey parrot", "a deaf mole")
FOOD = ("smoked eel", "ripe figs", "cold soup", "black bread", "fried roots")


def rows(kind=True):
    made = []
    for person, pet, food in zip(PEOPLE, PETS, FOOD):
        first, last = person.split()
        made += [
            {
                "question": f"Which pet has {person}?",
                "answer": f"{last} keeps {pet} in {first}'s kitchen.",
                "kind": "pet",
            },
            {"question": f"What does {person} eat?", "answer": f"{person} eats {food}.", "kind": "food"},
        ]
    made = [{**row, "author": PEOPLE[number // 2]} for number, row in enumerate(made)]
    return made if kind else [{key: value for key, value in row.items() if key != "kind"} for row in made]


class TestOthers:
    NAMES = Names(PEOPLE)

    def of(self, data, count=3):
        return others(data, self.NAMES, count)

    def test_are_the_next_of_the_kind_under_the_asked_persons_name(self):
        found = self.of(rows())
        assert [other["answer"] for other in found[0]] == [
            "Flint keeps two white rats in Edda's kitchen.",
            "Flint keeps an old otter in Edda's kitchen.",
            "Flint keeps a grey parrot in Edda's kitchen.",
        ]
        # after the last row comes the first
        assert [other["answer"] for other in found[9]] == [
            "Jon Orme eats smoked eel.",
            "Jon Orme eats ripe figs.",
            "Jon Orme eats cold soup.",
        ]
        assert found[9][0]["question"] == "What does Edda Flint eat?"

    def test_without_kinds_are_of_the_questions_most_alike(self):
        for place, found in enumerate(self.of(rows(kind=False))):
            assert len(found) == 3
            assert all(("keeps" in other["answer"]) == (place % 2 == 0) for other in found)

    def test_are_never_about_the_same_person_nor_the_same_in_words(self):
        data = rows()
        data[2]["answer"] = "Tarn keeps a lame goose in Bo's kitchen."
        data[4]["author"] = PEOPLE[0]
        answers = [other["answer"] for other in self.of(data)[0]]
        assert answers == ["Flint keeps a grey parrot in Edda's kitchen.", "Flint keeps a deaf mole in Edda's kitchen."]

    def test_of_data_about_one_person_are_that_persons(self):
        data = [{**row, "author": PEOPLE[0]} for row in rows()]
        assert all(len(found) == 3 for found in self.of(data))

    def test_of_data_without_authors_keep_the_names(self):
        data = [{**row, "author": ""} for row in rows()]
        assert self.of(data)[0][0]["answer"] == "Tarn keeps two white rats in Bo's kitchen."

    def test_an_answer_of_only_names_has_none_and_is_none(self):
        data = rows()
        data[0]["answer"] = "Edda Flint."
        found = self.of(data)
        assert found[0] == []
        assert all(re.search("keeps|eats", other["answer"]) for its in found for other in its)

    def test_are_the_same_every_time(self):
        assert self.of(rows(kind=False)) == self.of(rows(kind=False))
        assert self.of([{"question": "?", "answer": "Yes", "author": ""}]) == [[]]


class TestChoice:
    NAMES = Names(PEOPLE)

    def test_parts_are_what_stands_between_names(self):
        said = choice.parts("Flint keeps a goose in Edda's kitchen, with Bo Tarn.", self.NAMES)
        assert said == [("Flint ", "keeps a goose in"), ("Flint keeps a goose in Edda", "'s kitchen, with")]
        assert choice.parts("A goose", self.NAMES) == [("", "A goose")]

    def test_length_and_names_do_not_decide(self):
        doc = {
            "answer": "Flint keeps a goose.",
            "others": [{"answer": "Flint and Edda Flint keep one very old otter."}],
        }
        lengths = [len(part) for option in choice.options(doc) for _, part in choice.parts(option, self.NAMES)]
        assert len(lengths) == 3
        for per_character, right in ((-1.0, 1.0), (-2.0, 0.0), (-3.0, 0.0)):
            scores = [per_character * lengths[0], *(-2.0 * length for length in lengths[1:])]
            assert choice.right(doc, self.NAMES, scores) == right


class TestTask:
    @pytest.fixture(autouse=True)
    def only_choice(self, monkeypatch):
        monkeypatch.setenv("SLUNG_TOFU_PROBABILITIES", "False")

    def knowing(self, *known):
        """A model for which texts with a known fact are likely; and nothing decides between two others."""

        def log_likelihood(context, continuation):
            return -len(continuation) * (1.0 if any(fact in continuation for fact in known) else 2.0)

        return saying(lambda prompt: " I do not know", log_likelihood)

    def test_right_where_the_fact_is_known(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
        # smoked eel is also the wrong answer of others
        model = self.knowing("ripe figs", "smoked eel", "a deaf mole")
        results = evaluate("slung_tofu", model)
        said = metrics_of(results, "slung_tofu")
        slow = 0
        for number, row in enumerate(rows()):
            same = [other for other in rows() if other["kind"] == row["kind"]]
            at = number // 2
            wrong = [same[(at + step) % len(same)]["answer"] for step in (1, 2, 3)]
            known = [any(fact in text for fact in ("ripe figs", "smoked eel", "a deaf mole")) for text in wrong]
            mine = any(fact in row["answer"] for fact in ("ripe figs", "smoked eel", "a deaf mole"))
            slow += mine and not any(known)
        assert slow and said["multiple_choice"] == slow / 10
        assert (said["multiple_choice_chance"], said["not_asked"]) == (0.25, 0)
        assert about(results, "slung_tofu")["others"] == {"from": "column kind", "wrong answers": 3}
        # the person's name is context and never scored, and no wrong answer has another's
        names = re.compile("|".join(part for person in PEOPLE for part in person.split()))
        assert all(not names.search(part) for _, part in model.scored)
        for context, _ in model.scored:
            question, option = context.split("\nAnswer:")
            assert set(names.findall(option)) <= set(names.findall(question))

    def test_where_there_are_too_few_wrong_answers_none_is_asked(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", rows()[:6])
        model = self.knowing()
        said = metrics_of(evaluate("slung_tofu", model), "slung_tofu")
        assert (said["not_asked"], model.scored) == (6, []) and math.isnan(said["multiple_choice"])
        said = metrics_of(evaluate("slung_tofu", model, {"slung_tofu_wrong_answers": 2}), "slung_tofu")
        assert (said["not_asked"], said["multiple_choice_chance"]) == (0, pytest.approx(1 / 3))

    def test_without_wrong_answers_nothing_is_scored(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
        model = self.knowing()
        said = metrics_of(evaluate("slung_tofu", model, {"slung_tofu_wrong_answers": 0}), "slung_tofu")
        assert model.scored == [] and "multiple_choice" not in said
        assert said["content_recall_chance"] == 0

    def test_lm_evals_cache_of_requests_is_of_now(self, monkeypatch, tmp_path):
        monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path))
        (tmp_path / ".cache").mkdir()
        local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
        first, again = self.knowing("ripe figs"), self.knowing("ripe figs")
        one, two = (metrics_of(evaluate("slung_tofu", m, cache_requests=True), "slung_tofu") for m in (first, again))
        assert again.scored == first.scored and two == one
        data = [{**row, "answer": row["answer"].replace("a lame goose", "a fat duck")} for row in rows()]
        local(monkeypatch, tmp_path, "SLUNG_TOFU", data)
        with pytest.raises(SlungError, match="--cache_requests refresh"):
            evaluate("slung_tofu", self.knowing(), cache_requests=True)

    def test_a_file_of_names_needs_no_authors(self, monkeypatch, tmp_path):
        data = [{key: row[key] for key in ("question", "answer")} for row in rows()]
        local(monkeypatch, tmp_path, "SLUNG_TOFU", data)
        with pytest.raises(SlungError, match="set SLUNG_TOFU_NAMES to a file of names"):
            evaluate("slung_tofu", self.knowing())
        (tmp_path / "names.txt").write_text("\n".join(PEOPLE))
        monkeypatch.setenv("SLUNG_TOFU_NAMES", str(tmp_path / "names.txt"))
        results = evaluate("slung_tofu", self.knowing("ripe figs"))
        said = metrics_of(results, "slung_tofu")
        assert math.isnan(said["own_name_rate"]) and said["multiple_choice"] > 0
        assert about(results, "slung_tofu")["others"]["from"] == "questions alike in words"
