"""Returns: Fieller's bounds by hand and by simulation, the bootstrap where there are none, redemptions anyway."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.campaigns.effect import Linear, Units, Verdict
from recommender.campaigns.returns import NO_RATIO, Method, bought_anyway, fieller, return_on_cost

RNG = np.random.default_rng


def units_of(treated: list[int], members: float = 1.0) -> Units:
    size = len(treated)
    return Units(np.array(treated, bool), np.full(size, members), np.full(size, 0.5))


def test_fieller_by_hand() -> None:
    # a = 10, b = 4, uncorrelated, squared quantile times variances 4 and 1: bounds solve (10 - 4 r)^2 = 4 + r^2.
    above = Linear(10.0, np.array([2.0, 0.0]), 1e9)
    below = Linear(4.0, np.array([0.0, 1.0]), 1e9)
    scaled = 1 / above.quantile
    found = fieller(Linear(10.0, above.influence * scaled, 1e9), Linear(4.0, below.influence * scaled, 1e9))
    root = math.sqrt(40**2 - 15 * 96)
    assert found == (pytest.approx((40 - root) / 15), pytest.approx((40 + root) / 15))


def test_fieller_has_no_bounds_where_the_cost_may_be_none() -> None:
    assert fieller(Linear(1.0, np.array([0.1, 0.0]), 1e9), Linear(0.5, np.array([0.0, 0.4]), 1e9)) is None


def test_iroi_by_hand() -> None:
    # Everybody treated earns 30 more and costs 10: iROI is 30 / 10 - 1, without any doubt.
    units = units_of([1, 1, 0, 0])
    found = return_on_cost(units, np.array([40.0, 40, 10, 10]), np.array([10.0, 10, 0, 0]), RNG(1))
    assert found.estimate.value == pytest.approx(2)
    assert (found.estimate.low, found.estimate.high) == (pytest.approx(2), pytest.approx(2))
    assert (found.method, found.verdict) == (Method.FIELLER, Verdict.RISE)


def test_what_controls_cost_counts_against_the_campaign() -> None:
    found = return_on_cost(units_of([1, 1, 0, 0]), np.array([12.0, 12, 0, 0]), np.array([5.0, 5, 1, 1]), RNG(1))
    assert found.estimate.value == pytest.approx(12 / 4 - 1)


def test_iroi_covers_the_truth() -> None:
    rng, held, rounds = RNG(8), 0, 400
    for _ in range(rounds):
        treated = rng.random(400) < 0.7
        redeemed = treated & (rng.random(400) < 0.3)
        margin = rng.gamma(2.0, 50.0, 400) + 90 * redeemed
        cost = 20.0 * redeemed + 1.0 * treated
        units = Units(treated, np.ones(400), np.full(400, 0.7))
        estimate = return_on_cost(units, margin, cost, rng).estimate
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 27 / 7 - 1 <= estimate.high
    assert 0.92 <= held / rounds <= 0.98


def test_the_bootstrap_stands_in_and_says_so() -> None:
    # Three of 200 treated redeemed: the cost cannot be told from none.
    treated = [1] * 200 + [0] * 100
    cost = np.zeros(300)
    cost[:3] = 500.0
    margin = RNG(2).gamma(2.0, 50.0, 300)
    found = return_on_cost(units_of(treated), margin, cost, RNG(3))
    assert found.method is Method.BOOTSTRAP
    assert found.estimate.low is not None
    assert found.estimate.value is not None
    assert found.estimate.low < found.estimate.value
    assert found == return_on_cost(units_of(treated), margin, cost, RNG(3))


def test_without_cost_or_groups_there_is_no_return() -> None:
    assert return_on_cost(units_of([1, 1, 0, 0]), np.ones(4), np.zeros(4), RNG(1)) == NO_RATIO
    assert return_on_cost(units_of([1, 0, 0]), np.ones(3), np.ones(3), RNG(1)) == NO_RATIO


def test_bought_anyway_by_hand() -> None:
    # Of 10 treated 6 bought and 4 redeemed, of 10 controls 3 bought: 3 of 10 more, so 1 - 0.3 / 0.4 anyway.
    units = units_of([1] * 10 + [0] * 10)
    buyers = np.array([1.0] * 6 + [0] * 4 + [1] * 3 + [0] * 7)
    found = bought_anyway(units, buyers, np.array([1.0] * 4 + [0] * 16))
    assert found.estimate.value == pytest.approx(0.25)
    assert (found.estimate.low, found.estimate.high) == (0, 1)


def test_bought_anyway_is_a_share() -> None:
    # As many controls bought as treated: all who redeemed would have bought.
    rng = RNG(4)
    treated = rng.random(20_000) < 0.5
    buyers = (rng.random(20_000) < 0.3).astype(float)
    redeemed = buyers * treated
    found = bought_anyway(Units(treated, np.ones(20_000), np.full(20_000, 0.5)), buyers, redeemed)
    assert found.estimate.value == pytest.approx(1, abs=0.05)
    assert found.estimate.low is not None
    assert found.estimate.low > 0.9
    assert bought_anyway(units_of([1, 1, 0, 0]), np.ones(4), np.zeros(4)) == NO_RATIO
