"""The cache of answers: any number of writers, nothing in it that was asked, and no harm done where it cannot be used."""

import json
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from helpers.asking import TEXTS, ask
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.evals.services.answers import AnswerCache, digest

pytestmark = pytest.mark.usefixtures("quick")


def test_the_cache_never_holds_a_text(served, cache):
    ask(served, TEXTS, cache)
    stored = b"".join(path.read_bytes() for path in cache.path.parent.iterdir())
    assert b"secretive" not in stored and b"0.25" in stored


@given(st.lists(st.text(st.characters()), max_size=3), st.lists(st.text(st.characters()), max_size=3))
def test_digests_differ_where_requests_do(one, other):
    assert (digest(one) == digest(other)) == (one == other)


def test_what_requests_have_in_common_does_not_make_them_one():
    assert len({digest(["ab", "c"]), digest(["a", "bc"]), digest(["abc"]), digest(["ab", "c", ""])}) == 4
    assert len(digest(["\ud800"])) == 32 and digest(("a", "b")) == digest(["a", "b"])


def write_some(path, first):
    cache = AnswerCache(path)
    for i in range(first, first + 50):
        cache.write(digest([str(i)]), {"i": i})


def test_many_processes_and_threads_at_once(cache, caplog):
    context = get_context("spawn" if sys.platform != "linux" else "fork")
    processes = [context.Process(target=write_some, args=(cache.path, 50 * i)) for i in range(8)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: cache.write(digest([str(400 + i)]), {"i": 400 + i}), range(100)))
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    read = cache.read([digest([str(i)]) for i in range(501)])
    assert sorted(answer["i"] for answer in read.values()) == list(range(500))
    assert not caplog.records


def test_a_cache_goes_through_a_fork_and_a_pickle(cache):
    import pickle

    cache.write(digest(["a"]), 1)
    process = get_context("fork").Process(target=cache.write, args=(digest(["b"]), 2))
    # as it is while another thread writes
    with cache.store._opened[-1]:
        process.start()
    process.join(30)
    assert process.exitcode == 0
    assert cache.read([digest(["a"]), digest(["b"])]) == {digest(["a"]): 1, digest(["b"]): 2}
    assert pickle.loads(pickle.dumps(cache)).read([digest(["b"])]) == {digest(["b"]): 2}


@pytest.mark.parametrize("spoil", ["folder", "garbage", "file above", "table"])
def test_a_cache_that_cannot_be_used_is_left_alone(served, tmp_path, caplog, spoil):
    path = tmp_path / "somewhere" / "answers.sqlite"
    if spoil == "folder":
        path.mkdir(parents=True)
    elif spoil == "garbage":
        path.parent.mkdir()
        path.write_bytes(b"no database at all, and longer than a header of one has to be" * 100)
    elif spoil == "file above":
        path.parent.write_text("a file")
    else:
        path.parent.mkdir()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE answers (something TEXT)")
    cache = AnswerCache(path)
    assert ask(served, TEXTS, cache).values == [0.25] * len(TEXTS)
    assert ask(served, TEXTS, cache).values == [0.25] * len(TEXTS)
    assert [record.getMessage().startswith("slung: the cache ") for record in caplog.records] == [True]


def test_a_damaged_answer_is_asked_for_again(served, cache):
    ask(served, TEXTS[:3], cache)
    with sqlite3.connect(cache.path) as database:
        for key, value in [(digest(["test", TEXTS[0]]), "{broken"), (digest(["test", TEXTS[1]]), b"\xff"), (b"x", "1")]:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, value))
    assert ask(served, TEXTS[:3], cache).values == [0.25] * 3
    assert [served.asked[text] for text in TEXTS[:3]] == [2, 2, 1]


def test_the_usual_place(tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path))
    AnswerCache().write(digest(["a"]), [1, None, "é"])
    assert (tmp_path / "answers" / "answers.sqlite").exists()
    assert json.dumps(AnswerCache().read([digest(["a"])])[digest(["a"])]) == '[1, null, "\\u00e9"]'
