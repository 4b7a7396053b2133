"""Exploring plans: the recorded chances are the real ones, and no limit is exceeded whatever is drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.coupons.allocation import Terms, allocate
from recommender.coupons.demand import Pool
from recommender.coupons.exploring import allocate_exploring, draw, tickets_of
from recommender.coupons.limits import LimitTable, budget, stock
from recommender.coupons.matrices import Arrays
from recommender.errors import InputError
from tests.recommender.coupons.test_allocation import Costs, Values, cases, check_plan, pairs


def test_tickets_cost_at_most_their_share_of_every_limit() -> None:
    pool = Pool(np.ones((3, 40)), np.tile([[5.0], [10.0], [1.0]], (1, 40)), np.arange(40))
    limits = (budget(400), stock([None, None, 8]))
    table = LimitTable.of(limits, 100, np.zeros(3, np.int64))
    # Ten of each and ten blanks, but only two pieces of the last; 10 * 5 + 10 * 10 + 2 is too much for 100 cents.
    tickets = tickets_of(pool, table, 0.25)
    assert tickets.tolist() == [6, 6, 2]
    assert tickets_of(pool, LimitTable.of((), 100, np.zeros(3, np.int64)), 0.25).tolist() == [10, 10, 10]


def test_every_member_draws_each_ticket_as_often() -> None:
    value = np.ones((2, 4))
    value[1, 2] = -np.inf
    pool = Pool(value, np.ones((2, 4)), np.arange(4))
    table = LimitTable.of((), 8, np.zeros(2, np.int64))
    rounds, rng = 4000, np.random.default_rng(3)
    seen: Counter[tuple[int, int]] = Counter()
    for _ in range(rounds):
        seen.update(enumerate(draw(pool, table, np.array([1, 2]), 0.5, rng).tolist()))
    for member in range(4):
        chances = [0.25, 0.0, 0.75] if member == 2 else [0.25, 0.5, 0.25]
        assert [seen[member, offer] / rounds for offer in range(3)] == pytest.approx(chances, abs=0.03)


def test_recorded_chances_are_the_real_ones() -> None:
    rng = np.random.default_rng(1)
    value, cost = rng.normal(2, 5, (30, 2)), rng.integers(1, 9, (30, 2))
    value[3, 0] = np.nan
    terms, rounds = Terms((budget(60),)), 150
    seen: Counter[tuple[int, int]] = Counter()
    told: dict[tuple[int, int], list[float]] = {}
    for seed in range(rounds):
        found = allocate_exploring(Arrays(value, cost), terms, 0.5, np.random.default_rng(seed))
        given = set(zip(found.plan.member_row.tolist(), found.plan.offer_row.tolist(), strict=True))
        seen.update(given)
        seen.update((member, 2) for member in set(range(30)) - {member for member, _ in given})
        for pair, chance in zip(sorted(given), found.propensity.tolist(), strict=True):
            told.setdefault(pair, []).append(chance)
        for member, chance in enumerate(found.none_propensity.tolist()):
            if member not in {other for other, _ in given}:
                told.setdefault((member, 2), []).append(chance)
    # Averaged over what happened, one over the chance of a pair counts how often it could have happened: each time.
    weights = {pair: sum(1 / chance for chance in chances) / rounds for pair, chances in told.items()}
    common = [weight for pair, weight in weights.items() if seen[pair] > 15]
    assert np.mean(common) == pytest.approx(1, abs=0.05)


def test_what_is_drawn_is_not_in_the_plan_of_the_others() -> None:
    value, cost = np.full((1000, 3), 10.0), np.full((1000, 3), 2)
    terms = Terms((budget(1000),))
    found = allocate_exploring(Arrays(value, cost), terms, 0.1, np.random.default_rng(0))
    assert len(found.explorers) == 100
    assert found.plan.total_cost_cents == 1000
    assert found.plan.gap < 1e-5
    assert (found.propensity > 0).all()
    assert found.none_propensity.shape == (1000,)


def test_without_a_share_nobody_draws() -> None:
    rng = np.random.default_rng(2)
    value, cost = rng.normal(2, 5, (50, 3)), rng.integers(1, 9, (50, 3))
    plain = allocate(Arrays(value, cost), Terms((budget(60),)))
    found = allocate_exploring(Arrays(value, cost), Terms((budget(60),)), 0.0, np.random.default_rng(0))
    assert pairs(found.plan) == pairs(plain)
    assert (found.propensity == 1).all()
    with pytest.raises(InputError) as caught:
        allocate_exploring(Arrays(value, cost), Terms(()), 0.6, np.random.default_rng(0))
    assert caught.value.field == "share"


@settings(deadline=None, max_examples=60)
@given(cases(25, 4), st.floats(0, 0.5), st.integers(0, 9))
def test_exploring_plans_keep_every_limit(case: tuple[Values, Costs, Terms], share: float, seed: int) -> None:
    value, cost, terms = case
    found = allocate_exploring(Arrays(value, cost), terms, share, np.random.default_rng(seed))
    negative = np.nansum(np.minimum(found.plan.value_cents, 0))
    check_plan(value, cost, terms, found.plan, lowest=negative)
    assert ((found.propensity > 0) & (found.propensity <= 1 + 1e-12)).all()
    assert ((found.none_propensity >= -1e-12) & (found.none_propensity <= 1 + 1e-12)).all()
