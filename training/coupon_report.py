"""What training found out about coupons: how well redemptions are foretold, what offers change, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.uplift import Economics, PairScores, kind_of
from training.fit.coupons import CouponFit
from training.response_metrics import (
    auc,
    auc_within,
    average_precision,
    brier,
    calibration,
    calibration_error,
    log_loss,
)
from training.uplift_metrics import Estimate, PolicyValue, policy_value, qini, uplift_at, with_interval

FloatVector = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

SHARE = 0.3
MOST_ROWS = 60_000
"""Randomised pairs that intervals are drawn over; of more, some are drawn."""
SURE = 0.5
"""Redemptions of which fewer than half are extra are those of sure things."""
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class ResponseFigures:
    """How well redemptions are foretold, on members that the models had not seen.

    calibration: mean chance, share redeemed and rows, by rising chance in tenths.  lift: share redeemed among the
    likeliest tenth, per share redeemed.
    """

    pairs: int
    redeemed: int
    auc: float
    auc_within: float
    average_precision: float
    brier: float
    log_loss: float
    calibration_error: float
    lift: float
    calibration: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True)
class UpliftFigures:
    """What offers change, where sends were randomised.

    qini, uplift_at: of extra purchases, of the estimates for members not seen.  policies: profit per pair, in cents.
    """

    pairs: int
    qini: Estimate
    uplift_at: Estimate
    everybody: PolicyValue
    where_worth_it: PolicyValue


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of pairs: their share, and the means of what is expected of them."""

    name: str
    share: float
    redeems: float
    buys: float
    extra: float
    profit_cents: float


@dataclass(frozen=True, slots=True)
class CouponReport:
    """All of it; `uplift` is None where no sends were randomised, and `statement` says what that means."""

    waves: int
    statement: str
    response: ResponseFigures
    uplift: UpliftFigures | None
    kinds: tuple[Kind, ...]


def report_coupons(fit: CouponFit, seed: int) -> CouponReport:
    """Look at what was fitted on members that it had not seen."""
    pairs, fitted = fit.pairs, fit.fitted
    given = pairs.given
    outcome, chance = pairs.redeemed[given], fitted.redeems[given]
    rows = calibration(outcome, chance)
    response = ResponseFigures(
        pairs=int(given.sum()),
        redeemed=int(outcome.sum()),
        auc=auc(outcome, chance),
        auc_within=auc_within(outcome, chance, pairs.wave[given].astype(np.int64)),
        average_precision=average_precision(outcome, chance),
        brier=brier(outcome, chance),
        log_loss=log_loss(outcome, chance),
        calibration_error=calibration_error(outcome, chance),
        lift=rows[-1][1] / float(outcome.mean()) if outcome.any() else float("nan"),
        calibration=tuple(rows),
    )
    scores = _scores(fit)
    uplift = None if fitted.model.assumed else _uplift(fit, scores, seed)
    return CouponReport(len(fit.waves), _statement(fit), response, uplift, _kinds(fit, scores))


def _statement(fit: CouponFit) -> str:
    if fit.fitted.model.assumed:
        return (
            "Past sends were not randomised: what offers change cannot be learned from them. Profits are assumed from "
            "the chances to redeem and to buy anyway, and flagged; keep some members without, by lot, to learn more."
        )
    return "Past sends were randomised: what offers change was learned from those who got none."


def _scores(fit: CouponFit) -> PairScores:
    """Return what the model expects of every pair that was given."""
    pairs = fit.pairs.where(fit.pairs.given)
    money = Economics(
        pairs.face_cents.astype(np.float64),
        pairs.line_cents.astype(np.float64),
        pairs.rest_cents.astype(np.float64),
        np.ones(len(pairs)),
    )
    return fit.fitted.model.scores(pairs.features, money)


def _uplift(fit: CouponFit, scores: PairScores, seed: int) -> UpliftFigures:
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(fit.fitted.randomised)
    if len(chosen) > MOST_ROWS:
        chosen = np.sort(rng.choice(chosen, MOST_ROWS, replace=False))
    pairs, extra = fit.pairs.where(_mask(len(fit.pairs), chosen)), fit.fitted.extra[chosen]
    bought = pairs.bought.astype(np.float64)

    def best(outcome: FloatVector, effect: FloatVector, treated: BoolVector) -> float:
        return uplift_at(outcome, effect, treated, SHARE)

    model = fit.fitted.model
    unit = model.level * pairs.line_cents + model.spill * pairs.rest_cents
    granted = pairs.face_cents * model.cost_levels[kind_of(pairs.features)]
    cost = fit.fitted.redeems[chosen] * granted + model.contact_cents
    own, other = pairs.propensity.astype(np.float64), pairs.other.astype(np.float64)
    chance = np.where(pairs.given, own, other) / (own + other)
    propensity = np.stack((1 - chance, chance), axis=1)
    # What happened, in cents: extra margin is what purchases bring, less what redemptions really cost.
    spent = np.where(pairs.given, pairs.redeemed * granted + model.contact_cents, 0.0)
    earned = bought * unit - spent
    base = fit.fitted.buys[chosen] * unit
    expected = np.stack((base, base + extra * unit - cost), axis=1)
    worth = extra * unit > cost
    policies = [
        policy_value(choice, pairs.given.astype(np.int64), earned, propensity, expected, rng, ROUNDS)
        for choice in (np.ones(len(chosen), np.int64), worth.astype(np.int64))
    ]
    figures = bought, extra, pairs.given
    return UpliftFigures(
        pairs=len(chosen),
        qini=with_interval(qini, *figures, rng, ROUNDS),
        uplift_at=with_interval(best, *figures, rng, ROUNDS),
        everybody=policies[0],
        where_worth_it=policies[1],
    )


def _kinds(fit: CouponFit, scores: PairScores) -> tuple[Kind, ...]:
    """Tell those who gain, sure things, those who are put off and those whom nothing moves apart."""
    given = fit.pairs.given
    redeems, buys, extra = fit.fitted.redeems[given], fit.fitted.buys[given], fit.fitted.extra[given]
    put_off = extra < 0
    gains = ~put_off & (scores.profit_cents > 0)
    sure = ~put_off & ~gains & (extra < SURE * redeems)
    rest = ~(put_off | gains | sure)
    named = (
        ("gain: the offer earns more than it costs", gains),
        ("sure things: most would buy anyway", sure),
        ("put off: they buy less with the offer", put_off),
        ("others: moved, but by less than it costs", rest),
    )
    return tuple(
        Kind(
            name,
            float(inside.mean()),
            float(redeems[inside].mean()),
            float(buys[inside].mean()),
            float(extra[inside].mean()),
            float(scores.profit_cents[inside].mean()),
        )
        for name, inside in named
        if inside.any()
    )


def _mask(size: int, rows: npt.NDArray[np.int64]) -> BoolVector:
    found = np.zeros(size, bool)
    found[rows] = True
    return found
