"""Risky words: whole, ranked, and in a bounded memory."""

from collections import Counter

import numpy as np
import pytest

from axolotl_slung.label_stats.words import WordCounts, _log_likelihood, words_of


@pytest.mark.parametrize(
    ("tokens", "risky", "words"),
    [
        (["You", " st", "upid", " fool", "."], [0, 0, 1, 0, 0], [("you", 0), ("stupid", 1), ("fool", 0)]),
        (["O", "'", "Neil", "’s", " hat"], [0, 1, 0, 0, 0], [("o'neil’s", 1), ("hat", 0)]),
        (["well", "-", "known", " - ", "x"], [1, 0, 0, 0, 0], [("well-known", 1), ("x", 0)]),
        (["Rene\u0301", "e"], [0, 1], [("rene\u0301e", 1)]),
        (["अच्छ", "ा है"], [1, 0], [("अच्छा", 1), ("है", 0)]),
        (["王", "小明", "说他", "不知道"], [1, 1, 0, 0], [("王小明", 1), ("说他不知道", 0)]),
        (["<|im_start|>", "user", "\n", "Hi"], [0, 0, 1, 0], [("im_start", 0), ("user", 0), ("hi", 0)]),
        (["a\x1b[31m", " b\u202ec\ud800d"], [1, 0], [("a", 1), ("31m", 1), ("b", 0), ("c", 0), ("d", 0)]),
        (["x" * 100_000], [1], [("x" * 64, 1)]),
        (["", "a", ""], [1, 0, 1], [("a", 0)]),
        ([], [], []),
    ],
)
def test_words_are_whole_and_risky_if_any_token_is(tokens, risky, words):
    assert list(words_of(tokens, np.array(risky, dtype=bool))) == [(word, bool(flag)) for word, flag in words]


def test_frequent_words_and_telling_ones():
    counts = WordCounts()
    for _ in range(20):
        counts.add(["the ", "idiot ", "the ", "cat "], np.array([1, 1, 0, 0], dtype=bool))
    counts.add(["idiot ", "the"], np.array([0, 0], dtype=bool))
    top = counts.top(2)
    assert top["frequent"] == [{"word": "idiot", "risky": 20, "total": 21}, {"word": "the", "risky": 20, "total": 41}]
    assert top["telling"] == top["frequent"][:1]  # `the` is risky no more often than any other word
    assert top["missed"] == 0


def test_the_log_likelihood_is_dunnings():
    counts = WordCounts()
    counts.add(["bad "] * 30 + ["the "] * 70, np.array([1] * 20 + [0] * 10 + [1] * 20 + [0] * 50, dtype=bool))
    table = np.array([[20, 10], [20, 50]])
    expected = 2 * (table * np.log(table / (np.outer(table.sum(1), table.sum(0)) / table.sum()))).sum()
    assert _log_likelihood(20, 30, 40, 100) == pytest.approx(expected)
    assert [row["word"] for row in counts.top(5)["telling"]] == ["bad"]


def test_a_bounded_memory_for_words():
    rng = np.random.default_rng(0)
    counts, truth = WordCounts(limit=100), Counter()
    for _ in range(300):
        words = [f"w{int(n)} " for n in np.minimum(rng.pareto(1.0, 50) * 10, 5000)]
        counts.add(words, np.ones(len(words), dtype=bool))
        truth.update(word.strip() for word in words)
        assert max(len(counts._risky), len(counts._all)) <= 100
    top = counts.top(5)
    assert len(truth) > 500 and top["missed"] > 0
    for row in top["frequent"]:
        assert truth[row["word"]] - top["missed"] <= row["risky"] <= truth[row["word"]]
    assert top["frequent"][0]["word"] == truth.most_common(1)[0][0]
