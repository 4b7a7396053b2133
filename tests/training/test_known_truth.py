"""Profit of offers against a world whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.coupon_world import OFFERS, make_offers
from tests.training.coupons import Learned, learned_world


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learned_world()


def plan(value, cost, budget):
    """Give each member the best offer at the lowest price of budget that keeps within it; an allocation in small."""
    row = np.arange(len(value))

    def at(price):
        worth = value - price * cost
        best = worth.argmax(axis=1)
        return best, worth[row, best] > 0

    low, high = 0.0, 100.0
    best, taken = at(low)
    if cost[row, best][taken].sum() <= budget:
        return best, taken
    for _ in range(50):
        middle = (low + high) / 2
        best, taken = at(middle)
        low, high = (middle, high) if cost[row, best][taken].sum() > budget else (low, middle)
    return at(high)


@pytest.mark.slow
def test_a_plan_reaches_a_good_part_of_the_oracles_profit(learned):
    order, found = learned.scores()
    profit, cost = (matrix[:, order] for matrix in learned.world.truth(make_offers(learned.world, 3)))
    n = len(profit)
    row = np.arange(n)
    best, taken = plan(profit, cost, np.inf)
    budget = 0.5 * cost[row, best][taken].sum()
    best, taken = plan(profit, cost, budget)
    oracle = profit[row, best][taken].sum()
    expected = found.profit_cents.reshape(n, OFFERS)
    best, taken = plan(expected, found.cost_bound_cents.reshape(n, OFFERS), budget)
    assert profit[row, best][taken].sum() > 0.35 * oracle
    assert cost[row, best][taken].sum() < 1.1 * budget


@pytest.mark.slow
def test_estimates_are_calibrated_and_say_how_unsure_they_are(learned):
    order, found = learned.scores()
    offers = make_offers(learned.world, 3)
    buys, comes = (matrix[:, order].ravel() for matrix in learned.world.chances(offers))
    profit, cost = (matrix[:, order].ravel() for matrix in learned.world.truth(offers))
    assert found.redemption.mean() == pytest.approx((0.75 * buys + comes).mean(), rel=0.1)
    assert found.cost_cents.sum() == pytest.approx(cost.sum(), rel=0.1)
    assert (found.cost_bound_cents >= found.cost_cents).all()
    assert np.corrcoef(found.profit_cents, profit)[0, 1] > 0.8
    assert (np.abs(found.profit_cents - profit) < 4 * found.error_cents + 10).mean() > 0.8


@pytest.mark.slow
def test_a_larger_discount_never_makes_a_redemption_less_likely(learned):
    from recommender.coupons.features import FEATURES

    features = learned.fit.pairs.features[:500].copy()
    model = learned.fit.models.profit.redeems
    place = {name: FEATURES.index(name) for name in FEATURES}
    before = model.chance(features)
    more = features.copy()
    more[:, place["face"]] += 0.5
    more[:, place["strength"]] += 0.5
    for mixed, factor in (("strength_saved", "saved"), ("strength_chance", "chance"), ("strength_rate", "redeem_rate")):
        more[:, place[mixed]] += 0.5 * more[:, place[factor]]
    more[:, place["strength_spread"]] += 0.5 * more[:, place["chance_spread"]]
    assert (model.chance(more) >= before - 1e-6).mean() > 0.97


def test_where_nothing_was_randomised_profit_is_assumed_and_unsure(learned):
    from dataclasses import replace

    from training.fit.incremental import fit_profit
    from training.fit.response import FitOptions

    pairs = learned.fit.pairs
    blind = replace(pairs, propensity=np.full(len(pairs), np.nan, np.float32))
    fitted = fit_profit(blind.where(np.arange(len(pairs)) % 4 == 0), 0.0, FitOptions(1))
    assert fitted.model.assumed
    assert not fitted.randomised.any()
    assert fitted.model.covariance.max() > 10 * learned.fit.models.profit.covariance.max() or fitted.model.level == 1.0


@pytest.mark.parametrize("outcome", [True, False])
def test_a_history_where_everybody_or_nobody_redeemed_gives_sensible_chances(learned, outcome):
    from dataclasses import replace

    from training.fit.incremental import fit_profit
    from training.fit.response import FitOptions

    some = learned.fit.pairs.where(np.arange(len(learned.fit.pairs)) % 10 == 0)
    alike = replace(some, redeemed=np.full(len(some), outcome))
    fitted = fit_profit(alike, 0.0, FitOptions(1))
    chance = fitted.model.redeems.chance(some.features)
    assert ((chance > 0.99) if outcome else (chance < 0.01)).all()
    assert np.isfinite(fitted.model.coefficients).all()
