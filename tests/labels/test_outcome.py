"""What labels do to a data set in sum, against counts token by token; and the warnings about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.labels.documents import document
from axolotl_slung.labels.outcome import Outcome
from axolotl_slung.labels.tokens import buckets_of, char_scores

LENGTH = 12
FINE = (Bucket("fine", 0.5, Action.TRAIN), Bucket("risky", None, Action.MASK))
SPANS = st.lists(
    st.tuples(
        st.integers(0, LENGTH - 1),
        st.integers(1, LENGTH),
        st.sampled_from([0.0, 0.01, 0.4, 0.5, 1.0]),
        st.sampled_from(["presidio", "profanity"]),
    )
    .filter(lambda span: span[0] < span[1])
    .map(lambda span: Span(*span)),
    max_size=6,
)


def characters(spans, buckets):
    """A document whose tokens are its characters."""
    offsets = [(n, n + 1) for n in range(LENGTH)]
    return document("", "x" * LENGTH, offsets, spans, buckets, "any")


def slow(spans, buckets, finders):
    bucket = buckets_of(char_scores(LENGTH, spans), buckets).tolist()
    actions = [buckets[index].action for index in bucket]
    dropped = Action.DROP_DOCUMENT in actions
    lost = sum(dropped or not action.traits.has_loss for action in actions)
    trained = {}
    for at, (index, action) in enumerate(zip(bucket, actions)):
        for name in finders:
            score = max((s.score for s in spans if s.labeler == name and s.start <= at < s.end), default=0)
            if score and action is Action.TRAIN:
                key = name, score, buckets[index].name
                trained[key] = trained.get(key, 0) + 1
    return LENGTH, lost, trained


@given(SPANS, st.sampled_from([FINE, preset("masked"), preset("control"), preset("toxic_baseline")]))
def test_tokens_and_characters_are_counted_one_by_one(spans, buckets):
    expected = slow(spans, buckets, ["presidio"])
    of_tokens, of_text = Outcome(buckets, ["presidio"]), Outcome(buckets, ["presidio"], "characters")
    of_tokens.add(characters(spans, buckets))
    of_text.add_text(LENGTH, spans)
    for outcome in (of_tokens, of_text):
        assert (outcome.trainable, outcome.lost, dict(outcome.trained)) == expected
    both = Outcome(buckets, ["presidio"])
    both.add_json(of_tokens.to_json())
    both.add_json(of_text.to_json())
    assert both.trainable == 2 * expected[0] and both.lost == 2 * expected[1]
    assert dict(both.trained) == {key: 2 * number for key, number in expected[2].items()}


def test_tokens_that_would_not_be_trained_do_not_count():
    found = characters([Span(0, LENGTH, 0.4, "presidio")], FINE)
    found.trainable[:] = False
    outcome = Outcome(FINE, ["presidio"])
    outcome.add(found)
    assert outcome.warnings() == [] and outcome.trainable == 0


def test_a_find_that_another_labeler_masks_is_not_trained():
    outcome = Outcome(FINE, ["presidio"])
    outcome.add_text(LENGTH, [Span(0, 4, 0.4, "presidio"), Span(0, 3, 0.9, "profanity")])
    assert dict(outcome.trained) == {("presidio", 0.4, "fine"): 1}


def test_the_warnings():
    outcome = Outcome(FINE, ["presidio"])
    outcome.add_text(100, [Span(0, 8, 0.4, "presidio"), Span(10, 12, 0.01, "presidio"), Span(20, 75, 0.9, "profanity")])
    bucket = "10 tokens are in the bucket 'fine', whose action is train (8 with the score 0.4, 2 with the score 0.01)"
    assert outcome.warnings() == [
        f"the model learns to say what presidio found: {bucket}",
        "55.0% of the 100 trainable tokens lose their loss; `slung sweep` shows what other cuts or buckets would do",
    ]


@pytest.mark.parametrize("lost, warned", [(50, False), (51, True)])
def test_half_of_the_loss(lost, warned):
    outcome = Outcome(FINE, [])
    outcome.add_text(100, [Span(0, lost, 1.0, "names")])
    assert outcome.mostly_lost == warned == bool(outcome.warnings())


def test_nothing_is_warned_of_without_documents():
    assert Outcome(FINE, ["presidio"]).warnings() == []


@pytest.mark.parametrize("method", ["masked", "unlikelihood", "low_risk", "control"])
def test_no_method_but_the_baseline_trains_a_find(method):
    buckets = preset(method, (0.2, 0.9))
    outcome = Outcome(buckets, ["presidio"])
    outcome.add_text(LENGTH, [Span(0, 3, 1.0, "presidio")])  # finds have the score 1 on a method's scale
    assert not outcome.trained
