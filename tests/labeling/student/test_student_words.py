import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_slung.labeling.student.context import REACH, surroundings
from axolotl_slung.labeling.student.file import Student
from axolotl_slung.labeling.student.model import scores_of, spans_of
from axolotl_slung.labeling.student.words import columns_of, hashes_of, words_of

FACTOR, ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1
BUCKETS = 1 << 10

TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(), max_size=30),
        st.text("aAbB'*@ .\u2019éİ1漢\U0001f600\ud800", max_size=90),
        st.lists(st.sampled_from(["you", "are", "STUPID", "st*pid", "**bold**", "so.", "x" * 60]), max_size=9).map(
            " ".join
        ),
    ),
    max_size=4,
)


def found(text):
    words = words_of([text])
    return [text[start:end] for start, end in zip(words.starts, words.ends)]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("You're a st*pid 1diot!!", ["You're", "a", "st*pid", "1diot", "!!"]),
        ("what the f*** (really)", ["what", "the", "f***", "(", "really", ")"]),
        ("**bold** and *soft*", ["**", "bold", "**", "and", "*", "soft", "*"]),
        ("idiot-in-chief.Next", ["idiot", "-", "in", "-", "chief", ".", "Next"]),
        ("caf\u00e9 na\u0131ve \U0001f600\U0001f600", ["caf\u00e9", "na\u0131ve", "\U0001f600\U0001f600"]),
        (" \n\t", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert found(text) == expected


# ---- a slow reference: the rules in plain Python, without numba


def kind(character):
    if ord(character) > 0xFFFF:
        return "letter"
    if character.isspace():
        return "space"
    if character.isalnum() or unicodedata.category(character)[0] == "M":
        return "letter"
    return "joiner" if character in "'\u2019*@$#" else "sign"


def plain(character):
    if character == "\u2019":
        return "'"
    if ord(character) > 0xFFFF or "\uac00" <= character <= "\ud7a3":
        return character
    one = unicodedata.normalize("NFKD", character)[:1].lower()
    return one if len(one) == 1 else character


def slow_words(text):
    place, words = 0, []
    while place < len(text):
        start = place
        if kind(text[place]) == "space":
            place += 1
            continue
        if kind(text[place]) == "letter":
            while place < len(text):
                ahead = place
                while ahead < len(text) and kind(text[ahead]) == "joiner":
                    ahead += 1
                if ahead == len(text) or kind(text[ahead]) != "letter":
                    break
                place = ahead + 1
            if start == 0 or text[start - 1] != "*":
                while place < len(text) and text[place] == "*":
                    place += 1
        else:
            while place < len(text) and kind(text[place]) in ("joiner", "sign"):
                place += 1
        words.append((start, place))
    return words


def hashed(codes, start=0):
    for code in codes:
        start = (start * FACTOR + code) & ALL
    return start


def column(value, kind_of_feature):
    value = (value * FACTOR + kind_of_feature) & ALL
    value = ((value ^ (value >> 32)) * FACTOR) & ALL
    value = ((value ^ (value >> 32)) * FACTOR) & ALL
    return value >> (65 - BUCKETS.bit_length())


def slow_columns(text):
    words = [text[start:end][:48] for start, end in slow_words(text)]
    folded = [[ord(plain(c)) for c in word] for word in words]
    wholes = [hashed(codes, 7) for codes in folded]
    rows = []
    for i, (word, codes) in enumerate(zip(words, folded)):
        row = [column(wholes[i], 10)]
        row.append(column(hashed([c for k, c in enumerate(codes) if k == 0 or c != codes[k - 1]], 7), 11))
        latin = [(c, ord(letter)) for c, letter in zip(codes, word) if ord("a") <= c <= ord("z")]
        capitals, small = sum(c != own for c, own in latin), sum(c == own for c, own in latin)
        case = 4 if not latin else 0 if not capitals else 1 if capitals == 1 else 2 if not small else 3
        digits = any(ord("0") <= c <= ord("9") for c in codes)
        signs = any(kind(letter) != "letter" for letter in word)
        row.append(column(case * 4 + digits * 2 + signs, 12))
        near = [wholes[j] if 0 <= (j := i + step) < len(words) else 1 for step in (-1, 1, -2, 2)]
        row += [column(other, 20 + k) for k, other in enumerate(near)]
        row += [column((other * FACTOR + wholes[i]) & ALL, 24 + k) for k, other in enumerate(near[:2])]
        edged = [1, *codes, 1]
        row += [column(hashed(edged[k : k + n]), 30 + n) for n in range(2, 7) for k in range(len(edged) + 1 - n)]
        rows.append(sorted(row))
    return rows


@given(TEXTS)
@example(["", "a", "\ud800b é É", "İstanbul AAb aA"])
def test_words_and_columns_equal_the_slow_reference(texts):
    words = words_of(texts)
    assert [
        [(start - begin, end - begin) for start, end in zip(words.starts[a:b].tolist(), words.ends[a:b].tolist())]
        for a, b, begin in zip(words.firsts[:-1], words.firsts[1:], words.bounds)
    ] == [slow_words(text) for text in texts]
    count = len(words.starts)
    expected = [row for text in texts for row in slow_columns(text)]
    cut = count // 2  # features do not depend on where a batch of words ends
    rows = []
    for first, last in ((0, cut), (cut, count)):
        places, columns = columns_of(words, hashes_of(words), BUCKETS, first, last)
        rows += [sorted(columns[a:b].tolist()) for a, b in pairwise(places)]
    assert rows == expected


def slow_surroundings(logits):
    rows = []
    clipped = [min(max(one, -9.0), 9.0) for one in logits]
    for i, own in enumerate(clipped):
        near = [clipped[j] for j in range(max(0, i - REACH), min(len(clipped), i + REACH + 1)) if j != i]
        highest = max([-9.0, *near])
        total = sum(1 / (1 + np.exp(-one)) for one in near)
        before, after = (clipped[i - 1] if i else -9.0), (clipped[i + 1] if i + 1 < len(clipped) else -9.0)
        higher = sum(one > own for one in near)
        rows.append(
            [own, before, after, highest, min(own - highest, 0), *np.log1p([1 + len(near), higher, total]), total]
        )
    return np.array(rows).reshape(-1, 9)


def student(seed=0):
    random = np.random.default_rng(seed)
    context = random.normal(size=10).astype(np.float32)
    return Student({"floor": 0.3}, random.normal(size=BUCKETS).astype(np.float32), np.float32([-1]), context)


def slow_scores(one, text):
    weights = one.weights.astype(np.float64)
    logits = [weights[row].sum() + one.intercept[0] for row in slow_columns(text)]
    found = slow_surroundings(logits) @ one.context[:-1].astype(np.float64) + one.context[-1]
    return 1 / (1 + np.exp(-np.clip(found, -30, 30)))


@given(TEXTS)
def test_scores_equal_the_slow_reference(texts):
    one = student()
    scores = scores_of(words_of(texts), one)
    expected = np.concatenate([np.zeros(0), *(slow_scores(one, text) for text in texts)])
    np.testing.assert_allclose(scores, expected, atol=2e-4)


def test_surroundings_reach_fifty_words_and_end_with_the_text():
    logits = np.random.default_rng(1).normal(size=300).astype(np.float32) * 8
    firsts = np.array([0, 0, 120, 121, 300])
    expected = np.concatenate([slow_surroundings(logits[a:b].astype(np.float64)) for a, b in pairwise(firsts)])
    np.testing.assert_allclose(surroundings(logits, firsts), expected, atol=1e-4)


def test_white_space_between_two_words_has_the_lower_score():
    words = words_of(["a  b c.", "", "d e"])
    scores = np.array([0.9, 0.4, 0.1, 0.6, 0.3, 0.5])
    spans = [[tuple(span[:3]) for span in of_text] for of_text in spans_of(words, scores, 0.3)]
    assert spans == [[(0, 1, 0.9), (1, 3, 0.4), (3, 4, 0.4), (6, 7, 0.6)], [], [(0, 1, 0.3), (1, 2, 0.3), (2, 3, 0.5)]]
