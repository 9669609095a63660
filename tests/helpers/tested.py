"""Metrics of comments, recomputed slowly from the samples that lm_eval logs."""

import math
from statistics import fmean, stdev

from scipy.stats import t


def auroc(pairs):
    """The share of pairs of a toxic comment and another in which the toxic one has the higher score, by counting.

    `pairs` are `(score, toxic)`.
    """
    ours, others = ([score for score, toxic in pairs if toxic == kind] for kind in (True, False))
    wins = [(one > other) + (one == other) / 2 for one in ours for other in others]
    return sum(wins) / len(wins) if wins else math.nan


def of_draws(samples, metric):
    """By draw, `(doc, score)` of each comment that it tests, from samples as lm_eval returns them."""
    found = {}
    for sample in samples:
        place, toxic, scores = sample[metric]
        assert (place, toxic) == (sample["doc"]["id"], sample["doc"]["toxic"])
        assert {int(draw) for draw in scores} <= {*sample["doc"]["tests"]}
        for draw, score in scores.items():
            found.setdefault(int(draw), []).append((sample["doc"], score))
    return dict(sorted(found.items()))


def aurocs(samples, metric):
    return [auroc([(score, doc["toxic"]) for doc, score in its]) for its in of_draws(samples, metric).values()]


def mean_and_interval(values):
    """Mean, standard error, and Student's 95 % interval, cut at 0 and 1."""
    error = stdev(values) / math.sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1)) * error
    return fmean(values), error, max(fmean(values) - half, 0), min(fmean(values) + half, 1)


def rights(samples, metric, threshold):
    """By comment's number, whether its first draw has it on the right side of `threshold(scores of the draw)`."""
    found = {}
    for its in of_draws(samples, metric).values():
        cut = threshold([score for _, score in its])
        for doc, score in its:
            found.setdefault(doc["id"], (doc, float((score >= cut) == doc["toxic"])))
    return found
