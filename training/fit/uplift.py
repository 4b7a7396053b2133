"""Uplift of a randomised table: what each arm changes against the control, learned doubly robust and cross-fitted.

Outcomes are first predicted per arm by models that have not seen the row, then corrected by what really happened,
weighted by the chance of the row's arm. A linear model explains the corrected differences; it starts from an effect
that is partly in proportion to the outcome expected without it, and departs from that as far as the data say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.errors import TrainingDataError
from training.fit.regression import Linear, Shrunk, fit_logistic, fit_ridge, fit_shrunk

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]
BoolVector = npt.NDArray[np.bool_]

FOLDS = 5
LEAST_ROWS = 20
"""Fewest rows of each arm."""
NUISANCE_PENALTY = 10.0
"""L2 weight, in rows, of the models of outcomes; features have unit variance."""
RELATIVE = 0.5
"""Where the shrinkage leads: halfway between an effect that is the same for all and one in proportion to the outcome
expected. Either alone ranks worse where the other holds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A randomised experiment as arrays.

    features: float64, (n, p), of zero mean and unit variance.  arm: int64, (n,), 0 for the control.
    outcome: float64, (n,).  propensity: float64, (n, arms), chance of each arm when it was drawn.
    """

    features: FloatMatrix
    arm: IntVector
    outcome: FloatVector
    propensity: FloatMatrix

    @property
    def arms(self) -> int:
        """How many arms there are, the control among them."""
        return self.propensity.shape[1]

    @property
    def binary(self) -> bool:
        """Whether every outcome is 0 or 1."""
        return bool(np.isin(self.outcome, (0.0, 1.0)).all())

    def where(self, kept: BoolVector) -> Trial:
        """Return the rows where `kept` is True."""
        return Trial(self.features[kept], self.arm[kept], self.outcome[kept], self.propensity[kept])


@dataclass(frozen=True, slots=True)
class ArmEffect:
    """The effect of one arm: mean * (1 - RELATIVE + RELATIVE * expected / level) + (features - centre) @ departure.

    mean: the average effect, of standard error `mean_error`.  level: the average expected outcome.
    centre: float64, (p,).
    """

    mean: float
    mean_error: float
    level: float
    centre: FloatVector
    departure: Shrunk

    def effect(self, features: FloatMatrix, expected: FloatVector) -> tuple[FloatVector, FloatVector]:
        """Return effect and standard error of each row, float64, (n,)."""
        shape = _shape(expected, self.level)
        moved = features - self.centre
        effect = self.mean * shape + moved @ self.departure.coefficients
        return effect, np.sqrt((self.mean_error * shape) ** 2 + self.departure.variance(moved))


@dataclass(frozen=True, slots=True)
class UpliftModel:
    """Effects of all arms but the control, and the models of outcomes behind them, one set per fold."""

    effects: tuple[ArmEffect, ...]
    outcomes: tuple[tuple[Linear, ...], ...]
    share: FloatVector

    def expected(self, features: FloatMatrix) -> FloatMatrix:
        """Return the outcome expected of each arm, float64, (n, arms)."""
        folds = [np.stack([arm.predict(features) for arm in models], axis=1) for models in self.outcomes]
        return np.asarray(np.mean(folds, axis=0), np.float64)

    def predict(self, features: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
        """Return effects and standard errors of all arms but the control, float64, (n, arms - 1)."""
        expected = self.expected(features)
        found = [
            effect.effect(features, _pooled(expected, self.share, arm)) for arm, effect in enumerate(self.effects, 1)
        ]
        return np.stack([one for one, _ in found], axis=1), np.stack([error for _, error in found], axis=1)


@dataclass(frozen=True, slots=True)
class Apart:
    """Estimates for rows by models that have not seen them; float64, (n, arms - 1) and (n, arms)."""

    effect: FloatMatrix
    error: FloatMatrix
    expected: FloatMatrix


def check_trial(trial: Trial) -> None:
    """Check that effects can be learned.

    Raises: TrainingDataError naming what is missing: an arm with too few rows, a chance of 0, an outcome that never
        varies.
    """
    if trial.arms < 2:
        raise TrainingDataError("There is a single arm: an effect is a difference between two.", field="treatment")
    rows = np.bincount(trial.arm, minlength=trial.arms)
    if rows.min() < LEAST_ROWS:
        raise TrainingDataError(
            "An arm has too few rows to learn from.",
            field="treatment",
            value=int(rows.min()),
            accepted=f"at least {LEAST_ROWS} rows of each arm",
        )
    drawn = trial.propensity[np.arange(len(trial.arm)), trial.arm]
    if not (np.isfinite(trial.propensity).all() and float(drawn.min()) > 0 and float(trial.propensity.max()) <= 1):
        raise TrainingDataError(
            "The chance of an arm that was drawn is out of range.",
            field="propensity",
            value=float(drawn.min()),
            accepted="above 0, up to 1",
        )
    if float(np.ptp(trial.outcome)) == 0:
        raise TrainingDataError(
            "The outcome is the same in every row: there is nothing to learn.",
            field="outcome",
            value=float(trial.outcome[0]),
        )


def fit_uplift(trial: Trial, seed: int = 0, folds: int = FOLDS) -> UpliftModel:
    """Learn the effects of a trial.

    Args:
        trial: as check_trial accepts it.
        seed: of the folds.
        folds: parts of the rows, each predicted from the others.
    Source: Robins, Rotnitzky and Zhao (1994) for the corrected differences; Chernozhukov et al. (2018), "Double/
        debiased machine learning", for cross-fitting; Kennedy (2023), "Towards optimal doubly robust estimation of
        heterogeneous causal effects", for regressing them on features.
    """
    check_trial(trial)
    fold = folds_of(trial.arm, folds, seed)
    outcomes = tuple(fit_outcomes(trial.where(fold != number)) for number in range(folds))
    expected = np.empty(trial.propensity.shape)
    for number, models in enumerate(outcomes):
        inside = fold == number
        expected[inside] = np.stack([arm.predict(trial.features[inside]) for arm in models], axis=1)
    scores = robust_scores(trial, expected)
    share = trial.propensity.mean(axis=0)
    effects = tuple(_fit_arm(trial, scores, expected, share, arm) for arm in range(1, trial.arms))
    return UpliftModel(effects, outcomes, share)


def estimate_apart(trial: Trial, seed: int = 0, folds: int = FOLDS) -> Apart:
    """Estimate the effects on each row by a model that was fitted on other rows only, outcomes and all."""
    effect = np.empty((len(trial.arm), trial.arms - 1))
    error, expected = np.empty_like(effect), np.empty(trial.propensity.shape)
    for number, inside in _parts(folds_of(trial.arm, folds, seed), folds):
        model = fit_uplift(trial.where(~inside), seed + number + 1, folds)
        effect[inside], error[inside] = model.predict(trial.features[inside])
        expected[inside] = model.expected(trial.features[inside])
    return Apart(effect, error, expected)


def fit_outcomes(trial: Trial) -> tuple[Linear, ...]:
    """Fit the outcome of each arm on its features."""
    fit = fit_logistic if trial.binary else fit_ridge
    return tuple(
        fit(trial.features[trial.arm == arm], trial.outcome[trial.arm == arm], NUISANCE_PENALTY)
        for arm in range(trial.arms)
    )


def robust_scores(trial: Trial, expected: FloatMatrix) -> FloatMatrix:
    """Return what each arm is estimated to give on each row: expected, corrected by what happened; (n, arms).

    Their mean is right if either the chances or the expectations are.
    """
    row = np.arange(len(trial.arm))
    scores = expected.copy()
    missed = trial.outcome - expected[row, trial.arm]
    scores[row, trial.arm] += missed / trial.propensity[row, trial.arm]
    return scores


def folds_of(arm: IntVector, folds: int, seed: int) -> IntVector:
    """Deal the rows of each arm out to folds of equal size, int64, (n,)."""
    fold = np.empty(len(arm), np.int64)
    rng = np.random.default_rng(seed)
    for number in np.unique(arm):
        rows = rng.permutation(np.flatnonzero(arm == number))
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def _parts(fold: IntVector, folds: int) -> Iterator[tuple[int, BoolVector]]:
    for number in range(folds):
        yield number, fold == number


def _fit_arm(trial: Trial, scores: FloatMatrix, expected: FloatMatrix, share: FloatVector, arm: int) -> ArmEffect:
    difference = scores[:, arm] - scores[:, 0]
    mean = float(difference.mean())
    error = float(difference.std()) / np.sqrt(len(difference))
    pooled = _pooled(expected, share, arm)
    level = float(pooled.mean())
    left = difference - mean * _shape(pooled, level)
    centre = trial.features.mean(axis=0)
    departure = fit_shrunk(trial.features - centre, left - left.mean())
    return ArmEffect(mean, float(error), level, centre, departure)


def _pooled(expected: FloatMatrix, share: FloatVector, arm: int) -> FloatVector:
    """Return the outcome expected of control and one arm together, each by its share."""
    both: FloatVector = (share[0] * expected[:, 0] + share[arm] * expected[:, arm]) / (share[0] + share[arm])
    return both


def _shape(expected: FloatVector, level: float) -> FloatVector:
    """Return how large an effect begins relative to its mean; 1 where no level is known."""
    if level <= 0:
        return np.ones(len(expected))
    return 1 - RELATIVE + RELATIVE * expected / level
