"""Judges at a service: what is sent, kept and counted."""

import json
import logging
import math
import sqlite3
import traceback
from functools import partial

import pytest
from helpers.judging import HOSTILE, same
from helpers.served import KEY, Reply, chat

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.services import judge as judges
from axolotl_slung.evals.services import judge_served
from axolotl_slung.evals.services.judge import CORRECT, PARTIALLY_CORRECT, fill
from axolotl_slung.evals.services.judge_kinds import open_judge

NAN = math.nan
pytestmark = pytest.mark.usefixtures("quick")


def by_words(text, nth):
    """A judge that finds the correct answer's words in the candidate response, or does not."""
    answer = text.partition("Correct answer: ")[2].partition(" Candidate response: ")[0]
    said = text.partition(" Candidate response: ")[2]
    if "either correct or incorrect" in text:
        return chat("**Correct.** It has" if answer in said else "Incorrect, as")
    return chat("yes" if answer.split()[0] in said else " No, ")


def test_verdicts(served):
    judge = open_judge("openai:some-model", url=served.url + "/v1", concurrency=4)
    served.answer = by_words
    questions = ["Who?", "Where?", "When?", "Who?"]
    verdicts = judge.judge(
        questions, ["Jo March", "At home", "At noon", "Jo March"], ["Jo March", "At sea", "Never", "Jo March"]
    )
    assert same(verdicts, [(1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)])
    assert served.asked.total() == 6
    assert set(served.paths) == {"/v1/chat/completions"} and served.headers[0]["Authorization"] == f"Bearer {KEY}"
    body = next(body for body in served.bodies if "noon" in str(body) and "yes or no" in str(body))
    assert body == {
        "model": "some-model",
        "messages": [{"role": "user", "content": fill(PARTIALLY_CORRECT, "When?", "At noon", "Never")}],
        "temperature": 0,
        "seed": 0,
        "max_tokens": judges.REPLY_TOKENS,
    }
    assert (judge.name, judge.version, judge.served) == ("openai:some-model", served.url + "/v1", "served-model-1")
    assert not judge.failures and judge.judge([], [], []) == []
    with pytest.raises(ValueError, match="zip"):
        judge.judge(questions, questions, questions[:3])


def test_verdicts_are_kept_by_prompt_model_and_address_and_texts_are_not(served, tmp_path):
    served.answer = lambda text, nth: chat(
        f"Correct. The text was: {text}" if "incorrect" in text else "no. Unmentionable"
    )
    items = [["unmentionable question"], ["an answer"], ["some completion"]]
    opened = partial(open_judge, url=served.url)
    assert same(opened("openai:a").judge(*items), [(1, 0, 0, 0)])
    again = opened("openai:a")
    assert same(again.judge(*items), [(1, 0, 0, 0)]) and again.served == "served-model-1" and served.asked.total() == 2
    opened("openai:b").judge(*items)
    opened("openai:a", url=served.url + "/v2").judge(*items)
    assert served.asked.total() == 6
    (path,) = (tmp_path / "cache" / "answers").glob("*.sqlite")
    stored = sqlite3.connect(path).execute("SELECT answer FROM answers").fetchall()
    assert {json.loads(answer)["word"] for (answer,) in stored} == {"correct", "no"}
    assert b"unmentionable" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_what_failed_and_what_was_no_verdict(served):
    replies = {
        "a": [chat("correct"), chat("yes")],
        "b": [chat("I cannot say."), chat("no")],
        "c": [Reply({}, 500), chat("yes")],
        "d": [Reply({}, 400), chat("maybe")],
        "e": [Reply({"choices": []}), Reply(None)],
        "f": [chat("yes"), chat("correct")],
        "g": [chat(None), chat([{"type": "text"}])],
        "h": [chat(""), Reply(b"<html>")],
    }
    served.answer = lambda text, nth: replies[text[-9]]["yes or no" in text]
    judge = open_judge("openai:m", url=served.url)
    n = len(replies)
    verdicts = judge.judge(["q"] * n, ["t"] * n, list(replies))
    expected = [
        (1, 1, 0, 0),
        (NAN, 0, 0, 1),
        (NAN, 1, 1, 0),
        (NAN, NAN, 1, 1),
        (NAN, NAN, 2, 0),
        (NAN, NAN, 0, 2),
        (NAN, NAN, 1, 1),
        (NAN, NAN, 1, 1),
    ]
    assert same(verdicts, expected)
    assert judge.failures == {
        "http 500": 1,
        "http 400": 1,
        "garbage": 3,
        "connection": 1,
        "replies without a verdict (empty)": 2,
        "replies without a verdict (other words)": 4,
    }


def test_a_service_that_was_set_right_is_asked_again(served):
    served.answer = lambda text, nth: chat("Hmm, let me see.")
    assert open_judge("openai:m", url=served.url).judge(["q"], ["a"], ["c"])[0].unparsed == 2
    served.answer = lambda text, nth: chat("Correct" if "or incorrect" in text else "yes")
    assert same(open_judge("openai:m", url=served.url).judge(["q"], ["a"], ["c"]), [(1, 1, 0, 0)])


def thinking(text, body):
    """A model that thinks for longer than 16 tokens, in its reply or beside it."""
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    word = "Incorrect." if "or incorrect" in text else "No."
    content = f"<think>The response is correct, yes.</think>\n\n{word}" if limit > 100 else "<think>The response is"
    reply = chat(content)
    reply.body["choices"][0]["finish_reason"] = "stop" if limit > 100 else "length"
    if "beside" in text:
        reply.body["choices"][0]["message"]["content"] = word if limit > 100 else None
    return reply


@pytest.mark.parametrize("where", ["beside", "in its reply"])
def test_a_judge_that_thinks(served, where):
    served.answer = lambda text, nth: thinking(text, served.bodies[-1])
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    assert same(judge.judge([where, "q"], ["a", "b"], ["c", "d"]), [(0, 0, 0, 0)] * 2)
    assert not judge.failures


def test_a_judge_that_accepts_no_temperature(served):
    refusal = {
        "message": "unmentionable",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "unsupported_value",
    }
    served.answer = lambda text, nth: (
        Reply({"error": refusal}, 400)
        if "temperature" in served.bodies[-1]
        else chat("Correct" if "or incorrect" in text else "yes")
    )
    judge = open_judge("openai:o-model", url=served.url, concurrency=1)
    assert same(judge.judge(["q"], ["a"], ["c"]), [(1, 1, 0, 0)])
    assert judge.served == "served-model-1, temperature not accepted" and served.asked.total() == 3


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        ("seed", {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}}),
        (
            "temperature",
            {"error": {"message": "Unsupported parameter: 'temperature' is not supported.", "param": None}},
        ),
        ("max_tokens", {"error": {"message": "Use 'max_completion_tokens' and not 'max_tokens'", "type": "x"}}),
    ],
)
def test_settings_that_a_service_refuses_are_left_out(served, refused, error):
    def answer(text, nth):
        return (
            Reply(error, 422) if refused in served.bodies[-1] else chat("Correct" if "or incorrect" in text else "yes")
        )

    served.answer = answer
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    assert same(judge.judge(["q"], ["a"], ["c"]), [(1, 1, 0, 0)])
    assert served.asked.total() == 3 and (f"{refused} not accepted" in judge.served) == (refused != "max_tokens")
    settings = {"temperature": 0, "seed": 0, "max_tokens": judges.REPLY_TOKENS}
    if refused == "max_tokens":
        settings["max_completion_tokens"] = settings["max_tokens"]
    assert {key: value for key, value in served.bodies[-1].items() if key not in ("model", "messages")} == {
        key: value for key, value in settings.items() if key != refused
    }


def test_a_service_that_refuses_both_names_of_the_length(served):
    served.answer = lambda text, nth: Reply(
        {"error": {"message": "'max_tokens' or 'max_completion_tokens' is too large"}}, 400
    )
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    assert judge.judge(["q"], ["a"], ["c"])[0].failed == 2 and served.asked.total() == 3


def long(content, body):
    reply = chat(content if body["max_tokens"] > 100 else content[:20])
    reply.body["choices"][0]["finish_reason"] = "stop" if body["max_tokens"] > 100 else "length"
    return reply


def test_a_thought_that_begins_in_the_prompt(served):
    """Without a parser, a service sends such thoughts without their first mark."""
    served.answer = lambda text, nth: long(
        f"Okay, so I need to look at it.</think>{'Correct' if 'or incorrect' in text else 'yes'}", served.bodies[-1]
    )
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    assert same(judge.judge(["q"], ["a"], ["c"]), [(1, 1, 0, 0)]) and served.asked.total() == 3


def test_a_judge_that_only_talks_is_not_asked_at_length_again(served):
    served.answer = lambda text, nth: long("Let me look at the response at length.", served.bodies[-1])
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    assert judge.judge(["q"], ["a"], ["c"])[0].unparsed == 2
    assert [body["max_tokens"] > 100 for body in served.bodies] == [False, True, False]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"object": "error", "message": "unmentionable text", "type": "BadRequestError", "code": 400},
            " BadRequestError",
        ),
        ({"error": {"status": "INVALID_ARGUMENT", "message": "unmentionable text"}}, " INVALID_ARGUMENT"),
        ({"error": "unmentionable text"}, ""),
        ({"detail": "unmentionable text"}, ""),
        (["unmentionable text"], ""),
    ],
)
def test_error_codes_of_other_services(served, body, told):
    served.answer = lambda text, nth: Reply(body, 400)
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    judge.judge(["q"], ["a"], ["c"])
    assert judge.failures == {f"http 400{told}": 2}


def test_the_services_error_code_is_told_and_never_its_message(served):
    error = {
        "message": "unmentionable text",
        "code": "context_length_exceeded",
        "param": "un mentionable",
        "type": None,
    }
    served.answer = lambda text, nth: Reply({"error": error}, 400)
    judge = open_judge("openai:m", url=served.url, concurrency=1)
    many = [f"text {i}" for i in range(40)]
    judge.judge(many, many, many)
    assert judge.failures == {"http 400 context_length_exceeded": 20, "not asked": 60}


def test_hostile_answers_are_data(served):
    # who reads the last word that looks like a verdict is taken in; who answers to the prompt as a whole is not
    served.answer = lambda text, nth: chat("Incorrect" if "or incorrect" in text else "No")
    judge = open_judge("openai:m", url=served.url)
    verdicts = judge.judge(HOSTILE, HOSTILE, HOSTILE)
    assert same(verdicts, [(0, 0, 0, 0)] * len(HOSTILE))
    sent = {body["messages"][0]["content"] for body in served.bodies}
    assert all(len(body["messages"]) == 1 for body in served.bodies)
    assert {fill(prompt, text, text, text) for prompt in (CORRECT, PARTIALLY_CORRECT) for text in HOSTILE} == sent


def test_a_wrong_key(served, caplog):
    caplog.set_level(logging.DEBUG)
    served.answer = lambda text, nth: Reply({"error": text + KEY}, 401)
    judge = open_judge("openai:m", url=served.url)
    many = [f"unmentionable {i}" for i in range(100)]
    with pytest.raises(SlungError, match=r"^SLUNG_JUDGE='openai:m': 127.0.0.1 rejects the key.*SLUNG_API_KEY") as error:
        judge.judge(many, many, many)
    told = caplog.text + "".join(traceback.format_exception(error.value))
    assert KEY not in told and "unmentionable" not in told and served.asked.total() <= 8


@pytest.mark.parametrize(
    "model", ["gpt-4o-2024-11-20", "gpt-4-0613", "gpt-3.5-turbo-0125", "ft:gpt-4o-2024-08-06:me::x"]
)
@pytest.mark.parametrize("url", [None, "https://api.openai.com/v1"])
def test_models_of_openai_with_a_date(model, url):
    assert open_judge(f"openai:{model}", url=url).name == f"openai:{model}"


def test_openai_itself_is_asked_by_its_own_names(served, monkeypatch):
    monkeypatch.setattr(judge_served, "is_openai", lambda url: True)
    open_judge("openai:gpt-4o-2024-11-20", url=served.url).judge(["q"], ["a"], ["c"])
    assert "max_tokens" not in served.bodies[0] and served.bodies[0]["max_completion_tokens"] == judges.REPLY_TOKENS


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4o-latest", "chatgpt-4o-latest", "gpt-5", "o3-mini", "gpt-4o-20241120"]
)
@pytest.mark.parametrize("url", [None, "https://api.openai.com/v1/"])
def test_models_of_openai_without_a_date(model, url, served):
    with pytest.raises(SlungError, match=f"^SLUNG_JUDGE='openai:{model}': .* openai:gpt-4o-2024-11-20$"):
        open_judge(f"openai:{model}", url=url)
    open_judge(f"openai:{model}", url=served.url)


@pytest.mark.parametrize("spec", ["", "openai", "openai:", "hf:", "gpt-4o", "anthropic:x"])
def test_specs_that_are_none(spec):
    with pytest.raises(SlungError) as error:
        open_judge(spec, key="--metadata slung_judge")
    assert str(error.value).startswith(f"--metadata slung_judge={spec!r}: unknown judge; expected openai:MODEL")


def test_a_missing_key(monkeypatch, served):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SlungError, match="no key found; set the environment variable OPENAI_API_KEY"):
        open_judge("openai:gpt-4o-2024-11-20")
    assert open_judge("openai:m", url=served.url).judge(["q"], ["a"], ["c"])[0].failed == 2
