"""Intervals over seeds end where the metric ends, and nowhere else."""

import pytest

from axolotl_slung.comparison.estimates import of_files


def over_seeds(metric, *values, half):
    return of_files(
        [{metric: value, f"{metric}_ci_low": value - half, f"{metric}_ci_high": value + half} for value in values],
        metric,
    )


@pytest.mark.parametrize("metric", ["auroc", "extracted", "extracted_kind_email", "found_in_10", "rank_first", "leaked_rate",
                                    "low_risk_greedy", "common_prefix", "extraction_strength", "accuracy_layer_3"])  # fmt: skip
def test_a_share_ends_at_0_and_1(metric):
    assert over_seeds(metric, 0.9, 0.99, half=0.2).high == 1
    assert over_seeds(metric, 0.01, 0.1, half=0.2).low == 0


@pytest.mark.parametrize(
    "metric", ["accuracy_over_chance", "accuracy_over_reference", "spearman_correlation", "exposure", "nll_after"]
)
def test_other_numbers_do_not(metric):
    found = over_seeds(metric, 0.1, 0.2, half=0.3)
    assert found.low < -0.1 and over_seeds(metric, 0.9, 0.99, half=0.2).high > 1
