"""What members outside of a plan would have got: the same choice at the same prices, and lots in the same shares."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.coupons.allocation import Terms
from recommender.coupons.exploring import allocate_exploring
from recommender.coupons.fairness import Tenure, floor_limit
from recommender.coupons.limits import budget
from recommender.coupons.matrices import Arrays
from recommender.coupons.would_have import would_have_got

RNG = np.random.default_rng


def arrays(value: object, cost: object) -> Arrays:
    return Arrays(np.array(value, np.float32), np.array(cost, np.int64))


def test_without_limits_everybody_would_have_got_what_earns_most() -> None:
    terms = Terms(())
    plan = allocate_exploring(arrays([[1.0, 2.0]], [[1, 1]]), terms, 0.0, RNG(1))
    others = arrays([[3.0, 5.0], [-1.0, -2.0], [np.nan, 4.0], [7.0, np.nan], [np.nan, np.nan]], [[1, 1]] * 5)
    found = would_have_got(others, plan, terms, 1, RNG(2))
    assert found.offer_row.tolist() == [1, -1, 1, 0, -1]
    assert found.propensity.tolist() == [1.0] * 5


def test_the_price_of_the_budget_counts() -> None:
    # 100 members like one another cost 10 each and earn from 1 to 100: a budget of 500 is for the 50 who earn most.
    value = np.arange(1.0, 101.0)[:, None]
    terms = Terms((budget(500),))
    plan = allocate_exploring(arrays(value, np.full((100, 1), 10)), terms, 0.0, RNG(1))
    assert sorted(plan.plan.member_row.tolist()) == list(range(50, 100))
    found = would_have_got(arrays([[45.0], [60.0]], [[10], [10]]), plan, terms, 100, RNG(2))
    assert found.offer_row.tolist() == [-1, 0]
    dear = would_have_got(arrays([[60.0]], [[30]]), plan, terms, 100, RNG(2))
    assert dear.offer_row.tolist() == [-1]  # three times as dear, not three times as good


def test_lots_are_drawn_in_the_shares_of_the_plan_with_their_chances() -> None:
    terms, n = Terms(()), 20_000
    value = np.tile(np.array([5.0, 1.0], np.float32), (n, 1))
    plan = allocate_exploring(arrays(value, np.ones((n, 2))), terms, 0.3, RNG(1))
    found = would_have_got(arrays(value, np.ones((n, 2))), plan, terms, n, RNG(2))
    # Of those who draw a third gets each offer and a third nothing; all others get the better offer.
    shares = np.bincount(found.offer_row + 1, minlength=3) / n
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.01)
    for offer, chance in ((-1, 0.1), (0, 0.8), (1, 0.1)):
        assert found.propensity[found.offer_row == offer] == pytest.approx(chance, abs=0.001)
    kept = np.bincount(plan.plan.offer_row, minlength=2) / n
    assert shares[1:] == pytest.approx(kept, abs=0.01)


def test_new_members_who_were_not_planned_for_face_the_floor_too() -> None:
    """One loyal member earns 1 cent, two new ones much more: their class may have no more per head."""
    who = Tenure(np.zeros(3, np.int32), np.array([False, True, True]), np.zeros(3, np.int64), (frozenset(),))
    others = Tenure(np.zeros(2, np.int32), np.array([False, True]), np.zeros(2, np.int64), (frozenset(),))
    for room, wanted in ((0, [0, -1]), (10**9, [0, 0])):
        terms = Terms((floor_limit(who, [room]),))
        plan = allocate_exploring(arrays([[1.0], [90.0], [80.0]], [[10], [10], [10]]), terms, 0.0, RNG(1))
        found = would_have_got(arrays([[5.0], [95.0]], [[10], [10]]), plan, terms, 3, RNG(2), others)
        assert found.offer_row.tolist() == wanted
