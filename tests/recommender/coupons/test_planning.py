"""A plan from scores, eligibility and money, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.planning import OfferPlan, PlanRequest, make_plan, multipliers_of, plan_cost
from recommender.coupons.scores import OfferScores
from recommender.errors import InputError
from recommender.ids import IdIndex

AT = datetime(2026, 3, 2, tzinfo=UTC)
OFFERS = (
    Offer("five", OfferKind.AMOUNT_OFF, value=500),
    Offer("ten", OfferKind.AMOUNT_OFF, value=1000, funded_share=0.5),
)


def scores() -> OfferScores:
    profit = np.array([[90.0, 40.0], [50.0, 60.0], [-5.0, 10.0]], np.float32)
    cost = np.array([[40.0, 20.0], [40.0, 25.0], [40.0, 20.0]], np.float32)
    return OfferScores(
        members=IdIndex.of(["a", "b", "c"]),
        offer_id=("five", "ten"),
        at=AT,
        expected_profit_cents=profit,
        standard_error_cents=np.array([[3.0, 3.0], [4.0, 4.0], [1.0, 1.0]], np.float32),
        expected_cost_cents=cost / 2,
        cost_bound_cents=cost,
        redemption_probability=np.full((3, 2), 0.1, np.float32),
        assumed=np.array([False, True]),
    )


def request(**terms: Any) -> PlanRequest:
    return PlanRequest(OFFERS, 90, (None, None), **terms)


def plan(allowed: object = None, **terms: Any) -> OfferPlan:
    mask = np.ones((3, 2), bool) if allowed is None else np.array(allowed, bool)
    return make_plan(scores(), mask, request(**terms))


def pairs(made: OfferPlan) -> list[tuple[int, int]]:
    done = made.explored.plan
    return list(zip(done.member_row.tolist(), done.offer_row.tolist(), strict=True))


def test_budgets_count_all_that_is_granted() -> None:
    # The retailer pays half of the second offer, so that its discount is twice the retailer's share.
    assert plan_cost(scores(), OFFERS).tolist() == [[40_000, 40_000], [40_000, 50_000], [40_000, 40_000]]
    funded = (OFFERS[0], replace(OFFERS[1], funded_share=1.0))
    assert plan_cost(scores(), funded)[:, 1].tolist() == [100_000, 100_000, 100_000]


def test_a_plan_and_its_figures() -> None:
    made = plan()
    assert pairs(made) == [(0, 0), (1, 1)]
    figures = made.figures
    assert (figures.members, figures.reach, figures.coupons, figures.assumed) == (3, 2, 2, 1)
    assert (figures.planned_cost, figures.expected_cost, figures.profit) == (90, 32.5, 150.0)
    # Errors of 3 and 4 of two offers: 5 in all, times 1.96.
    assert (figures.low, figures.high) == pytest.approx((140.2, 159.8))
    assert figures.bound >= 150
    assert made.curve[0].budget_cents == 0


def test_costs_below_a_cent_count() -> None:
    small = replace(scores(), cost_bound_cents=np.full((3, 2), 0.4, np.float32))
    made = make_plan(small, np.ones((3, 2), bool), PlanRequest(OFFERS[:1] + OFFERS[:1], 1, (None, None)))
    assert (made.figures.coupons, made.figures.planned_cost) == (2, 1)


def test_a_budget_below_every_coupon_has_a_price() -> None:
    made = make_plan(scores(), np.ones((3, 2), bool), PlanRequest(OFFERS, 0, (None, None)))
    # The best use of a cent: 90 of profit for 40 cents; and at most 60 for the 50 of the next member.
    assert made.figures.coupons == 0
    assert made.figures.price == pytest.approx(2.25, rel=1e-2)


def test_errors_of_one_offer_go_together() -> None:
    made = plan([[True, False], [True, False], [False, False]])
    assert pairs(made) == [(0, 0), (1, 0)]
    assert made.figures.high - made.figures.profit == pytest.approx(1.96 * 7)


def test_who_may_not_have_an_offer_does_not_get_it() -> None:
    assert pairs(plan([[False, True], [False, False], [True, True]])) == [(0, 1), (2, 1)]


def test_without_a_budget_there_is_neither_price_nor_curve() -> None:
    made = make_plan(scores(), np.ones((3, 2), bool), PlanRequest(OFFERS, None, (None, None)))
    assert pairs(made) == [(0, 0), (1, 1), (2, 1)]
    assert (made.figures.price, made.curve) == (None, ())


def test_pessimism_values_coupons_at_their_lower_bound() -> None:
    made = plan(pessimism=11.0)
    assert pairs(made) == [(0, 0), (1, 1)]
    assert (made.figures.value, made.figures.profit) == (pytest.approx(73.0), 150.0)


def test_liability_needs_a_worst_case() -> None:
    assert pairs(plan(liability_cents=1500)) == [(0, 0), (1, 1)]
    assert pairs(plan(liability_cents=1499)) == [(0, 0), (1, 0)]
    boundless = (OFFERS[0], Offer("half", OfferKind.PERCENT_OFF, value=5000))
    with pytest.raises(InputError) as caught:
        make_plan(scores(), np.ones((3, 2), bool), PlanRequest(boundless, 90, (None, None), liability_cents=1500))
    assert caught.value.field == "maximum_discount_cents"


def test_a_plan_leaves_its_prices_behind() -> None:
    made = make_plan(scores(), np.ones((3, 2), bool), PlanRequest(OFFERS, 90, (None, 1)))
    kept = multipliers_of(made, scores(), "c1", "b1")
    assert (kept.campaign_id, kept.bundle_id, kept.offer_id) == ("c1", "b1", ("five", "ten"))
    assert kept.cent_price == made.figures.price
    assert kept.coupon_cents[0] == 0 <= kept.coupon_cents[1]
