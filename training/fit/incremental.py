"""Fits the incremental profit of offers: doubly robust and cross-fitted where sends were randomised, else assumed.

Extra purchases of what an offer covers are learned first, as a chance: that has far less noise than margins, let alone
total profit. What an extra purchase brings, inside the scope and outside it, is then two numbers, which lean on what
purchases usually bring. Redemptions cost what the calibrated model of response says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.response import ResponseModel
from recommender.coupons.uplift import BASIS, ProfitModel, basis, kind_of
from training.fit.pairs import Pairs
from training.fit.regression import Shrunk, fit_shrunk
from training.fit.response import FACE, FitOptions, fit_response

FloatVector = npt.NDArray[np.float64]
FloatMatrix = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

LEAST_CONTROLS = 50
"""Pairs that were randomised and compared with, and such that were given, without which nothing is learned."""
ANYWAY = 0.7
"""Part of those who buy anyway who use a coupon, where an effect is begun with."""
LEVEL_SPREAD = 0.5
"""Doubt, before data, whether an extra purchase earns what a usual one does."""
SPILL_START, SPILL_SPREAD = 0.5, 0.5
"""What an extra purchase is believed to bring beside itself before data, in units of the rest of a usual basket."""
ASSUMED_SHARE, ASSUMED_SPREAD = 0.5, 0.5
"""Part of the redemptions by those who would not buy anyway that are extra, where nothing was randomised."""
KINDS = 3
COST_PRIOR = 10.0
"""Redemptions that the discount expected is worth."""
CUT = 0.995
"""Margins above this quantile are cut down to it."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and for each pair it was learned from what it says of pairs it has not seen.

    redeems, buys: float64, (n,).  extra: float64, (n,), chance of an extra purchase.
    scores: float64, (n,), doubly robust scores of extra purchases, NaN where nothing was randomised.
    """

    model: ProfitModel
    redeems: FloatVector
    buys: FloatVector
    extra: FloatVector
    scores: FloatVector
    randomised: BoolVector


def fit_profit(pairs: Pairs, contact_cents: float, options: FitOptions) -> Fitted:
    """Fit redemption, purchases without the offer, and what the offer adds.

    Args:
        pairs: of past waves; at least one given.
        contact_cents: what reaching a member costs.
        options: the seed.
    """
    group = pairs.member_row.astype(np.int64)
    redeems_model, redeems = _spread(pairs, pairs.given, pairs.redeemed, group, options, FACE)
    # Without anybody to compare with, purchases of those who got an offer say at most what they would buy anyway.
    base = pairs.control if pairs.control.any() else pairs.given & ~pairs.redeemed
    buys_model, buys = _spread(pairs, base, pairs.bought, group, options, ())
    cost_levels = _cost_levels(pairs)
    randomised = _randomised(pairs)
    if min(int((randomised & pairs.given).sum()), int((randomised & pairs.control).sum())) < LEAST_CONTROLS:
        model = _assumed(redeems_model, buys_model, cost_levels, contact_cents)
        extra = basis(pairs.features, redeems, buys) @ model.coefficients
        return Fitted(model, redeems, buys, extra, np.full(len(pairs), np.nan), np.zeros(len(pairs), bool))
    fold = _fold(group, options.seed)
    scores, weight = _scores(pairs, redeems, buys, pairs.bought.astype(np.float64), np.ones(len(pairs)))
    shape = basis(pairs.features, redeems, buys)
    effect = _effect(shape, scores, weight, randomised)
    extra = np.empty(len(pairs))
    for number in range(int(fold.max()) + 1):
        inside = fold == number
        extra[inside] = shape[inside] @ _effect(shape, scores, weight, randomised & ~inside).coefficients
    level = _multiple(pairs, redeems, buys, extra, pairs.inside_cents, pairs.line_cents, randomised, 1.0, LEVEL_SPREAD)
    held = randomised & (pairs.given | pairs.held)
    spill = (SPILL_START, SPILL_SPREAD**2)
    if (held & pairs.held).sum() >= LEAST_CONTROLS:
        spill = _multiple(
            pairs, redeems, buys, extra, pairs.outside_cents, pairs.rest_cents, held, SPILL_START, SPILL_SPREAD
        )
    model = ProfitModel(
        redeems_model, buys_model, effect.coefficients, effect.covariance, level[0], level[1], spill[0], spill[1],
        cost_levels, contact_cents, assumed=False,
    )  # fmt: skip
    return Fitted(model, redeems, buys, extra, scores, randomised)


def _spread(
    pairs: Pairs, learned: BoolVector, outcome: BoolVector, group: npt.NDArray[np.int64], options: FitOptions,
    rising: tuple[str, ...],
) -> tuple[ResponseModel, FloatVector]:  # fmt: skip
    """Fit a chance on some pairs; return it for all, by models that have not seen the member."""
    chosen = FitOptions(options.seed, rising)
    model, seen = fit_response(pairs.features[learned], outcome[learned], group[learned], chosen)
    chance = np.empty(len(pairs))
    chance[learned] = seen
    chance[~learned] = model.chance(pairs.features[~learned])
    return model, chance


def _randomised(pairs: Pairs) -> BoolVector:
    known: BoolVector = np.isfinite(pairs.propensity) & np.isfinite(pairs.other) & (pairs.given | pairs.control)
    return known & (pairs.propensity > 0) & (pairs.other > 0)


def _scores(
    pairs: Pairs, redeems: FloatVector, buys: FloatVector, outcome: FloatVector, unit: FloatVector
) -> tuple[FloatVector, FloatVector]:
    """Return doubly robust scores of the effect on an outcome, and weights that keep small chances from dominating.

    Args:
        outcome: float64, (n,).
        unit: float64, (n,), of the outcome for one purchase.
    Source: Robins, Rotnitzky and Zhao (1994); overlap weights after Li, Morgan and Zaslavsky (2018), "Balancing
        covariates via propensity score weighting".
    """
    given = np.where(pairs.given, pairs.propensity, pairs.other).astype(np.float64)
    other = np.where(pairs.given, pairs.other, pairs.propensity).astype(np.float64)
    chance = np.clip(np.nan_to_num(given / (given + other), nan=0.5), 1e-3, 1 - 1e-3)
    start = np.clip(redeems - ANYWAY * buys, 0.0, None) * unit
    base = buys * unit
    missed = np.where(pairs.given, (outcome - base - start) / chance, -(outcome - base) / (1 - chance))
    return start + missed, chance * (1 - chance)


def _effect(shape: FloatMatrix, scores: FloatVector, weight: FloatVector, chosen: BoolVector) -> Shrunk:
    """Explain scores by the basis, columns brought to one scale for a common shrinkage."""
    scale = np.maximum(np.sqrt((shape[chosen] ** 2).mean(axis=0)), 1e-9)
    fitted = fit_shrunk(shape[chosen] / scale, scores[chosen], weight[chosen])
    return Shrunk(fitted.coefficients / scale, fitted.covariance / np.outer(scale, scale))


def _multiple(
    pairs: Pairs,
    redeems: FloatVector,
    buys: FloatVector,
    extra: FloatVector,
    outcome: npt.NDArray[np.float32],
    unit: npt.NDArray[np.float32],
    chosen: BoolVector,
    start: float,
    spread: float,
) -> tuple[float, float]:
    """Return how many units of an outcome an extra purchase brings, leaning on a start, and the variance."""
    kept = chosen & (extra > 0)
    value = np.minimum(outcome, np.quantile(outcome[kept], CUT)).astype(np.float64) if kept.any() else outcome
    base = _expected(pairs, value, kept)
    own, other = pairs.propensity.astype(np.float64), pairs.other.astype(np.float64)
    given = np.where(pairs.given, own, other)
    chance = np.clip(np.nan_to_num(given / (own + other), nan=0.5), 1e-3, 1 - 1e-3)
    left = np.where(pairs.given, 1 - chance, -chance)[kept] * (value - base)[kept]
    push = (chance * (1 - chance) * extra * unit)[kept]
    # One member's pairs share an outcome: the noise is summed over members before it is squared.
    member, at = np.unique(pairs.member_row[kept].astype(np.int64) << 16 | pairs.wave[kept], return_inverse=True)
    drive = (extra * unit)[kept]
    top, bottom = float(drive @ left), float(drive @ push)
    if bottom <= 0:
        return start, spread**2
    found = top / bottom
    noise = np.bincount(at, drive * (left - found * push), len(member))
    variance = float((noise**2).sum()) / bottom**2
    trust = spread**2 / (spread**2 + variance)
    return start + trust * (found - start), trust * variance


def _expected(pairs: Pairs, value: npt.NDArray[np.floating], chosen: BoolVector) -> FloatVector:
    """Predict an outcome from members' features alone, to take out what has nothing to do with offers."""
    from training.fit.regression import fit_ridge

    centre, scale = pairs.features.mean(axis=0), np.maximum(pairs.features.std(axis=0), 1e-6)
    design = np.clip((pairs.features - centre) / scale, -8, 8).astype(np.float64)
    return fit_ridge(design[chosen], np.asarray(value, np.float64)[chosen], 100.0).predict(design)


def _cost_levels(pairs: Pairs) -> FloatVector:
    """Return discounts really granted per discount expected: of all offers, leaning on 1, then of each kind of them."""
    known = pairs.redeemed & pairs.given & np.isfinite(pairs.discount_cents) & (pairs.discount_cents > 0)
    granted, expected = pairs.discount_cents[known].astype(np.float64), pairs.face_cents[known].astype(np.float64)
    if expected.sum() <= 0:
        return np.ones(KINDS)
    lean = COST_PRIOR * float(expected.mean())
    level = (float(granted.sum()) + lean) / (float(expected.sum()) + lean)
    kind = kind_of(pairs.features[known])
    up, down = np.bincount(kind, granted, KINDS), np.bincount(kind, expected, KINDS)
    found: FloatVector = (up + lean * level) / (down + lean)
    return found


def _assumed(
    redeems: ResponseModel, buys: ResponseModel, cost_levels: FloatVector, contact_cents: float
) -> ProfitModel:
    """Return a model whose effects are a guess: some of those who redeem and would not buy anyway are extra."""
    coefficients, covariance = np.zeros(len(BASIS)), np.zeros((len(BASIS), len(BASIS)))
    pair = [BASIS.index("redeems"), BASIS.index("redeems_buys")]
    coefficients[pair] = ASSUMED_SHARE, -ASSUMED_SHARE
    direction = np.zeros(len(BASIS))
    direction[pair] = 1.0, -1.0
    covariance = ASSUMED_SPREAD**2 * np.outer(direction, direction)
    return ProfitModel(
        redeems, buys, coefficients, covariance, 1.0, LEVEL_SPREAD**2, SPILL_START, SPILL_SPREAD**2,
        cost_levels, contact_cents, assumed=True,
    )  # fmt: skip


def _fold(group: npt.NDArray[np.int64], seed: int, folds: int = 3) -> npt.NDArray[np.int64]:
    names, at = np.unique(group, return_inverse=True)
    dealt: npt.NDArray[np.int64] = (np.random.default_rng(seed + 1).permutation(len(names)) % folds)[at]
    return dealt
