"""Differences of AUROCs, paired by comment, against counting pairs and resampling comments."""

import json

import numpy as np
import pytest
from helpers import tested
from helpers.reported import run, write

from axolotl_slung.comparison.samples import Samples, values_of_runs
from axolotl_slung.evals.measures.paired import Clusters, difference

COMMENTS, DRAWS = 160, 3


@pytest.fixture(scope="module")
def two():
    """The samples of two models that find the same comments hard: per comment its number, class and scores by draw."""
    draw = np.random.default_rng(0)
    toxic, hard = draw.random(COMMENTS) < 0.5, draw.standard_normal(COMMENTS)
    in_draw = draw.random((DRAWS, COMMENTS)) < 0.6
    models = []
    for better in (0.9, 0.7):
        # whole numbers, so that some are equal
        scores = np.round(4 * (better * toxic + hard + 0.3 * draw.standard_normal((DRAWS, COMMENTS))))
        models.append(
            [
                [number, bool(toxic[number]), {str(d): scores[d, number] for d in range(DRAWS) if in_draw[d, number]}]
                for number in range(COMMENTS)
            ]
        )
    return models


def auroc(values, of_pairs=tested.auroc):
    """The mean over draws, by counting pairs. A comment may be there several times."""
    by_draw = [[(scores[d], toxic) for _, toxic, scores in values if d in scores] for d in map(str, range(DRAWS))]
    return float(np.mean([of_pairs(pairs) for pairs in by_draw]))


def counted_at_once(pairs):
    """`tested.auroc`, quick enough to resample."""
    scores, toxic = np.array([score for score, _ in pairs]), np.array([toxic for _, toxic in pairs])
    ours, others = scores[toxic][:, None], scores[~toxic]
    return ((ours > others) + (ours == others) / 2).mean()


def samples_of(values):
    keys = [(number, "") for number, *_ in values]
    return Samples(keys, keys, {"none": [{"auroc": value} for value in values]})


def test_the_interval_is_that_of_resampled_comments(two):
    found = [values_of_runs([samples_of(values)], "auroc", [auroc(values)]) for values in two]
    assert [its.of_runs[0] for its in found] == pytest.approx([auroc(values) for values in two], abs=1e-12)
    its = difference(*found, Clusters(range(COMMENTS)))
    assert its.difference == pytest.approx(auroc(two[0]) - auroc(two[1]))
    assert [auroc(values, counted_at_once) for values in two] == pytest.approx(
        [auroc(values) for values in two], abs=1e-12
    )
    draw, differences = np.random.default_rng(1), []
    for _ in range(400):
        chosen = draw.integers(COMMENTS, size=COMMENTS)
        one, other = ([values[number] for number in chosen] for values in two)
        differences.append(auroc(one, counted_at_once) - auroc(other, counted_at_once))
    error = np.std(differences, ddof=1)
    assert (its.high - its.low) / 2 / 1.96 == pytest.approx(error, rel=0.15)
    # two errors would be wider: the same comments are hard for both
    alone = difference(found[0], found[0], Clusters(range(COMMENTS)))
    assert alone.difference == 0 and alone.low == alone.high == 0


@pytest.mark.parametrize(
    "values",
    [
        [[0, True, {}], [1, False, {}]],
        [[0, True, {"0": 1.0}], [1, True, {"0": 2.0}]],
        [[0, True, [1.0]], [1, False, [0.5]]],
    ],
)
def test_draws_without_an_auroc_have_no_values(values):
    assert values_of_runs([samples_of(values)], "auroc", [0.5]) is None


def test_in_the_report(tmp_path, two):
    for name, values in zip(("masked", "direct"), two):
        folder = write(tmp_path / "arms" / name, name, {"slung_civilcomments": {"auroc": auroc(values)}})
        rows = [
            {"doc_id": number, "doc": {"text": "risky"}, "filter": "none", "metrics": ["auroc"], "auroc": value}
            for number, value in enumerate(values)
        ]
        path = folder / "samples_slung_civilcomments_2026-01-01T00-00-00.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, figures = run(tmp_path, tmp_path / "arms", "--against", "direct")
    (its,) = figures["differences"]
    assert its["how"] == f"paired, {COMMENTS} documents" and its["low"] < its["difference"] < its["high"]
    assert its["difference"] == pytest.approx(auroc(two[0]) - auroc(two[1]))
