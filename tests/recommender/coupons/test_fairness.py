"""Fairness: the published range, and the floor of loyal members, worked by hand and as a property."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.coupons.decisions import DECISIONS, Decision, decide_why, tally
from recommender.coupons.eligibility import Eligibility, LeftOut, read_eligibility, read_tenure
from recommender.coupons.fairness import FairnessRules, Tenure, floors_of, out_of_range
from recommender.coupons.issuing import IssueRequest, could_issue, issue
from recommender.coupons.offers import Offer, OfferKind
from recommender.coupons.planning import PARTS, OfferPlan, PlanRequest, make_plan
from recommender.coupons.refusals import Refusal
from recommender.coupons.scores import OfferScores
from recommender.errors import SettingsError
from recommender.ids import IdIndex
from recommender.storage.database import Database
from tests.factories import NOW, put_rows
from tests.recommender.coupons.world import RULES, coupon_of, give, settle_in, turn

TEN = Offer("ten", OfferKind.AMOUNT_OFF, value=1000)
ALL: tuple[frozenset[str], ...] = (frozenset(),)


def scores(profit: Any, cost: Any) -> OfferScores:
    profit, cost = np.array(profit, np.float64), np.array(cost, np.float64)
    n, k = profit.shape
    return OfferScores(
        members=IdIndex.of([f"m{row:04}" for row in range(n)]),
        offer_id=tuple(f"o{column}" for column in range(k)),
        at=NOW,
        expected_profit_cents=profit,
        standard_error_cents=np.ones((n, k)),
        expected_cost_cents=cost,
        cost_bound_cents=cost,
        redemption_probability=np.full((n, k), 0.1),
        assumed=np.zeros(k, bool),
    )


def tenure(new: list[bool], granted: list[int] | None = None, group: list[int] | None = None) -> Tenure:
    n = len(new)
    classes = max(group or [0]) + 1
    return Tenure(
        np.array(group or [0] * n, np.int32),
        np.array(new),
        np.array(granted or [0] * n, np.int64),
        tuple(frozenset({f"bound{one}"}) if one else frozenset() for one in range(classes)),
    )


def plan(profit: Any, cost: Any, who: Tenure | None, budget: int | None = None, **terms: Any) -> OfferPlan:
    found = scores(profit, cost)
    offers = tuple(Offer(offer_id, OfferKind.AMOUNT_OFF, value=1000) for offer_id in found.offer_id)
    request = PlanRequest(offers, budget, (None,) * len(offers), tenure=who, **terms)
    return make_plan(found, np.ones(np.shape(profit), bool), request)


def planned(made: OfferPlan) -> list[int]:
    return made.explored.plan.member_row.tolist()


@pytest.mark.parametrize(
    ("terms", "outside"),
    [
        ({"value": 100}, False),
        ({"value": 99}, True),
        ({"value": 2000}, False),
        ({"value": 2001}, True),
        ({"value": 5000, "maximum_discount_cents": 2000}, False),
        ({"kind": OfferKind.PERCENT_OFF, "value": 500}, False),
        ({"kind": OfferKind.PERCENT_OFF, "value": 499}, True),
        ({"kind": OfferKind.PERCENT_OFF, "value": 5000}, False),
        ({"kind": OfferKind.PERCENT_OFF, "value": 5001}, True),
        ({"kind": OfferKind.PERCENT_OFF, "value": 1000, "maximum_discount_cents": 2001}, True),
        ({"kind": OfferKind.GIFT}, False),
        ({"kind": OfferKind.FREE_DELIVERY}, False),
        ({"kind": OfferKind.FIXED_PRICE, "value": 5}, False),
        ({"value": None, "assumed_value_cents": 50}, True),
    ],
)
def test_the_published_range(terms: dict[str, Any], outside: bool) -> None:
    offer = Offer(**{"offer_id": "o", "kind": OfferKind.AMOUNT_OFF} | terms)
    assert out_of_range(offer, FairnessRules(100, 2000, 5.0, 50.0)) is outside


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        FairnessRules(least_cents=10, most_cents=9)
    assert caught.value.field == "MEMBERWISE_COUPON_LEAST_CENTS"


def test_nothing_outside_the_range_is_issued_except_by_hand(database: Database) -> None:
    settle_in(database)
    rules = replace(RULES, fairness=FairnessRules(most_cents=999))
    by_hand = IssueRequest("ten", "m1", service=True)
    asked = [IssueRequest("ten", "m1", "c1"), IssueRequest("ten", "m1"), by_hand]
    with database.write() as connection:
        wanted = [Refusal.OUTSIDE_RANGE, Refusal.OUTSIDE_RANGE, None]
        assert could_issue(turn(connection, rules=rules), asked) == wanted
        found = issue(turn(connection, rules=rules), asked)
    assert [None if one.refused is None else one.refused.reason for one in found] == wanted


def test_new_members_do_not_get_more_per_head_than_loyal_ones() -> None:
    # Two loyal and two new members; the new ones earn more, a budget of two coupons would go to them.
    profit, cost = [[30.0], [20.0], [90.0], [80.0]], [[10.0]] * 4
    free = plan(profit, cost, None, budget=20)
    assert planned(free) == [2, 3]
    held = plan(profit, cost, tenure([False, False, True, True]), budget=20)
    assert len(set(planned(held)) & {0, 1}) >= len(set(planned(held)) & {2, 3})
    (balance,) = held.balance
    assert (balance.loyal, balance.new, balance.kept) == (2, 2, True)
    assert balance.new_cents <= balance.loyal_cents
    assert floors_of(held.balance) == {frozenset(): balance.loyal_cents}


def test_what_was_given_in_the_quarter_counts() -> None:
    profit, cost = [[30.0], [30.0]], [[10.0], [10.0]]
    assert planned(plan(profit, cost, tenure([False, True]))) == [0, 1]
    ahead = plan(profit, cost, tenure([False, True], granted=[0, 5]))
    assert planned(ahead) == [0]  # 5 given and 10 more would be above the 10 of the loyal one
    assert ahead.balance[0].kept
    far = plan(profit, cost, tenure([False, True], granted=[0, 50]))
    assert planned(far) == [0]
    assert not far.balance[0].kept  # what was given cannot be taken back, and is told


def test_classes_are_told_apart_and_those_without_loyal_members_have_no_floor() -> None:
    profit, cost = [[-5.0], [30.0], [30.0]], [[10.0]] * 3
    made = plan(profit, cost, tenure([False, True, True], group=[0, 0, 1]))
    assert planned(made) == [2]  # the welcome class has new members only
    assert [one.kept for one in made.balance] == [True, True]
    assert floors_of(made.balance) == {frozenset(): 0.0}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([None, 0, 300, 3000]), st.sampled_from([0.0, 0.3]))
def test_the_floor_always_holds(seed: int, n: int, budget: int | None, explore: float) -> None:
    rng = np.random.default_rng(seed)
    who = tenure((rng.random(n) < 0.5).tolist(), None, rng.integers(0, 2, n).tolist())
    made = plan(rng.normal(20, 30, (n, 3)), rng.integers(0, 90, (n, 3)), who, budget, explore=explore, seed=seed)
    cost = np.zeros(n)
    np.add.at(cost, made.explored.plan.member_row, made.explored.plan.cost_cents / PARTS)
    for group in range(len(who.open_to)):
        loyal, new = ((who.group == group) & (who.new == state) for state in (False, True))
        if loyal.any() and new.any():
            assert cost[new].mean() <= cost[loyal].mean() + 1e-9
    if budget is not None:
        assert cost.sum() <= budget + 1e-9


def test_tenure_is_read_from_registrations_and_the_books(database: Database) -> None:
    settle_in(database)
    put_rows(
        database,
        "members",
        {"member_id": "m2", "registered_at": NOW - timedelta(days=10)},
        {"member_id": "m3", "registered_at": NOW - timedelta(days=91)},
        {"member_id": "staff", "registered_at": NOW - timedelta(days=1)},
    )
    coupon_of(give(database, "m3"))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE wallet_coupons SET status = 'redeemed', discount_cents = 700")
    members = IdIndex.of(["m1", "m2", "m3", "staff"])
    offers = (TEN, replace(TEN, offer_id="gold", segments=frozenset({"gold"})))
    with database.read() as connection:
        who = read_eligibility(connection, members, offers, "c1", NOW)
        found = read_tenure(connection, who, members, offers, FairnessRules(), NOW)
    assert found.new.tolist() == [False, True, False, True]
    assert found.granted_cents.tolist() == [0, 0, 700, 0]
    names = [found.open_to[group] if group >= 0 else None for group in found.group.tolist()]
    assert names == [frozenset({"gold"}), frozenset(), frozenset(), None]


def test_every_difference_has_its_reason() -> None:
    #                  outbid / best / other offer / no gain / forbidden / not scored
    profit = [[50.0, 40.0], [20.0, -1.0], [30.0, np.nan], [99.0, 98.0]]
    made = plan(profit, [[10.0, 10.0]] * 4, None, budget=10)
    against = np.zeros((4, 2), np.uint8)
    against[3] = LeftOut.OPTED_OUT.code
    forbidden = np.where(against > 0, np.nan, profit)
    made = plan(forbidden, [[10.0, 10.0]] * 4, None, budget=10)
    codes = decide_why(made, against, (TEN, replace(TEN, offer_id="b")))
    assert [[DECISIONS[code] for code in row] for row in codes.tolist()] == [
        [Decision.BEST_WORTH, Decision.OTHER_OFFER],
        [Decision.OUTBID, Decision.NO_GAIN],
        [Decision.OUTBID, Decision.NOT_SCORED],
        [Decision.OPTED_OUT, Decision.OPTED_OUT],
    ]
    assert tally(codes)[Decision.OPTED_OUT] == 2


def test_the_floor_and_lots_are_reasons_too() -> None:
    profit, cost = [[-5.0], [30.0]], [[10.0], [10.0]]
    made = plan(profit, cost, tenure([False, True]))
    codes = decide_why(made, np.zeros((2, 1), np.uint8), (TEN,))
    assert [DECISIONS[code] for code in codes[:, 0]] == [Decision.NO_GAIN, Decision.LOYALTY_FLOOR]
    drawn = plan([[30.0]] * 8, [[10.0]] * 8, None, explore=0.5)
    codes = decide_why(drawn, np.zeros((8, 1), np.uint8), (TEN,))
    counts = tally(codes)
    assert counts[Decision.DRAWN] == counts[Decision.LOST_THE_DRAW] == 2
    assert counts[Decision.BEST_WORTH] == 4


def test_all_reasons_against_eligibility_are_decisions() -> None:
    assert all(Decision(reason.value) for reason in LeftOut)
    assert Eligibility(np.array([[0, LeftOut.KIND.code]], np.uint8), {}).allowed.tolist() == [[True, False]]
