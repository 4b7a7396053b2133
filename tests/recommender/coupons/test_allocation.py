"""Allocation: the best plan of small cases by trying all, and what holds for every plan."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.coupons.allocation import Plan, Terms, allocate
from recommender.coupons.limits import Limit, Unit, budget, liability, stock, store_budgets
from recommender.coupons.matrices import Arrays, Chunks
from recommender.errors import InputError

Values = npt.NDArray[np.float64]
Costs = npt.NDArray[np.int64]
NO = np.nan


def plan_of(value: object, cost: object, *limits: Limit, cap: int = 1, **terms: object) -> Plan:
    arrays = Arrays(np.array(value, np.float64), np.array(cost, np.int64))
    return allocate(arrays, Terms(limits, cap, **terms))  # type: ignore[arg-type]


def pairs(plan: Plan) -> set[tuple[int, int]]:
    return set(zip(plan.member_row.tolist(), plan.offer_row.tolist(), strict=True))


def test_a_budget_goes_where_a_cent_earns_most() -> None:
    # With 15 cents the first and half of the second would be best, but coupons are whole.
    plan = plan_of([[30.0], [25.0], [12.0]], [[10], [10], [5]], budget(15))
    assert pairs(plan) == {(0, 0), (2, 0)}
    assert (plan.total_value_cents, plan.total_cost_cents) == (42.0, 15)
    assert plan.bound_cents == pytest.approx(42.5, rel=1e-6)
    assert plan.gap == pytest.approx(0.5 / 42.5, rel=1e-4)
    assert plan.prices[0][0] == pytest.approx(2.5, rel=1e-3)


def test_each_member_gets_the_offer_worth_most_and_none_that_loses() -> None:
    plan = plan_of([[5.0, 9.0], [-1.0, -2.0], [4.0, NO]], [[1, 1], [0, 0], [2, 0]], budget(100))
    assert pairs(plan) == {(0, 1), (2, 0)}
    assert plan.gap < 1e-7


def test_what_pays_for_itself_is_always_given() -> None:
    plan = plan_of([[5.0, 9.0], [3.0, -1.0], [-4.0, -4.0]], [[0, 4], [-2, 1], [0, 1]], budget(0))
    assert pairs(plan) == {(0, 0), (1, 0)}
    assert plan.total_cost_cents == -2


@pytest.mark.parametrize("cents", [0, 1, 2])
def test_a_budget_below_the_cheapest_coupon_gives_the_empty_plan(cents: int) -> None:
    plan = plan_of([[50.0, 60.0], [40.0, 70.0]], [[3, 9], [5, 8]], budget(cents))
    assert pairs(plan) == set()
    assert (plan.total_value_cents, plan.total_cost_cents, plan.bound_cents, plan.gap) == (0.0, 0, 0.0, 0.0)


def test_stock_goes_to_those_who_gain_most_over_their_next_best() -> None:
    value = [[10.0, 9.0], [10.0, 2.0], [10.0, 5.0]]
    plan = plan_of(value, np.zeros((3, 2)), stock([1, None]))
    assert pairs(plan) == {(0, 1), (1, 0), (2, 1)}
    assert plan.used[0].tolist() == [1]


def test_each_store_spends_its_own_budget() -> None:
    plan = plan_of([[5.0]] * 4, [[3]] * 4, store_budgets([3, 6], np.array([0, 0, 1, 2])))
    assert len(pairs(plan) & {(0, 0), (1, 0)}) == 1
    assert {(2, 0), (3, 0)} <= pairs(plan)


def test_liability_counts_the_worst_case() -> None:
    plan = plan_of([[5.0, 6.0], [5.0, 6.0]], np.zeros((2, 2)), liability(150), worst_case_cents=[50, 100])
    assert sorted(plan.offer_row.tolist()) == [0, 1]


def test_channels_and_guides_have_a_capacity() -> None:
    channel = Limit("channel", Unit.COUPONS, np.array([1]), offer_row=np.array([0, 0, 1]))
    guide = Limit("guide", Unit.COUPONS, np.array([1, 5]), member_row=np.array([0, 0, 1]))
    plan = plan_of([[9.0, 8.0, 1.0], [7.0, 7.0, 2.0], [9.0, 3.0, 4.0]], np.zeros((3, 3)), channel, guide)
    # The first channel has one coupon for all: 9 for the first member, and 4 on the other channel for the third.
    assert plan.total_value_cents == 13.0


def test_exclusive_offers_are_not_given_together() -> None:
    value = [[9.0, 8.0, 2.0]]
    assert pairs(plan_of(value, np.zeros((1, 3)), cap=2)) == {(0, 0), (0, 1)}
    assert pairs(plan_of(value, np.zeros((1, 3)), cap=2, group=[0, 0, 1])) == {(0, 0), (0, 2)}


def test_members_who_are_all_alike_use_a_budget_up() -> None:
    plan = plan_of(np.full((5000, 2), 10.0), np.tile([3, 5], (5000, 1)), budget(3001))
    assert (len(plan.member_row), plan.total_cost_cents) == (1000, 3000)
    assert plan.gap < 1e-3


def test_members_who_are_all_alike_share_scarce_offers_and_stores() -> None:
    value, cost = np.tile([10.0, 9.0, 8.0, 3.0], (8000, 1)), np.tile([3, 2, 1, 0], (8000, 1))
    pieces = stock([400, 1600, 800, None])
    # 400 x 10 + 1,600 x 9 + 800 x 8, and 3 for each of the other 5,200; that costs 5,200.
    plan = plan_of(value, cost, budget(6000), pieces)
    assert (plan.total_value_cents, plan.total_cost_cents) == (40_400, 5200)
    assert plan.gap < 2e-5
    stores = store_budgets([60] * 100, np.arange(8000) % 100)
    plan = plan_of(value, cost, pieces, stores)
    assert plan.total_value_cents > 0.999 * 40_400


def test_a_value_barely_below_zero_is_not_given() -> None:
    plan = plan_of([[14.0, NO], [NO, -1e-7]], [[1, 0], [0, 0]], budget(0))
    assert pairs(plan) == set()


def test_nobody_and_nothing_give_the_empty_plan() -> None:
    assert plan_of(np.empty((0, 3)), np.empty((0, 3)), budget(10)).gap == 0.0
    assert pairs(plan_of(np.empty((3, 0)), np.empty((3, 0)), budget(10))) == set()


def test_pessimism_lowers_uncertain_values() -> None:
    value, cost = np.array([[10.0, 9.0]]), np.array([[1, 1]])
    arrays = Arrays(value, cost, standard_error=np.array([[5.0, 1.0]]), pessimism=1.0)
    assert pairs(allocate(arrays, Terms((budget(1),)))) == {(0, 1)}


def test_chunks_give_the_same_plan_as_arrays() -> None:
    rng = np.random.default_rng(4)
    value, cost = rng.normal(1, 5, (300, 4)).astype(np.float32), rng.integers(1, 9, (300, 4)).astype(np.int32)
    whole = allocate(Arrays(value, cost), Terms((budget(200), stock([20, 20, 20, 20]))))
    chunks = Chunks(300, 4, lambda: ((value[at : at + 7], cost[at : at + 7]) for at in range(0, 300, 7)))
    parts = allocate(chunks, Terms((budget(200), stock([20, 20, 20, 20]))))
    assert pairs(parts) == pairs(whole)
    assert parts.bound_cents == pytest.approx(whole.bound_cents, rel=1e-9)


@pytest.mark.parametrize(
    ("value", "cost", "limits", "field"),
    [
        ([[np.inf]], [[1]], (budget(5),), "value"),
        ([[1e300]], [[1]], (budget(5),), "value"),
        ([[1.0]], [[2**62]], (budget(5),), "cost"),
        ([[1.0]], [[-(2**63)]], (budget(5),), "cost"),
        ([[1.0]] * 3, [[2**52]] * 3, (budget(5),), "cost"),
        ([[1.0]], [[1]], (stock([1, 2]),), "stock"),
    ],
)
def test_what_no_sum_could_hold_is_refused(value: object, cost: object, limits: tuple[Limit, ...], field: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_of(value, cost, *limits)
    assert caught.value.field == field


@pytest.mark.parametrize("cents", [-1, 2**53, 2**63 - 1, 2**64])
def test_a_limit_out_of_range_is_refused(cents: int) -> None:
    with pytest.raises(InputError) as caught:
        budget(cents)
    assert caught.value.field == "budget"


def test_other_kinds_of_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="whole cents"):
        allocate(Arrays(np.ones((1, 1)), np.ones((1, 1))), Terms((budget(5),)))  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        Arrays(np.ones((1, 1)), np.ones((1, 1), np.int64), pessimism=1.0)
    assert caught.value.field == "pessimism"
    with pytest.raises(InputError, match="another number of members"):
        allocate(Chunks(3, 1, lambda: [(np.ones((2, 1)), np.ones((2, 1), np.int64))]), Terms(()))


def best_by_trying(value: Values, cost: Costs, terms: Terms) -> float:
    """Return the value of the best plan of all."""
    n, k = value.shape
    group = list(terms.group or range(k))
    bundles = [
        bundle
        for size in range(terms.cap + 1)
        for bundle in combinations(range(k), size)
        if len({group[j] for j in bundle}) == len(bundle)
    ]
    best = 0.0
    for chosen in product(bundles, repeat=n):
        plan = [(i, j) for i, bundle in enumerate(chosen) for j in bundle]
        worth = sum(value[i, j] for i, j in plan)
        if worth > best and keeps(plan, cost, terms):
            best = worth
    return best


def keeps(plan: Iterable[tuple[int, int]], cost: Costs, terms: Terms) -> bool:
    """Tell whether a plan exceeds no limit, counted in whole numbers without the code under test."""
    for limit in terms.limits:
        used = [0] * (len(limit.amounts) + 1)
        for i, j in plan:
            row = 0
            if limit.member_row is not None:
                row = int(limit.member_row[i])
            if limit.offer_row is not None:
                row = int(limit.offer_row[j])
            unit = {
                Unit.COST: int(cost[i, j]),
                Unit.COUPONS: 1,
                Unit.LIABILITY: 0 if terms.worst_case_cents is None else int(terms.worst_case_cents[j]),
            }
            used[row] += unit[limit.unit]
        if any(have > most for have, most in zip(used, limit.amounts.tolist(), strict=False)):
            return False
    return True


@st.composite
def cases(draw: st.DrawFn, members: int, offers: int, lowest_cost: int = 0) -> tuple[Values, Costs, Terms]:
    """Draw a small allocation with any of the limits."""
    n, k = draw(st.integers(1, members)), draw(st.integers(1, offers))
    cents = st.one_of(st.just(NO), st.integers(-40, 60).map(float), st.floats(-40, 60, width=32))
    value = np.array(draw(st.lists(cents, min_size=n * k, max_size=n * k))).reshape(n, k)
    costs = st.lists(st.integers(lowest_cost, 30), min_size=n * k, max_size=n * k)
    cost = np.array(draw(costs), np.int64).reshape(n, k)
    worst = draw(st.lists(st.integers(0, 50), min_size=k, max_size=k))
    store = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    every = [
        budget(draw(st.integers(0, 80))),
        stock(draw(st.lists(st.one_of(st.none(), st.integers(0, 2)), min_size=k, max_size=k))),
        store_budgets(draw(st.lists(st.integers(0, 40), min_size=2, max_size=2)), store),
        liability(draw(st.integers(0, 120))),
        Limit("guide", Unit.COUPONS, np.array(draw(st.lists(st.integers(0, 2), min_size=2, max_size=2))), store),
    ]
    limits = tuple(limit for limit in every if draw(st.booleans()))
    group = draw(st.one_of(st.none(), st.lists(st.integers(0, 1), min_size=k, max_size=k)))
    return value, cost, Terms(limits, draw(st.integers(1, 2)), group, worst)


def check_plan(value: Values, cost: Costs, terms: Terms, plan: Plan, lowest: float = 0.0) -> None:
    """Check all that holds for every plan."""
    given = list(zip(plan.member_row.tolist(), plan.offer_row.tolist(), strict=True))
    assert len(set(given)) == len(given)
    assert not any(np.isnan(value[i, j]) for i, j in given)
    assert keeps(given, cost, terms)
    group = list(terms.group or range(value.shape[1]))
    for i in set(plan.member_row.tolist()):
        own = [group[j] for member, j in given if member == i]
        assert len(own) <= terms.cap
        assert len(set(own)) == len(own)
    assert plan.total_cost_cents == sum(int(cost[i, j]) for i, j in given)
    assert plan.total_value_cents == pytest.approx(sum(value[i, j] for i, j in given), rel=1e-12)
    assert plan.bound_cents >= plan.total_value_cents >= lowest
    assert all((price >= 0).all() for price in plan.prices)


@settings(deadline=None, max_examples=80)
@given(cases(3, 3))
def test_no_plan_is_above_the_bound_and_every_plan_keeps_its_limits(case: tuple[Values, Costs, Terms]) -> None:
    value, cost, terms = case
    plan = allocate(Arrays(value, cost), terms)
    check_plan(value, cost, terms, plan)
    assert plan.bound_cents >= best_by_trying(value, cost, terms)


@settings(deadline=None, max_examples=80)
@given(cases(3, 3, lowest_cost=-15))
def test_costs_below_zero_are_counted(case: tuple[Values, Costs, Terms]) -> None:
    value, cost, terms = case
    plan = allocate(Arrays(value, cost), terms)
    check_plan(value, cost, terms, plan)
    assert plan.bound_cents >= best_by_trying(value, cost, terms)


@settings(deadline=None, max_examples=80)
@given(cases(4, 3), st.integers(0, 90))
def test_with_a_budget_alone_small_plans_are_the_best_ones(case: tuple[Values, Costs, Terms], cents: int) -> None:
    value, cost, _ = case
    terms = Terms((budget(cents),))
    plan = allocate(Arrays(value, cost), terms)
    check_plan(value, cost, terms, plan)
    assert plan.total_value_cents == pytest.approx(best_by_trying(value, cost, terms), abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(cases(40, 5))
def test_the_same_input_gives_the_same_plan(case: tuple[Values, Costs, Terms]) -> None:
    value, cost, terms = case
    first, second = allocate(Arrays(value, cost), terms), allocate(Arrays(value.copy(), cost.copy()), terms)
    check_plan(value, cost, terms, first)
    assert pairs(first) == pairs(second)
    assert first.bound_cents == second.bound_cents


@settings(deadline=None, max_examples=40)
@given(cases(5, 4))
def test_where_everything_loses_nothing_is_given(case: tuple[Values, Costs, Terms]) -> None:
    value, cost, terms = case
    plan = allocate(Arrays(-np.abs(value), cost), terms)
    assert pairs(plan) == set()
    assert plan.bound_cents == 0.0


def large(seed: int, n: int, k: int) -> tuple[Values, Costs]:
    rng = np.random.default_rng(seed)
    value = rng.normal(20, 100, (n, k))
    value[rng.random((n, k)) < 0.1] = NO
    return value, rng.integers(20, 400, (n, k))


@pytest.mark.parametrize("cap", [1, 2])
@pytest.mark.parametrize("seed", [1, 2])
def test_large_plans_come_close_to_their_bound(seed: int, cap: int) -> None:
    value, cost = large(seed, 6000, 6)
    store = np.random.default_rng(seed).integers(0, 5, 6000)
    money, pieces, stores = budget(150_000), stock([300] * 6), store_budgets([30_000] * 5, store)
    for limits, gap in (((money,), 5e-6), ((money, pieces), 1e-5), ((money, pieces, stores), 1e-3)):
        plan = allocate(Arrays(value, cost), Terms(limits, cap))
        check_plan(value, cost, Terms(limits, cap), plan)
        assert plan.gap <= gap


def test_a_shadow_price_says_what_more_budget_earns() -> None:
    value, cost = large(3, 6000, 4)
    plan = allocate(Arrays(value, cost), Terms((budget(100_000),)))
    more = allocate(Arrays(value, cost), Terms((budget(101_000),)))
    assert more.total_value_cents - plan.total_value_cents == pytest.approx(1000 * plan.prices[0][0], rel=0.02)
