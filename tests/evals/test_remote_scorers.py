"""Perspective and moderation, against a service on this computer."""

import datetime
import logging
import math
import traceback

import numpy as np
import pytest
from helpers.served import KEY, Reply, moderation, perspective

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.services import remote, remote_scorers
from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.evals.services.scorers import open_scorer

pytestmark = pytest.mark.usefixtures("quick")


def test_moderation(served):
    scorer = open_scorer("moderation", url=served.url + "/v1/")
    served.answer = lambda text, nth: moderation(len(text) / 10, model="served-b" if text == "bb" else "served-a")
    texts = ["a", "", "bb", " \n", "\ud800\n{x}", "a"]
    assert scorer.score(texts).tolist() == [0.1, 0.0, 0.2, 0.0, 0.5, 0.1]
    # what says nothing is not sent, and what is said twice is sent once
    assert served.asked == {"a": 1, "bb": 1, "\ufffd\n{x}": 1}
    assert set(served.paths) == {"/v1/moderations"}
    assert all(body.keys() == {"model", "input"} for body in served.bodies)
    assert {body["model"] for body in served.bodies} == {"omni-moderation-2024-09-26"}
    assert served.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert scorer.name == "moderation:omni-moderation-2024-09-26" and scorer.served == "served-a, served-b"
    assert scorer.version == served.url + "/v1" and KEY not in str(vars(scorer))
    # another one, from the usual cache: nothing is asked, and it is known who answered
    again = open_scorer("moderation", url=served.url + "/v1")
    assert again.score(texts).tolist() == [0.1, 0.0, 0.2, 0.0, 0.5, 0.1] and again.served == scorer.served
    assert served.asked.total() == 3
    # another model's, and another address's, are other scores
    open_scorer("moderation:other", url=served.url + "/v1").score(["a"])
    open_scorer("moderation", url=served.url + "/v2").score(["a"])
    assert served.asked["a"] == 3 and served.bodies[3]["model"] == "other"


def test_perspective(served, caplog):
    scorer = open_scorer("perspective:INSULT", url=served.url, per_second=1000)
    served.answer = lambda text, nth: perspective(len(text) / 10, "INSULT")
    assert scorer.score(["ab", " ", "\udc00"]).tolist() == [0.2, 0.0, 0.1]
    assert set(served.paths) == {"/v1alpha1/comments:analyze"}
    body = next(body for body in served.bodies if body["comment"]["text"] == "ab")
    assert body == {
        "comment": {"text": "ab"},
        "languages": ["en"],
        "requestedAttributes": {"INSULT": {}},
        "doNotStore": True,
    }
    assert served.headers[0]["X-Goog-Api-Key"] == KEY and "Authorization" not in served.headers[0]
    assert scorer.name == "perspective:INSULT" and scorer.served == "" and not caplog.records
    toxicity = open_scorer("perspective", url=served.url, per_second=1000)
    served.answer = lambda text, nth: perspective(0.75)
    assert toxicity.name == "perspective:TOXICITY" and toxicity.score(["ab"]) == [0.75]


def test_perspective_has_one_request_a_second(served):
    served.answer = lambda text, nth: perspective(0.5)
    scorer = open_scorer("perspective", url=served.url)
    scorer.score(["a", "b"])
    scorer.score(["c"])
    assert len(served.times) == 3 and served.fullest_second() <= 2
    assert served.times[2] - served.times[0] > 1.8


@pytest.fixture
def googles(served, monkeypatch):
    """Perspective's usual address leads here."""
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE", served.url)
    return served


def test_the_end_of_perspective_is_told_once(googles, caplog):
    googles.answer = lambda text, nth: perspective(0.5)
    scorer = open_scorer("perspective", per_second=1000)
    scorer.score(["a"])
    scorer.score(["b"])
    assert [("ends on 2026-12-31" in text, KEY in text) for text in caplog.messages] == [(True, False)]


@pytest.mark.parametrize("status", [404, 410, 403, None])
def test_after_its_end_perspective_says_so(googles, monkeypatch, status):
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE_ENDS", datetime.date(2001, 2, 3))
    googles.answer = lambda text, nth: Reply(None) if status is None else Reply({}, status)
    scorer = open_scorer("perspective", per_second=1000)
    with pytest.raises(
        SlungError, match=r"^SLUNG_SCORER='perspective': .*was to end on 2001-02-03: use detoxify"
    ) as error:
        scorer.score(["a text that nobody may see"])
    assert "nobody may see" not in "".join(traceback.format_exception_only(error.value))
    # what was scored before can still be had, and it may have been granted more time
    googles.answer = lambda text, nth: perspective(0.5)
    assert scorer.score(["a"]) == [0.5]
    googles.answer = lambda text, nth: Reply({}, 410)
    assert open_scorer("perspective", per_second=1000).score(["a"]) == [0.5]


def test_a_single_mishap_after_its_end_is_no_end(googles, monkeypatch):
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE_ENDS", datetime.date(2001, 2, 3))
    googles.answer = lambda text, nth: (
        Reply({}, 400) if text == "b" else Reply({}, 503) if nth == 1 else perspective(0.5)
    )
    scorer = open_scorer("perspective", per_second=1000)
    assert scorer.score(["a", "b"]) == pytest.approx([0.5, math.nan], nan_ok=True)
    assert scorer.failures == {"http 400": 1}


BAD = [-0.1, 1.0001, 1e400, "0.5", None, True, [0.5], {}, 10**400]


@pytest.mark.parametrize("bad", [*BAD, b'{"results": [{"category_scores": {"a": NaN}}]}'])
def test_what_is_no_score_is_garbage(served, bad):
    served.answer = lambda text, nth: moderation(0.5) if text == "fine" else moderation(bad)
    if isinstance(bad, bytes):
        served.answer = lambda text, nth: moderation(0.5) if text == "fine" else Reply(bad)
    scorer = open_scorer("moderation", url=served.url)
    assert scorer.score(["fine", "other", ""]) == pytest.approx([0.5, math.nan, 0.0], nan_ok=True)
    assert scorer.failures == {"garbage": 1} and served.asked["other"] == remote.ATTEMPTS


@pytest.mark.parametrize(
    "reply", [perspective(1.5), perspective("x"), perspective(0.5, "INSULT"), moderation(0.5), Reply(3)]
)
def test_what_perspective_does_not_say_is_garbage(served, reply):
    served.answer = lambda text, nth: reply
    scorer = open_scorer("perspective", url=served.url, per_second=1000)
    assert np.isnan(scorer.score(["a"])).all() and scorer.failures == {"garbage": 1}


def test_failures_add_up_and_everything_else_is_scored(served):
    failing = {3: Reply({}, 500), 7: Reply({}, 400), 11: Reply(None), 13: Reply(b"")}
    served.answer = lambda text, nth: failing.get(int(text) % 20, moderation(0.5))
    scorer = open_scorer("moderation", url=served.url)
    scores = scorer.score([str(i) for i in range(100)])
    lost = [i % 20 in failing for i in range(100)]
    assert np.isnan(scores).tolist() == lost and (scores[~np.array(lost)] == 0.5).all()
    assert scorer.failures == {"http 500": 5, "http 400": 5, "connection": 5, "garbage": 5}
    scorer.score(["3", "100"])
    assert scorer.failures["http 500"] == 6


def test_a_model_that_is_no_name_is_not_told(served):
    served.answer = lambda text, nth: moderation(0.5, model=[1, 2] if text == "a" else "x" * 10_000)
    scorer = open_scorer("moderation", url=served.url)
    assert (scorer.score(["a", "b"]) == 0.5).all() and scorer.served == "x" * 100


@pytest.mark.parametrize(
    ("spec", "variable", "url"),
    [
        ("perspective", "PERSPECTIVE_API_KEY", None),
        ("perspective", "PERSPECTIVE_API_KEY", "http://localhost:1"),
        ("moderation", "OPENAI_API_KEY", None),
        ("moderation", "OPENAI_API_KEY", "https://API.openai.com/v1"),
    ],
)
def test_a_missing_key_is_an_error_at_once(monkeypatch, spec, variable, url):
    monkeypatch.delenv(variable)
    with pytest.raises(
        SlungError, match=f"^SLUNG_SCORER='{spec}': no key found; set the environment variable {variable}"
    ):
        open_scorer(spec, url=url)


def test_other_moderation_services_need_no_key_and_do_not_get_openais(monkeypatch, served):
    monkeypatch.delenv("SLUNG_API_KEY")
    assert open_scorer("moderation", url=served.url).score(["a"]) == [0.25]
    assert "Authorization" not in served.headers[0]


def test_a_cache_of_ones_own(served, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    cache = AnswerCache(tmp_path / "mine.sqlite")
    open_scorer("moderation", url=served.url, cache=cache).score(["a"])
    assert cache.path.exists() and not (tmp_path / "cache").exists() and not caplog.records
