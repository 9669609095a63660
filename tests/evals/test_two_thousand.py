"""Two thousand items through Perspective and through a judge, whose service fails for a tenth of them."""

import math

import pytest
from helpers.served import KEY, Reply, chat, perspective, serve

from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.evals.services.judge_kinds import open_judge
from axolotl_slung.evals.services.scorers import open_scorer

NUMBER = 2000


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)
    monkeypatch.setattr("axolotl_slung.evals.services.remote.BACK_OFF", 0.005)
    with serve() as served:
        yield served


def failing(good):
    """A twentieth fails at first, in five ways that pass; another twentieth is refused for good."""
    passing = [
        Reply({}, 500), Reply({}, 429, {"Retry-After": "0"}), Reply(b"not JSON"), Reply({"other": 1}), Reply(None)
    ]  # fmt: skip

    def answer(text, nth):
        number = int(text.split("item ")[1].split()[0])
        if number % 20 == 0:
            return Reply({}, 400)
        if number % 20 == 1 and nth == 1:
            return passing[number // 20 % 5]
        return good(number, text)

    return answer


def test_perspective(service, tmp_path):
    service.answer = failing(lambda number, text: perspective(number / NUMBER))
    texts = [f"item {number} here" for number in range(NUMBER)]

    def score():
        scorer = open_scorer(
            "perspective", url=service.url, concurrency=16, per_second=1e6, cache=AnswerCache(tmp_path / "c")
        )
        return scorer, scorer.score(texts)

    scorer, scores = score()
    for number, value in enumerate(scores):
        assert math.isnan(value) if number % 20 == 0 else value == number / NUMBER
    assert scorer.failures == {"http 400": NUMBER // 20}
    # again, with what is on disk: only the refused ones are asked for again
    before = service.asked.copy()
    again, same = score()
    assert same.tolist() == pytest.approx(scores.tolist(), nan_ok=True)
    assert again.failures == scorer.failures
    assert {text for text in texts if service.asked[text] > before[text]} == {
        text for n, text in enumerate(texts) if n % 20 == 0
    }


def test_judge(service, tmp_path):
    def good(number, text):
        yes = number % 3 == 0
        return chat(("yes" if yes else "no") if "yes or no" in text else ("Correct." if yes else "incorrect"))

    service.answer = failing(good)
    questions = [f"item {number} is what?" for number in range(NUMBER // 2)]
    answers = completions = ["it is"] * len(questions)

    def judge():
        asked = open_judge("openai:judge-1", url=service.url, concurrency=16, cache=AnswerCache(tmp_path / "c"))
        return asked, asked.judge(questions, answers, completions)

    asked, verdicts = judge()
    for number, verdict in enumerate(verdicts):
        if number % 20 == 0:
            assert math.isnan(verdict.correct) and math.isnan(verdict.partially_correct) and verdict.failed == 2
        else:
            assert verdict == (float(number % 3 == 0), float(number % 3 == 0), 0, 0)
    assert asked.failures == {"http 400": NUMBER // 20}
    before = service.asked.copy()
    judge()
    assert all("item " in text and int(text.split("item ")[1].split()[0]) % 20 == 0 for text in service.asked - before)
    assert len(service.asked) == NUMBER
