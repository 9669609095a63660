import email.utils
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter

import pytest
from helpers.asking import TEXTS, ask, service
from helpers.served import KEY, Reply, moderation

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.services import remote
from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.evals.services.remote import NOT_ASKED, ask_all
from axolotl_slung.evals.services.service import Refused

pytestmark = pytest.mark.usefixtures("quick")


# ------------------------------------------------------------------------------------------------------------- failures


def test_two_thousand_of_which_a_tenth_fails_at_first(served, cache, capfd):
    texts = [f"text {i}" for i in range(2000)]
    # what a text gets at first; later on all is well
    mishaps = {
        0: Reply({}, 500),
        10: Reply({}, 429, {"Retry-After": "0"}),
        20: Reply(None),
        30: Reply(b"<html>busy</html>"),
        40: Reply({"results": []}),
        50: Reply({}, 408),
    }

    def answer(text, nth):
        number = int(text.split()[1])
        return mishaps[number % 60] if nth == 1 and number % 10 == 0 else moderation(number / 4000)

    served.answer = answer
    answers = ask(served, texts, cache)
    assert answers.values == [i / 4000 for i in range(2000)]
    assert not answers.failures
    assert served.asked == {text: 2 if i % 10 == 0 else 1 for i, text in enumerate(texts)}
    assert "2000/2000" in capfd.readouterr().err
    # started again with the same cache: nothing is asked again
    before = served.asked.total()
    again = ask(served, texts, AnswerCache(cache.path))
    assert again == answers and served.asked.total() == before


@pytest.mark.parametrize(
    ("reply", "reason", "asked"),
    [
        (Reply({}, 500), "http 500", remote.ATTEMPTS),
        (Reply({}, 503), "http 503", remote.ATTEMPTS),
        (Reply({}, 429), "http 429", remote.ATTEMPTS),
        (Reply({}, 408), "http 408", remote.ATTEMPTS),
        (Reply({}, 409), "http 409", remote.ATTEMPTS),
        (Reply({}, 425), "http 425", remote.ATTEMPTS),
        (Reply(None), "connection", remote.ATTEMPTS),
        (moderation(0.5)._replace(delay=1.0), "timeout", remote.ATTEMPTS),
        (Reply(b"not json"), "garbage", remote.ATTEMPTS),
        (Reply(b"\xff\xfe{}"), "garbage", remote.ATTEMPTS),
        (Reply(b"[" * 100_000), "garbage", remote.ATTEMPTS),
        (Reply(b"x", headers={"Content-Encoding": "gzip"}), "garbage", remote.ATTEMPTS),
        (Reply([]), "garbage", remote.ATTEMPTS),
        (Reply({"results": None}), "garbage", remote.ATTEMPTS),
        (Reply({"results": [{"category_scores": {}}]}), "garbage", remote.ATTEMPTS),
        (Reply({}, 400), "http 400", 1),
        (Reply({}, 404), "http 404", 1),
        (Reply({}, 302, {"Location": "/elsewhere"}), "http 302", 1),
    ],
)
def test_a_failure_is_counted_and_asked_for_again_if_that_makes_sense(served, cache, monkeypatch, reply, reason, asked):
    monkeypatch.setattr("axolotl_slung.evals.services.service.TIMEOUT", 0.1)
    served.answer = lambda text, nth: reply if text == TEXTS[1] else moderation(0.5)
    answers = ask(served, [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[1]], cache)
    assert answers.values == [0.5, None, 0.5, None]
    # one a place, though equal texts are asked about once
    assert answers.failures == {reason: 2}
    assert served.asked[TEXTS[1]] == asked
    # the failure is not kept: next time it is asked again
    served.answer = lambda text, nth: moderation(0.75)
    assert ask(served, TEXTS[:2], cache).values == [0.5, 0.75]


def test_nobody_is_there(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = type("Nobody", (), {"url": f"http://127.0.0.1:{unused.getsockname()[1]}"})
        answers = ask(nobody, TEXTS, cache)
    assert answers.values == [None] * len(TEXTS)
    assert answers.failures == {"connection": len(TEXTS)}


def test_a_service_that_always_fails_is_given_up(served, cache, caplog):
    served.answer = lambda text, nth: Reply({}, 404)
    answers = ask(served, [f"text {i}" for i in range(1000)], cache)
    assert answers.values == [None] * 1000
    assert answers.failures.total() == 1000 and set(answers.failures) == {"http 404", NOT_ASKED}
    assert remote.GIVE_UP <= served.asked.total() < remote.GIVE_UP + 100
    assert "no more requests are sent" in caplog.text


def test_failures_between_answers_are_no_reason_to_give_up(served, cache):
    served.answer = lambda text, nth: moderation(0.5) if int(text.split()[1]) % 10 == 0 else Reply({}, 404)
    answers = ask(served, [f"text {i}" for i in range(1000)], cache, concurrency=2)
    assert answers.failures == {"http 404": 900} and answers.values.count(0.5) == 100


# ---------------------------------------------------------------------------------------------------------------- waits


@pytest.mark.parametrize("date", [False, True])
def test_the_wait_that_a_service_wants(served, cache, date):
    # dates are in whole seconds: one of two seconds ahead is more than one second ahead
    wanted = email.utils.formatdate(time.time() + 2, usegmt=True) if date else "1"
    served.answer = lambda text, nth: (
        Reply({}, 429, {"Retry-After": wanted}) if text == TEXTS[0] and nth == 1 else moderation(0.5)
    )
    answers = ask(served, TEXTS, cache, concurrency=1)
    assert not answers.failures and served.asked[TEXTS[0]] == 2
    assert served.times[1] - served.times[0] >= 0.9


def test_one_threads_wait_is_all_threads_wait(served, cache):
    refused = []

    def answer(text, nth):
        if not refused:
            refused.append(time.monotonic())
            return Reply({}, 429, {"Retry-After": "1"})
        return moderation(0.5)._replace(delay=0.05)

    served.answer = answer
    assert not ask(served, TEXTS, cache, concurrency=4).failures
    # those that were on their way already arrive; each of the four may have begun one more
    assert sum(refused[0] + 0.3 < when < refused[0] + 0.9 for when in served.times) == 0
    assert len(served.times) == len(TEXTS) + 1


@pytest.mark.parametrize(
    "value", ["1e9", "-5", "nonsense", "", "²", "nan", "Mon, 99 Foo", "Mon, 01 Jan 1990 00:00:00 GMT"]
)
def test_a_senseless_wait_is_ignored(served, cache, value):
    served.answer = lambda text, nth: (
        Reply({}, 503, {"Retry-After": value.encode().decode("latin-1")}) if nth == 1 else moderation(0.5)
    )
    start = time.monotonic()
    assert ask(served, TEXTS[:3], cache).values == [0.5] * 3
    assert time.monotonic() - start < 5


def test_no_wait_is_longer_than_the_longest(served, cache, monkeypatch):
    monkeypatch.setattr(remote, "LONGEST_WAIT", 0.2)
    served.answer = lambda text, nth: Reply({}, 503, {"Retry-After": "9" * 400}) if nth == 1 else moderation(0.5)
    assert ask(served, TEXTS[:1], cache).values == [0.5]
    assert served.times[1] - served.times[0] >= 0.15


def test_waits_grow(served, cache, monkeypatch):
    monkeypatch.setattr(remote, "BACK_OFF", 0.04)
    served.answer = lambda text, nth: Reply({}, 500)
    ask(served, TEXTS[:1], cache)
    gaps = [b - a for a, b in zip(served.times, served.times[1:])]
    assert all(gap >= 0.02 * 2**i for i, gap in enumerate(gaps)) and len(gaps) == remote.ATTEMPTS - 1


def test_the_rate_holds_for_retries_and_over_several_calls(served, cache):
    served.answer = lambda text, nth: Reply({}, 500) if nth == 1 and text == TEXTS[3] else moderation(0.5)
    for first in range(0, 30, 3):
        ask(served, TEXTS[first : first + 3], cache, per_second=20)
    assert len(served.times) == 31
    # a request or two may be late and meet the next ones
    assert served.fullest_second() <= 23
    unlimited = [f"more {i}" for i in range(200)]
    before = len(served.times)
    ask(served, unlimited, cache)
    assert len(served.times) == before + 200 and served.fullest_second() > 40


def test_no_more_at_once_than_was_said(served, cache):
    lock, inside, most = threading.Lock(), Counter(), Counter()

    def answer(text, nth):
        with lock:
            inside["now"] += 1
            most["now"] = max(most["now"], inside["now"])
        time.sleep(0.01)
        with lock:
            inside["now"] -= 1
        return moderation(0.5)

    served.answer = answer
    ask(served, TEXTS, cache, concurrency=3)
    assert most["now"] == 3


# ----------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "reply", [Reply({}, 401), Reply({}, 403), Reply({"details": [{"reason": "API_KEY_INVALID"}]}, 400)]
)
def test_a_wrong_key_stops_everything(served, cache, caplog, capfd, reply):
    caplog.set_level(logging.DEBUG)
    served.answer = lambda text, nth: reply._replace(body={**reply.body, "you": [text, KEY]})
    many = [f"another secretive text {i}" for i in range(500)]
    with pytest.raises(
        SlungError, match=r"^SLUNG_SCORER='x': 127.0.0.1 .* \(HTTP 40[013]\); .* OPENAI_API_KEY"
    ) as error:
        ask(served, many, cache)
    assert served.asked.total() <= 8
    told = [str(error.value), repr(error.value), caplog.text, capfd.readouterr().err]
    told += traceback.format_exception(error.value)
    link = error.value
    while link := link.__context__ or link.__cause__:
        told.append(repr(vars(link)) + str(link))
    assert not any(KEY in line or "secretive" in line for line in told)
    # nor in a frame of a thread that asked: some loggers show the variables of frames
    assert "post" not in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]


def test_a_missing_key_where_one_is_wanted_after_all(served, cache, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    served.answer = lambda text, nth: Reply({}, 401)
    with pytest.raises(SlungError, match=r"127.0.0.1 requires a key \(HTTP 401\); set OPENAI_API_KEY"):
        ask(served, TEXTS[:1], cache, required=False)
    assert "Authorization" not in served.headers[0]


def test_nothing_that_is_sent_is_logged(served, cache, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    served.answer = lambda text, nth: [Reply({}, 500), Reply(None), Reply(b"?"), moderation(0.5)][min(nth, 4) - 1]
    ask(served, TEXTS, cache)
    assert served.headers[0]["Authorization"] == f"Bearer {KEY}" and all("?" not in path for path in served.paths)
    assert not [record for record in caplog.records if record.name.startswith("http")]
    assert KEY not in (told := caplog.text + capfd.readouterr().err) and "secretive" not in told
    # others' use of httpx in this process goes on being logged
    import httpx

    httpx.post(served.url, json={"input": "mine"})
    assert [record.name for record in caplog.records if record.name == "httpx"]


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "naïve", "tab\t."])
def test_a_key_that_is_none(served, monkeypatch, secret):
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    with pytest.raises(SlungError, match="OPENAI_API_KEY has characters that no key contains") as error:
        service(served)
    assert secret not in str(error.value)


@pytest.mark.parametrize("secret", [None, "", "  \n"])
def test_no_key(served, monkeypatch, secret):
    monkeypatch.delenv("OPENAI_API_KEY") if secret is None else monkeypatch.setenv("OPENAI_API_KEY", secret)
    with pytest.raises(SlungError, match="no key found; set the environment variable OPENAI_API_KEY"):
        service(served)
    service(served, required=False)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/v1", r"expected an http\(s\) address"),
        ("localhost:8000", r"expected an http\(s\) address"),
        ("", r"expected an http\(s\) address"),
        ("http://", r"expected an http\(s\) address"),
        ("http://[::1", r"expected an http\(s\) address"),
        ("http://host:port/v1", r"expected an http\(s\) address"),
        ("http://me:hidden@host/v1", "has a user, a password or a query; remove it"),
        ("http://host/v1?key=hidden", "has a user, a password or a query; remove it"),
    ],
)
def test_an_address_that_is_none(url, says):
    with pytest.raises(SlungError, match=says) as error:
        service(type("There", (), {"url": url}))
    assert "hidden" not in str(error.value)


def test_a_fault_of_ours_ends_the_run_and_quotes_nothing(cache):
    def faulty(request):
        raise KeyError(request[1])

    with pytest.raises(RuntimeError, match=r"^KeyError at .*test_remote.py:\d+ while asking") as error:
        ask_all([("a", text) for text in TEXTS], faulty, cache, concurrency=4, per_second=None, what="faulty")
    assert "secretive" not in "".join(traceback.format_exception(error.value))


# -------------------------------------------------------------------------------------------------- kills and interrupts

SCRIPT = """
import sys
from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.evals.services.scorers import open_scorer
url, path = sys.argv[1:]
scorer = open_scorer("moderation", url=url, cache=AnswerCache(path), concurrency=4)
scores = scorer.score([f"text {i}" for i in range(400)])
print(scores.sum(), sum(scorer.failures.values()))
"""


def start(served, path):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, served.url, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until(served, count):
    end = time.monotonic() + 60
    while served.asked.total() < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_killed_run_asks_nothing_twice(served, cache):
    served.answer = lambda text, nth: moderation(0.25)._replace(delay=0.01)
    first = start(served, cache.path)
    until(served, 150)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    time.sleep(0.1)
    known = served.asked.total()
    assert 150 <= known < 400
    second = start(served, cache.path)
    out, err = second.communicate(timeout=60)
    assert out.split() == ["100.0", "0"], err
    # what four threads had asked when they were killed, the answer to which nobody took
    assert sum(count > 1 for count in served.asked.values()) <= 4
    assert len(served.asked) == 400 and max(served.asked.values()) <= 2
    third = start(served, cache.path)
    before = served.asked.total()
    assert third.communicate(timeout=60)[0].split() == ["100.0", "0"]
    assert served.asked.total() == before


def test_an_interrupt_stops_at_once(served, cache):
    served.answer = lambda text, nth: moderation(0.25)._replace(delay=0.01 if int(text.split()[1]) < 50 else 30)
    run = start(served, cache.path)
    until(served, 54)
    time.sleep(0.2)
    interrupted = time.monotonic()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=20)
    assert time.monotonic() - interrupted < 5
    assert run.returncode != 0 and "KeyboardInterrupt" in err and "text 1" not in err
    count = sqlite3.connect(cache.path).execute("SELECT count(*) FROM answers").fetchone()[0]
    assert count == 50


def test_a_refusal_says_its_reason():
    assert str(Refused("http 500")) == "http 500"
