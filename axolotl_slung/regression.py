"""Logistic regression on fractions: the sigmoid of a linear function, fitted to scores from 0 to 1."""

from __future__ import annotations

import numpy as np


def fit(
    features, scores: np.ndarray, weights: np.ndarray, penalty: float, start: np.ndarray | None = None
) -> np.ndarray:
    """The coefficients that minimize the weighted cross-entropy plus half the penalty times their squares.

    Args:
        features: `[texts, columns]`, an array or a scipy CSR matrix.
        scores: float `[texts]`, from 0 to 1.
        weights: float `[texts]`, above 0.
        penalty: above 0. The intercept has none.
        start: coefficients to begin from, such as those of another penalty.

    Returns:
        float64 `[columns + 1]`; the intercept comes last.
    """
    from scipy.optimize import minimize

    turned = features.T.tocsr() if hasattr(features, "tocsr") else features.T

    def loss_and_slope(coefficients):
        slopes = coefficients[:-1]
        logits = features @ slopes + coefficients[-1]
        loss = (weights * (np.logaddexp(0, logits) - scores * logits)).sum() + penalty / 2 * (slopes @ slopes)
        errors = weights * (sigmoid(logits) - scores)
        return loss, np.append(turned @ errors + penalty * slopes, errors.sum())

    start = np.zeros(features.shape[1] + 1) if start is None else start
    return minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-7}).x


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Of each element, without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def cross_entropy(logits: np.ndarray, scores: np.ndarray) -> float:
    """The mean cross-entropy of scores, in nats."""
    return float((np.logaddexp(0, logits) - scores * logits).mean())
