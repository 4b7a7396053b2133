"""Fits the chance that an offer is redeemed, or that something is bought anyway, and calibrates it on unseen rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.coupons.features import FEATURES
from recommender.coupons.response import ResponseModel
from training.fit.regression import expit, fit_logistic, log_odds
from training.parallel import apart

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]
BoolVector = npt.NDArray[np.bool_]

FOLDS = 3
SHIFT = 0.04
"""Relative doubt of a chance however many rows it was learned from: the next campaign is not quite like the last."""
LEAST_CASES = 100
"""Rows of the rarer outcome from which on trees are grown."""
ROWS_PER_LEAF = 60
CASES_PER_TREE = 12
MOST_TREES = 120
OTHERS_EACH = 3
LEAST_OTHERS, MOST_OTHERS = 30_000, 120_000
"""Rows where nothing happened that are learned from: so many for each where something did, within bounds. Of more, some
are left out, and the chance is set right for it.
"""
FACE = ("face", "strength")
"""Features that a larger discount raises: it never makes a redemption less likely."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How to fit: the seed, which features may only raise the chance, by their names in FEATURES, the L2 weight of the
    regression in rows, and whether trees are grown too.
    """

    seed: int
    rising: tuple[str, ...] = ()
    penalty: float = 10.0
    trees: bool = True


def fit_response(
    features: FloatMatrix, outcome: BoolVector, group: IntVector, options: FitOptions
) -> tuple[ResponseModel, FloatVector]:
    """Fit and calibrate a chance.

    Args:
        features: float32, (n, p); n >= 1.
        outcome: bool, (n,).
        group: int64, (n,); rows of one group (a member) are never on both sides of a fold.
        options: how.
    Returns: the model of all rows, and for each row the calibrated chance by a model that has not seen its group.
        Where all outcomes are alike the chance is that of one more row of either kind.
    Source: Platt (1999), "Probabilistic outputs for support vector machines", for the calibration.
    """
    taken, share = _sample(outcome, options.seed)
    model, seen = _fit_calibrated(features[taken], outcome[taken], group[taken], options)
    model = replace(model, shift=model.shift + float(np.log(share)))
    chance = np.empty(len(outcome))
    # Rows that were not taken have not been seen by the model.
    chance[~taken] = model.chance(features[~taken])
    chance[taken] = expit(log_odds(seen) + np.log(share))
    return model, chance


def _sample(outcome: BoolVector, seed: int) -> tuple[BoolVector, float]:
    """Choose the rows to learn from: all where something happened, and as many others as there is room for.

    Returns: bool, (n,); the share of the others that was chosen.
    """
    room = min(max(OTHERS_EACH * int(outcome.sum()), LEAST_OTHERS), MOST_OTHERS)
    others = int((~outcome).sum())
    if others <= room:
        return np.ones(len(outcome), bool), 1.0
    drawn = np.random.default_rng(seed).random(len(outcome)) < room / others
    return outcome | drawn, room / others


def _fit_calibrated(
    features: FloatMatrix, outcome: BoolVector, group: IntVector, options: FitOptions
) -> tuple[ResponseModel, FloatVector]:
    """As fit_response, on all rows given."""
    whole = _fit(features, outcome, options)
    fold = _folds(group, options.seed)
    apart_odds = np.empty(len(outcome))
    for number in range(FOLDS):
        inside = fold == number
        if inside.any():
            others = ~inside if (~inside).any() else inside
            apart_odds[inside] = _fit(features[others], outcome[others], options).log_odds(features[inside])
    slope, shift = _calibration(apart_odds, outcome)
    model = replace(whole, slope=slope, shift=shift)
    return model, expit(slope * apart_odds + shift)


def _fit(features: FloatMatrix, outcome: BoolVector, options: FitOptions) -> ResponseModel:
    centre = features.mean(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    usable = spread > 1e-6
    scale = np.where(usable, spread, 1.0)
    design = np.clip((features - centre) / scale, -8.0, 8.0)
    coefficients = _rising_logistic(design, outcome.astype(np.float64), usable, options)
    cases = int(min(outcome.sum(), (~outcome).sum()))
    trees = _grow(features, outcome, cases, options) if options.trees and cases >= LEAST_CASES else ""
    doubt = float(np.hypot(1.0 / np.sqrt(max(float(outcome.sum()), 1.0)), SHIFT))
    return ResponseModel(centre, scale, coefficients, trees, 1.0, 0.0, doubt)


def _rising_logistic(
    design: npt.NDArray[np.float64], outcome: FloatVector, usable: BoolVector, options: FitOptions
) -> FloatVector:
    """Fit a logistic regression, leaving out features whose coefficient would fall though it may only rise."""
    held = np.zeros(design.shape[1], bool)
    rising = options.rising
    held[[FEATURES.index(name) for name in rising if FEATURES.index(name) < len(held)]] = True
    kept = usable.copy()
    coefficients = np.zeros(design.shape[1] + 1)
    for _ in range(len(rising) + 1):
        fitted = fit_logistic(design[:, kept], outcome, options.penalty)
        coefficients[:] = 0.0
        coefficients[0] = fitted.intercept
        coefficients[1:][kept] = fitted.coefficients
        wrong = held & kept & (coefficients[1:] < 0)
        if not wrong.any():
            break
        kept &= ~wrong
    return coefficients


def _grow(features: FloatMatrix, outcome: BoolVector, cases: int, options: FitOptions) -> str:
    """Grow trees, each on most rows and features, and return them as text."""
    import lightgbm

    # A feature that may only rise has 1; those mixed of it too, as their other factors are never below zero.
    rising = [int(any(name == part or name.startswith(f"{part}_") for part in options.rising)) for name in FEATURES]
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.06,
        "min_data_in_leaf": ROWS_PER_LEAF,
        "feature_fraction": 0.7,
        "lambda_l2": 10.0,
        "max_bin": 63,
        "monotone_constraints": (rising + [0] * features.shape[1])[: features.shape[1]],
        "seed": options.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    rounds = int(np.clip(cases // CASES_PER_TREE, 10, MOST_TREES))

    def work() -> str:
        data = lightgbm.Dataset(features, outcome.astype(np.float32), params=parameters)
        text: str = lightgbm.train(parameters, data, rounds).model_to_string()
        return text

    return apart(work)


def _calibration(odds: FloatVector, outcome: BoolVector) -> tuple[float, float]:
    """Return slope and shift of log-odds that fit what happened; none where all outcomes are alike."""
    if outcome.all() or not outcome.any() or float(odds.std()) < 1e-9:
        return 1.0, 0.0
    fitted = fit_logistic(odds[:, None], outcome.astype(np.float64), 1e-3)
    slope = float(fitted.coefficients[0])
    return (slope, fitted.intercept) if slope > 0 else (1.0, 0.0)


def _folds(group: IntVector, seed: int) -> IntVector:
    """Deal groups out to folds."""
    names, at = np.unique(group, return_inverse=True)
    dealt: IntVector = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[at]
    return dealt
