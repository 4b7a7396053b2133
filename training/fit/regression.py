"""Ridge and logistic regression with few features, and coefficients that lean towards zero as far as the data say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.errors import TrainingDataError

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]

NEWTON_STEPS = 30
"""Logistic fits end earlier, once a step gains nothing."""
_SMALLEST_GAIN = 1e-6
MOST_HALVINGS = 20
_STRENGTHS = np.geomspace(1e-7, 1e-1, 37)
"""Variances of coefficients that are tried, as multiples of that of the residual."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear predictor: intercept + x @ coefficients, in log-odds if `binary`.

    coefficients: float64, (p,).
    """

    intercept: float
    coefficients: FloatVector
    binary: bool = False

    def predict(self, features: FloatMatrix) -> FloatVector:
        """Return the expected outcome of each row, float64, (n,); a probability if `binary`."""
        value = self.intercept + features @ self.coefficients
        return expit(value) if self.binary else value


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Coefficients with their posterior covariance; float64, (p,) and (p, p)."""

    coefficients: FloatVector
    covariance: FloatMatrix

    def variance(self, features: FloatMatrix) -> FloatVector:
        """Return the variance of each row's prediction, float64, (n,)."""
        found: FloatVector = np.einsum("np,pq,nq->n", features, self.covariance, features, optimize=True)
        return np.maximum(found, 0.0)


def expit(value: FloatVector) -> FloatVector:
    """Return probabilities of log-odds."""
    found: FloatVector = 1.0 / (1.0 + np.exp(-np.clip(value, -40.0, 40.0)))
    return found


def log_odds(probability: FloatVector) -> FloatVector:
    """Return log-odds of probabilities, which are kept off 0 and 1."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    found: FloatVector = np.log(inside / (1 - inside))
    return found


def fit_ridge(features: FloatMatrix, outcome: FloatVector, penalty: float, weight: FloatVector | None = None) -> Linear:
    """Fit a ridge regression; the intercept is not penalised.

    Args:
        features: float64, (n, p), of similar scale; n >= 1.
        outcome: float64, (n,).
        penalty: L2 weight, in rows; >= 0.
        weight: of each row, >= 0; None: all alike.
    Source: Hoerl and Kennard (1970), "Ridge regression: biased estimation for nonorthogonal problems".
    """
    each = np.ones(len(outcome)) if weight is None else weight
    total = float(each.sum())
    if total <= 0:
        raise TrainingDataError("There is nothing to fit a regression on.")
    centre, level = each @ features / total, float(each @ outcome) / total
    moved = features - centre
    gram = (moved * each[:, None]).T @ moved + penalty * np.eye(features.shape[1])
    coefficients = _solve(gram, moved.T @ (each * (outcome - level)))
    return Linear(level - float(centre @ coefficients), coefficients)


def fit_logistic(
    features: FloatMatrix, outcome: FloatVector, penalty: float, weight: FloatVector | None = None
) -> Linear:
    """Fit a logistic regression by Newton's method; the intercept is hardly penalised.

    Where all outcomes are alike the probability is that of one more row of either kind, for every features.

    Args: as for fit_ridge; outcome in [0, 1].
    Source: Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical Learning", section 4.4.1.
    """
    each = np.ones(len(outcome)) if weight is None else weight
    total, ones = float(each.sum()), float(each @ outcome)
    if total <= 0:
        raise TrainingDataError("There is nothing to fit a regression on.")
    start = float(np.log((ones + 1) / (total - ones + 1)))
    size = features.shape[1]
    if ones <= 0 or ones >= total:
        return Linear(start, np.zeros(size), binary=True)
    design = np.concatenate((np.ones((len(outcome), 1)), features), axis=1)
    ridge = np.concatenate(([1e-6], np.full(size, penalty)))
    beta = np.concatenate(([start], np.zeros(size)))
    worth = _worth(design, outcome, each, ridge, beta)
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ beta)
        slope = design.T @ (each * (outcome - chance)) - ridge * beta
        curve = (design * (each * chance * (1 - chance))[:, None]).T @ design + np.diag(ridge)
        step = _solve(curve, slope)
        # A whole step overshoots where outcomes are rare: it is halved until it gains.
        found = _worth(design, outcome, each, ridge, beta + step)
        for _ in range(MOST_HALVINGS):
            if found >= worth:
                break
            step = step / 2
            found = _worth(design, outcome, each, ridge, beta + step)
        if found < worth:
            break
        beta, gained, worth = beta + step, found - worth, found
        if gained < _SMALLEST_GAIN:
            break
    return Linear(float(beta[0]), beta[1:], binary=True)


def fit_shrunk(features: FloatMatrix, outcome: FloatVector, weight: FloatVector | None = None) -> Shrunk:
    """Fit coefficients without intercept whose common prior variance the data choose, averaged over its posterior.

    Args:
        features: float64, (n, p), of similar scale.
        outcome: float64, (n,), centred.
        weight: inverse noise of each row up to a factor; None: all alike.
    Source: MacKay (1992), "Bayesian interpolation", evidence for the strength of a ridge penalty.
    """
    each = np.ones(len(outcome)) if weight is None else weight / max(float(weight.mean()), 1e-300)
    noise = float(each @ outcome**2) / max(len(outcome), 1)
    size = features.shape[1]
    if noise <= 0 or size == 0:
        return Shrunk(np.zeros(size), np.zeros((size, size)))
    value, basis = np.linalg.eigh((features * each[:, None]).T @ features)
    kept = value > 1e-9 * max(float(value.max(initial=0.0)), 1e-300)
    value, basis = value[kept], basis[:, kept]
    pull = basis.T @ (features.T @ (each * outcome))
    prior = _STRENGTHS[:, None] * noise
    spread = noise * value + prior * value**2
    evidence = -0.5 * (np.log(spread) + pull**2 / spread).sum(axis=1)
    chance = np.exp(evidence - evidence.max(initial=-np.inf))
    chance /= chance.sum()
    means = prior * pull / (prior * value + noise)
    mean = chance @ means
    variance = chance @ (prior * noise / (prior * value + noise)) + chance @ (means - mean) ** 2
    return Shrunk(basis @ mean, (basis * variance) @ basis.T)


def _worth(
    design: FloatMatrix, outcome: FloatVector, each: FloatVector, ridge: FloatVector, beta: FloatVector
) -> float:
    """Return the penalised log-likelihood of coefficients."""
    odds = design @ beta
    return float(each @ (outcome * odds - np.logaddexp(0.0, odds))) - 0.5 * float(ridge @ beta**2)


def _solve(matrix: FloatMatrix, right: FloatVector) -> FloatVector:
    """Solve a symmetric system; directions without information stay zero."""
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        found = np.full(len(right), np.nan)
    if not np.isfinite(found).all():
        found = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return np.asarray(found, np.float64)
