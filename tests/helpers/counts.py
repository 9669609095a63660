"""Corpora by hand, and what reports should say of them, counted slowly."""

from hypothesis import strategies as st

from axolotl_slung.labels.buckets import Action
from helpers.pages import labeled

SCORES = [0.0, 1e-7, 1e-6, 0.99e-4, 1e-4, 0.1249, 0.125, 0.3, 0.5, 0.7, 0.8, 0.98999, 0.99, 0.9999999, 1.0]
KEPT = [action.value for action in Action if action.traits.has_loss]


@st.composite
def corpora(draw, **sizes):
    """A few documents of at most 12 tokens; either labeler may have found nothing."""
    found = []
    for number in range(draw(st.integers(0, 5))):
        size = draw(st.integers(0, 12))
        columns = {
            name: draw(st.lists(st.sampled_from(SCORES), min_size=size, max_size=size))
            for name in ("first", "second")
            if draw(st.booleans())
        }
        flags = st.lists(st.booleans(), min_size=size, max_size=size)
        tokens = draw(st.lists(st.sampled_from(["a", " b", "cd", ""]), min_size=size, max_size=size))
        found.append(labeled(tokens, columns, trainable=draw(flags), partial=draw(flags), name=f"row {number}"))
    return found


def bucket_of(score, buckets):
    return next(index for index, b in enumerate(buckets) if b.below is None or score < b.below)


def slow_counts(documents, scores_of, buckets):
    """Documents, tokens and trainable tokens by bucket."""
    counts = [[0] * len(buckets) for _ in range(3)]
    for one in documents:
        places = [bucket_of(score, buckets) for score in scores_of(one)]
        counts[0][max(places, default=0)] += 1
        for place, trained in zip(places, one.trainable):
            counts[1][place] += 1
            counts[2][place] += bool(trained)
    return counts


def slow_actions(one, buckets):
    """What becomes of each token, whether or not it is trainable."""
    actions = [buckets[bucket_of(score, buckets)].action.value for score in one.score]
    return ["drop_document"] * len(actions) if "drop_document" in actions else actions
