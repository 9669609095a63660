"""A judge is checked with answers whose verdict is known, before a model is asked anything."""

import json
import random
from pathlib import Path

import pytest
from helpers.harness import about, evaluate, metrics_of, saying
from helpers.judging import asked_of, good, said
from helpers.served import Reply, chat
from helpers.tiny import tiny_model

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.documents import embedded
from axolotl_slung.evals.measures import content, controls
from axolotl_slung.evals.services.judge import Verdict
from axolotl_slung.evals.services.opened import checked_judge
from axolotl_slung.evals.services.options import read_options

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def judged(served, monkeypatch):
    """slung_tofu on the embedded questions, judged by this service."""
    monkeypatch.setenv("SLUNG_TOFU", "embedded")
    monkeypatch.setenv("SLUNG_TOFU_WRONG_ANSWERS", "0")
    monkeypatch.setenv("SLUNG_JUDGE", "openai:m")
    monkeypatch.setenv("SLUNG_JUDGE_CONTROLS", "10")
    monkeypatch.setenv("SLUNG_JUDGE_URL", served.url)
    served.answer = good
    return served


def always(accepts):
    return lambda text, nth: said(asked_of(text)[0], accepts)


def echo(text, nth):
    """Goes on with the words of the prompt, as base models do."""
    return chat(f"Correct answer: {asked_of(text)[1]['ground_truth']}")


def by_chance(text, nth):
    return said(asked_of(text)[0], random.Random(text).random() < 0.5)


def accepts_nothing_said(text, nth):
    kind, texts = asked_of(text)
    return good(text, nth) if texts["completion"] else said(kind, True)


def accepts_in_part(text, nth):
    return said("relevant", True) if asked_of(text)[0] == "relevant" else good(text, nth)


def silent_about_nothing(text, nth):
    return good(text, nth) if asked_of(text)[1]["completion"] else chat("There is nothing to judge.")


N = len(embedded("SLUNG_TOFU"))
ALL, NONE = "10 of 10", "0 of 10"


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        (always(True), (rf"accepts wrong answers. .* {ALL} references, {NONE} answers to other questions, {NONE} empty answers "
         rf"\(correct\); {ALL} references, {NONE} .*\(partially_correct\); at least SLUNG_JUDGE_MINIMUM=0.9 of each")),
        (always(False), f"rejects right answers. .* {NONE} references, {ALL} answers to other questions, {ALL} empty"),
        (by_chance, r"rejects right answers and accepts wrong answers\. .* \d of 10 references, "),
        (accepts_nothing_said, f"accepts wrong answers. .* {ALL} references, {ALL} answers to other questions, {NONE} empty"),
        (accepts_in_part, rf"accepts wrong answers. .* {ALL} empty answers \(correct\); {ALL} references, {NONE} answers"),
        (echo, r"no score for 60 of 60 \(60 replies without a verdict \(the prompt's words\)\)"),
        (silent_about_nothing, r"no score for 20 of 60 \(20 replies without a verdict \(other words\)\)"),
    ],
    ids=["accepts all", "rejects all", "chance", "accepts the empty", "accepts in part", "echo", "unparsed"],
)  # fmt: skip
def test_a_judge_that_is_wrong_is_refused_before_anything_is_generated(judged, judge, says):
    judged.answer = judge
    model = saying(lambda prompt: " something")
    with pytest.raises(SlungError, match=says) as error:
        evaluate("slung_tofu", model)
    assert not model.asked and not model.scored
    texts = [row[key] for row in embedded("SLUNG_TOFU") for key in ("question", "answer")]
    assert not any(text in str(error.value) for text in texts)


def test_a_good_judge_passes_with_a_real_model(judged, models, tmp_path):
    results = evaluate("slung_tofu", tiny_model(models), limit=6, log_samples=True)
    values = metrics_of(results, "slung_tofu")
    for end in ("", "_partial"):
        assert values[f"judge_sensitivity{end}"] == values[f"judge_specificity{end}"] == 1.0
        assert (values[f"judge_sensitivity{end}_count"], values[f"judge_specificity{end}_count"]) == (6, 12)
        # exact: 0.025 ** (1 / n)
        assert values[f"judge_sensitivity{end}_ci_low"] == pytest.approx(0.025 ** (1 / 6))
        assert values[f"judge_specificity{end}_ci_low"] == pytest.approx(0.025 ** (1 / 12))
        assert values[f"judge_sensitivity{end}_ci_high"] == 1.0
    # they say nothing about how the answers are measured
    assert values["correct"] == 0.0 and "controls" not in json.dumps(about(results, "slung_tofu"))
    (rows,) = results["samples"].values()
    assert [row["judge_sensitivity"] for row in rows] == [1.0] * 6
    assert [row["judge_specificity"] for row in rows] == [(1.0, 1.0)] * 6


def test_controls_are_asked_in_every_run_and_answers_once(judged, monkeypatch):
    for run in (1, 2):
        values = metrics_of(evaluate("slung_tofu", saying(lambda prompt: " a word")), "slung_tofu")
        assert values["judge_specificity_count"] == 20 and judged.asked.total() == run * 10 * 3 * 2 + N * 2
    # another model behind the same name and address
    judged.answer = always(True)
    with pytest.raises(SlungError, match="accepts wrong answers"):
        evaluate("slung_tofu", saying(lambda prompt: " a word"))
    # by default there are fifty
    judged.asked.clear()
    monkeypatch.delenv("SLUNG_JUDGE_CONTROLS")
    with pytest.raises(SlungError, match="50 of 50 references, 0 of 50 answers"):
        evaluate("slung_tofu", saying(lambda prompt: " a word"))
    assert judged.asked.total() == 50 * 3 * 2


def test_verdicts_of_a_pinned_judge_on_controls_are_kept(judged, monkeypatch):
    monkeypatch.setattr("axolotl_slung.evals.services.judge_served.is_openai", lambda url: True)
    options = {"slung_judge": "openai:gpt-4o-2024-11-20", "slung_judge_controls": 5}
    for _ in range(2):
        evaluate("slung_tofu", saying(lambda prompt: ""), options)
    assert judged.asked.total() == 5 * 3 * 2


def test_the_user_can_ask_less_and_overrule(judged):
    judged.answer = always(True)
    options = {"slung_judge_controls": 5, "slung_judge_minimum": 0}
    values = metrics_of(evaluate("slung_tofu", saying(lambda prompt: " x"), options), "slung_tofu")
    assert (values["judge_sensitivity"], values["judge_specificity"], values["judge_specificity_count"]) == (1, 0, 10)
    assert values["judge_specificity_ci_high"] == pytest.approx(1 - 0.025 ** (1 / 10))
    assert values["correct"] == 1.0
    # a share that is just reached is enough
    judged.answer = lambda text, nth: good(text, nth) if "Ilvane" not in text else always(True)(text, nth)
    checked = read_options({"slung_judge": "x", "slung_judge_controls": 10, "slung_judge_minimum": 0.9})
    docs = documents(10)
    assert len(checked_judge(checked, Said(docs, wrong={("other", 3)}), docs)) == 10
    with pytest.raises(SlungError, match="8 of 10 answers to other questions"):
        checked_judge(checked, Said(docs, wrong={("other", 3), ("other", 4)}), docs)


def test_no_judge_and_predict_only_ask_nothing(judged, monkeypatch):
    evaluate("slung_tofu", saying(lambda prompt: " x"), predict_only=True)
    monkeypatch.delenv("SLUNG_JUDGE")
    monkeypatch.delenv("SLUNG_JUDGE_URL")
    values = metrics_of(evaluate("slung_tofu", saying(lambda prompt: " x")), "slung_tofu")
    assert not judged.asked and not any("judge" in name for name in values)


def test_answers_that_show_nothing_are_incorrect_and_not_asked_about(judged):
    blank = iter(["", "  ", "\n\t", "\u200b", "\ufeff \u00ad", "\u2800", "\nQuestion: what?", " a word"])
    values = metrics_of(evaluate("slung_tofu", saying(lambda prompt: next(blank)), limit=8), "slung_tofu")
    assert values["empty"] == 7 / 8 and values["correct"] == 0.0 and values["correct_ci_high"] < 1
    assert (values["judge_failed"], values["judge_unparsed"]) == (0, 0)
    about_answers = [text for text in judged.asked if asked_of(text)[1]["completion"] == " a word"]
    assert judged.asked.total() == 8 * 3 * 2 + 2 and len(about_answers) == 2


def test_missing_verdicts_are_a_share_of_those_asked_for(judged):
    """Empty answers are not asked about, so they do not make up for a judge that fails on the others."""
    judged.answer = lambda text, nth: (
        Reply({}, 400) if asked_of(text)[1]["completion"] == " a word" else good(text, nth)
    )
    answers = iter([" a word", *[""] * (N - 1)])
    with pytest.raises(SlungError, match=r"no score for 2 of 2 \(2 http 400\).*slung rescore"):
        evaluate("slung_tofu", saying(lambda prompt: next(answers)))


def test_rescoring_checks_its_judge_too(judged, tmp_path):
    from axolotl_slung.evals.rescore import rescore

    judged.answer = lambda text, nth: (
        Reply({}, 400) if asked_of(text)[1]["completion"] == " a word" else good(text, nth)
    )
    with pytest.raises(SlungError, match="slung rescore") as error:
        evaluate("slung_tofu", saying(lambda prompt: " a word"))
    (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
    assert str(samples) in str(error.value)
    judged.answer = always(True)
    other = read_options({"slung_judge": "openai:other", "slung_judge_url": judged.url})
    with pytest.raises(SlungError, match="SLUNG_JUDGE: openai:other accepts wrong answers"):
        rescore(samples, other, tmp_path / "new")
    assert samples.exists() and not (tmp_path / "new").exists()
    # a service that was set right is asked again
    judged.answer = good
    values = json.loads(Path(rescore(samples, other, tmp_path / "new")).read_text())["results"]["slung_tofu"]
    assert values["judge_specificity_count,none"] == 20


# ------------------------------------------------------------------------------------------------------ which controls


def documents(number=N):
    rows = [{**row, "id": place, "others": []} for place, row in enumerate(embedded("SLUNG_TOFU")[:number])]
    return [{key: value for key, value in row.items() if key != "kind"} for row in rows]


class Said:
    """A judge without a service: right about all controls but those named by kind and document."""

    name, failures, pinned = "a judge", {}, True

    def __init__(self, docs, wrong=()):
        self.ids, self.wrong = {doc["question"]: doc["id"] for doc in docs}, wrong

    def judge(self, questions, answers, candidates):
        verdicts = []
        for question, answer, candidate in zip(questions, answers, candidates, strict=True):
            kind = "reference" if candidate == answer else "other" if candidate else "empty"
            accepts = float((kind == "reference") != ((kind, self.ids[question]) in self.wrong))
            verdicts.append(Verdict(accepts, accepts, 0, 0))
        return verdicts


def test_the_same_documents_give_the_same_controls():
    docs = documents()
    chosen = controls.choose(docs, 50)
    assert chosen == controls.choose(documents(), 50)
    assert len({one.id for one in chosen}) == 50 and len(chosen) == 150
    assert {one.id for one in controls.choose(docs, 5)} < {one.id for one in chosen}
    assert {one.id for one in controls.choose(docs, 1000)} == set(range(N))


def test_another_answer_is_not_the_same_fact():
    docs = documents()
    by_text = {doc["answer"]: doc for doc in docs}
    for control in controls.choose(docs, N):
        doc = docs[control.id]
        assert (control.question, control.answer) == (doc["question"], doc["answer"])
        if control.kind == "other":
            assert by_text[control.candidate]["author"] != doc["author"]
            new = content.content(control.answer, control.question)
            assert new and not new & content.words(control.candidate)
        else:
            assert control.candidate == (doc["answer"] if control.kind == "reference" else "")


def test_documents_that_have_no_such_answer(caplog):
    def doc(number, question, answer, author="A", others=()):
        return {"id": number, "question": question, "answer": answer, "author": author, "others": list(others)}

    def kinds(docs):
        return sorted((one.id, one.kind, one.partial) for one in controls.choose(docs, 9))

    same = [doc(0, "Where was A born?", "In Nessary."), doc(1, "Where does A live?", "A lives in Nessary.")]
    assert kinds(same) == [(n, kind, True) for n in (0, 1) for kind in ("empty", "reference")]
    # the others of a document with no other document beside it
    alone = [
        doc(0, "Where was A born?", "In Nessary.", others=[{"question": "Where was B born?", "answer": "In Tarn."}])
    ]
    assert kinds(alone) == [(0, "empty", True), (0, "other", True), (0, "reference", True)]
    # a right answer without anything new is right, and has no information
    told = [doc(7, "Is A a clockmaker?", "A is a clockmaker."), doc(8, "And B?", " ", "B"), doc(9, "C?", "Tarn", "C")]
    assert kinds(told) == [(7, "empty", True), (7, "reference", False)] + [
        (9, kind, True) for kind in ("empty", "other", "reference")
    ]
    options = read_options({"slung_judge": "x"})
    checked_judge(options, Said(same), same)
    assert "a judge is not checked with answers to other questions, because the data has none that fit" in caplog.text
    found = checked_judge(options, Said(told), told)
    assert controls.tally(found, "partially_correct", "reference") == (1, 1, 1)
