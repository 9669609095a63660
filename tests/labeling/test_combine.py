from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling import Span, combine

spans = st.builds(
    lambda start, length, score: Span(start, start + length, score),
    st.integers(0, 30),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


def of_characters(found, length=50):
    """The highest score of each character, None where no span is."""
    scores = [None] * length
    for start, end, score in found:
        for index in range(start, end):
            scores[index] = score if scores[index] is None else max(score, scores[index])
    return scores


@given(st.lists(st.lists(spans, max_size=6), max_size=4))
def test_it_is_the_maximum_of_every_character(by_labeler):
    combined = combine(by_labeler)
    assert of_characters(combined) == of_characters([span for found in by_labeler for span in found])
    for left, right in pairwise(combined):
        assert left.end <= right.start
        assert left.end < right.start or left.score != right.score
    assert all(span.start < span.end for span in combined)


def test_a_name_in_a_mild_sentence():
    sentence, names = [Span(0, 20, 0.5)], [Span(5, 9, 1.0)]
    assert combine([sentence, names]) == [Span(0, 5, 0.5), Span(5, 9, 1.0), Span(9, 20, 0.5)]


def test_nothing():
    assert combine([]) == combine([[], []]) == []
