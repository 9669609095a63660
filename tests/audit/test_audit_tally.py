"""What is counted and chosen, against slow and readable ways to say the same."""

import random
from collections import Counter

import numpy as np
import pytest

from axolotl_slung.audit.decoys import Pool, Searched, made
from axolotl_slung.audit.entities import Entities
from axolotl_slung.audit.found import finds, question, safe_characters
from axolotl_slung.audit.tally import Lengths, Smallest, Stratum, Tally, chosen, key_of, shares
from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import preset
from axolotl_slung.labels.spanned import SpannedText

BUCKETS = preset("masked")


def spanned(text, *spans, untrained=(), width=1):
    """A text whose tokens are `width` characters each."""
    edges = np.array([*range(0, len(text), width), len(text)])
    trained = np.array([start not in untrained for start in edges[:-1]], dtype=bool)
    return SpannedText(text, edges, trained, spans)


def test_shares_are_as_even_as_they_can_be():
    assert shares([5, 1, 9], 9) == [4, 1, 4]
    assert shares([3, 3, 3], 4) == [1, 1, 2]
    assert shares([2, 2], 9) == [2, 2]
    assert shares([0, 3, 7], 5) == [0, 2, 3]
    assert shares([], 5) == []
    draws = random.Random(0)
    for _ in range(200):
        available, number = [draws.randrange(9) for _ in range(draws.randrange(6))], draws.randrange(30)
        taken = shares(available, number)
        assert sum(taken) == min(number, sum(available))
        assert all(0 <= some <= there for some, there in zip(taken, available))
        # whoever has less than another has all that there is
        assert all(a >= b - 1 or a == there for a, there in zip(taken, available) for b in taken)


def test_a_tally_counts_as_a_counter_does():
    draws, tally, counts = random.Random(1), Tally(), Counter()
    occurrences = [
        (draws.choice("ab"), draws.choice("xyz"), f"t{draws.randrange(40)}", draws.randrange(1, 3)) for _ in range(500)
    ]
    for labeler, kind, text, bucket in occurrences:
        tally.add(key_of(0, labeler, kind, text), labeler, kind, bucket)
        counts[labeler, kind, text] += 1
    assert len(tally) == len(counts)
    for (labeler, kind, text), number in counts.items():
        key = key_of(0, labeler, kind, text)
        buckets = [bucket for *one, bucket in occurrences if one == [labeler, kind, text]]
        assert tally.count(key) == number
        assert tally.in_bucket(key) == (max(buckets), buckets.count(max(buckets)))
    strata = dict(tally.strata())
    assert strata[key_of(0, "a", "x", "t0")].frequency == "few"
    assert tally.most_frequent(3, 1)[0] in {
        key_of(0, *one) for one, number in counts.items() if number == max(counts.values())
    }


def test_a_span_whose_text_is_in_front_of_it_is_counted_and_not_asked_about():
    text = "Maria came, and Maria left."
    first, second = finds(spanned(text, Span(0, 5, 1.0, "names"), Span(16, 21, 1.0, "names")), BUCKETS)
    assert (first.askable, second.askable) == (True, False)
    tally, key = Tally(), key_of(0, "names", "names", "Maria")
    tally.add(key, "names", "names", 2, second.askable)
    assert tally.count(key) == 1 and not list(tally.strata())
    tally.add(key, "names", "names", 1, first.askable)
    tally.add(key, "names", "names", 2, second.askable)
    assert tally.in_bucket(key) == (1, 1)
    assert list(tally.strata()) == [(key, Stratum("names", "names", 1, "few"))]


def test_the_sample_is_even_over_strata_and_fixed():
    strata = [(n, Stratum("a", "x", 1, "once")) for n in range(100, 1100)]
    strata += [(n, Stratum("a", "x", 1, "often")) for n in range(5)]
    strata += [(n, Stratum("b", "y", 2, "once")) for n in range(5000, 5003)]
    sample, found = chosen(iter(strata), 43)
    assert Counter(sample.values()) == {strata[0][1]: 35, strata[1000][1]: 5, strata[-1][1]: 3}
    assert found == {strata[0][1]: 1000, strata[1000][1]: 5, strata[-1][1]: 3}
    random.Random(2).shuffle(strata)
    assert chosen(iter(strata), 43)[0] == sample


def test_smallest_keeps_what_sorting_would():
    draws = random.Random(3)
    numbers = [draws.randrange(500) for _ in range(300)]
    kept = Smallest(20)
    for number in numbers:
        if kept.wants(number):
            kept.add(number, str(number))
    assert kept.items() == [(number, str(number)) for number in sorted({*numbers})[:20]]
    assert not Smallest(0).wants(1)


def test_lengths_keep_a_random_sample():
    lengths = Lengths(0, most=100)
    for number in range(10_000):
        lengths.add(number)
    assert len(lengths.kept) == 100
    assert sum(lengths.kept) / 100 == pytest.approx(5000, abs=1000)


def test_overlapping_spans_of_one_kind_are_one_and_white_space_is_left_out():
    text = "met Maria Hernandez there "
    document = spanned(
        text,
        Span(4, 9, 1.0, "names", "person"),
        Span(4, 20, 1.0, "names", "person"),
        Span(10, 19, 0.5, "names", "person"),
        Span(10, 19, 1.0, "toxic"),
        Span(0, 3, 0.0, "toxic"),
    )
    found = [(text[one.start : one.end], one.labeler, one.kind, one.bucket) for one in finds(document, BUCKETS)]
    assert sorted(found) == [
        ("Hernandez", "names", "person", 1),
        ("Hernandez", "toxic", "toxic", 2),
        ("Maria Hernandez", "names", "person", 2),
    ]
    assert finds(spanned(text, Span(4, 9, 1.0, "names"), untrained=range(4, 9)), BUCKETS) == []
    assert len(finds(spanned(text, Span(4, 9, 1.0, "names"), untrained=range(4, 8)), BUCKETS)) == 1


def test_the_text_after_a_span_ends_where_it_is_risky_or_not_trained():
    text = "Maria came, Jan left, and nobody saw it."
    document = spanned(text, Span(0, 5, 1.0, "names"), Span(12, 15, 1.0, "names"), untrained=range(30, 32))
    safe = safe_characters(document, BUCKETS)
    assert question(document, 0, 5, safe) == ("", {"whole": 0}, " came, ")
    before, prefixes, after = question(document, 12, 15, safe)
    assert (before, after) == ("Maria came, ", " left, and nobo"[: 30 - 15])
    assert prefixes == {"whole": 0}
    long = spanned("x" * 300, width=2)
    assert question(long, 200, 202, np.ones(300, bool)) == (
        "x" * 200,
        {"25": 150, "50": 100, "100": 0, "whole": 0},
        "x" * 98,
    )
    # part of another row's span, of which the rest was cut off
    cut = SpannedText(text, document.edges, np.ones(len(text), bool), (), (Span(7, 9, 1.0, "names"),))
    assert question(cut, 0, 5, safe_characters(cut, BUCKETS))[2] == " c"


def test_decoys_of_a_pool_have_nearly_the_same_length():
    pool = Pool()
    for n in range(2000):
        pool.add(key_of(0, str(n)), "y" * (1 + n % 200) + str(n))
    texts = [text for _, text in pool.texts()]
    assert len(texts) == 1000 and not pool.few(15)
    found = pool.decoys("q" * 100, f"{texts[500]} was here", 15, random.Random(0))
    assert len({*found}) == 15 and {*found} < {*texts} - {texts[500]}
    assert all(85 <= len(one) <= 115 for one in found)
    small = Pool()
    for text in ("Ada", "Bela", "Cara"):
        small.add(key_of(0, text), text)
    assert small.few(15)
    assert sorted(small.decoys("Ada", "Cara said", 15, random.Random(0))) == ["Bela"]


def test_made_decoys_are_for_kinds_with_a_shape():
    assert len({*made("Ada Fenwick", "person", 30, 0)}) == 30
    assert all("@" in one for one in made("a.b@c.org", "email", 5, 0))
    assert all(one[:2].isupper() and one[3:].isdigit() for one in made("AB-1234", "order", 5, 0))
    assert made("You are a horrible liar 2", "toxic", 5, 0) == []
    assert made("liar", "toxic", 5, 0) == []


def test_occurrences_are_found_inside_words_and_over_each_other():
    searched = Searched(["ana", "nan", "x", "ana"])
    for text in ("banana", "an ana"):
        searched.search(text)
    assert searched.counts() == {"ana": 3, "nan": 1, "x": 0}
    long = ["q" * 300 + end for end in ("a", "b")]
    searched = Searched(long)
    searched.search(f"{long[1]} {'q' * 300}")
    assert searched.counts() == {long[0]: 0, long[1]: 1}
    empty = Searched([])
    empty.search("banana")
    assert empty.counts() == {}


def test_entities_are_written_once_per_document():
    tally = Tally()
    for text, number in (("often", 50), ("four", 4), ("three", 3)):
        for _ in range(number):
            tally.add(key_of(0, "a", "a", text), "a", "a", 1)
    entities = Entities(tally, 0)
    taken = {
        text: [n // 2 for n in range(50) if entities.takes(key_of(0, "a", "a", text), n // 2)]
        for text in ("often", "three")
    }
    assert len(taken["often"]) == len({*taken["often"]}) > 12
    assert taken["three"] == []
