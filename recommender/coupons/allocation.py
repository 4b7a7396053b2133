"""allocate: which member gets which offer, for the most expected profit within every limit.

    maximise    sum of value[i, j] over the pairs of a plan
    subject to  at most `cap` coupons per member, at most one offer of an exclusive group per member,
                and every row of every limit (budget, liability, stock, store budgets, capacity)

A multiple-choice knapsack with many side constraints, in which giving nothing is always possible. Prices on the limits
are found on a sample, then among the members who are near a change at these prices (dual.py); every member chooses at the
prices (holdings.py); the few coupons too many or too few are exchanged (repair.py), and budgets are spent to the cent
(polish.py). All passes over the members are sequential, in tiles, so that memory does not grow with the offers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.coupons import dual
from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.exchange import Exchange
from recommender.coupons.holdings import Holdings, Reach, hold
from recommender.coupons.limits import FloatVector, IntVector, Limit, LimitTable, Unit
from recommender.coupons.matrices import Matrices, check, tiles
from recommender.coupons.polish import polish
from recommender.coupons.repair import cut, fill, meet_offer_limits, meet_other_limits
from recommender.errors import InputError

SEED = 20
"""Of the sample; a plan must not depend on chance."""
LEAST_SAMPLE = 4000
SAMPLE_SHARE = 0.02
SAMPLE_PER_ROW = 100
MOST_PASSES = 6
NEAR_SHARE = 0.125
LEAST_NEAR = 20_000
REPAIRED = 30_000
"""Members near a change among whom a plan is repaired, at most."""
LIFT = 2.0**-24
"""Largest lift of a value that makes equal members differ, as a part of the mean value of a coupon."""
CLOSE_ENOUGH = 1e-8
"""Passes end when the dual can fall by no larger part; polishing when no larger part is left."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Who gets what, with its proof.

    member_row, offer_row: int32, (p,), one entry per coupon given, by member, then offer.
    value_cents: float64, (p,), expected profit as it was given.  cost_cents: int64, (p,).
    total_value_cents, total_cost_cents: their sums.
    bound_cents: no plan within the limits is worth more.
    limits: in the order of `prices`.
    prices: by limit, float64 (rows,): what one more cent or coupon of a row would add, in cents.
    used: by limit, int64 (rows,): what the plan uses.
    """

    member_row: npt.NDArray[np.int32]
    offer_row: npt.NDArray[np.int32]
    value_cents: FloatVector
    cost_cents: IntVector
    total_value_cents: float
    total_cost_cents: int
    bound_cents: float
    limits: tuple[Limit, ...]
    prices: tuple[FloatVector, ...]
    used: tuple[IntVector, ...]

    @property
    def gap(self) -> float:
        """The part of the bound that the plan does not reach, proved: 0 = no plan is better."""
        return max(self.bound_cents - self.total_value_cents, 0.0) / self.bound_cents if self.bound_cents > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What a plan must keep to.

    limits: any number of them.
    cap: most coupons of one member.
    group: int, (k,), of offers with the same number a member gets at most one; None: every offer has its own.
    worst_case_cents: (k,), what one coupon of each offer can cost at most, for limits on liability.
    """

    limits: tuple[Limit, ...]
    cap: int = 1
    group: Sequence[int] | None = None
    worst_case_cents: Sequence[int] | None = None


def allocate(matrices: Matrices, terms: Terms) -> Plan:
    """Allocate offers to members.

    Raises: InputError for values, costs or limits that are out of range or do not fit one another.
    """
    task = _task(matrices, terms)
    price, width = _first_prices(task)
    holdings, price, bound = _settle(task, price, width)
    _repair(task, holdings, price)
    return _plan(task, holdings, price, min(bound, holdings.bound))


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """An allocation whose input has been checked: how to read its members, and what holds."""

    matrices: Matrices
    table: LimitTable
    rules: Rules
    give: bool
    lift: float


def _task(matrices: Matrices, terms: Terms) -> Task:
    """Check the input and choose the lift."""
    n_offers = matrices.n_offers
    group = range(n_offers) if terms.group is None else terms.group
    worst = [0] * n_offers if terms.worst_case_cents is None else terms.worst_case_cents
    for name, given in (("group", group), ("worst_case_cents", worst)):
        if len(given) != n_offers:
            raise InputError("There must be one entry per offer.", field=name, value=len(given), accepted=str(n_offers))
    if terms.cap < 1:
        raise InputError("A member's coupons are capped at one or more.", field="cap", value=terms.cap)
    if min(worst, default=0) < 0:
        raise InputError("A worst case is not negative.", field="worst_case_cents", value=min(worst))
    cap = min(terms.cap, max(n_offers, 1))
    lowest, mean = check(matrices, worst, cap)
    table = LimitTable.of(terms.limits, matrices.n_members, np.array(worst, np.int64))
    return Task(matrices, table, Rules(cap, tuple(group)), lowest < 0, LIFT * mean)


def parts(task: Task):  # type: ignore[no-untyped-def]
    return tiles(task.matrices, task.table, task.give, task.lift)


def _first_prices(task: Task) -> tuple[FloatVector, float]:
    """Find prices on a sample of the members; returns them, and the margin of members that may be near a change."""
    table, n_members = task.table, task.matrices.n_members
    price = np.zeros(len(table.amount))
    wanted = max(LEAST_SAMPLE, int(SAMPLE_SHARE * n_members), SAMPLE_PER_ROW * int(table.real.sum()))
    size = min(wanted, max(n_members // 8, LEAST_NEAR), n_members)
    size = n_members if size > n_members // 2 else size
    pool = _sample(task, size)
    if not size or not table.n_offers:
        return price, 1.0
    free = answer(pool, table.charge(price, pool.member), table, task.rules)
    width = max(float(free.worth.mean()), 1e-6)
    share = size / n_members
    low, high = np.zeros(len(price)), np.where(table.real, np.inf, 0.0)
    problem = dual.Problem(pool, table, task.rules, table.amount * share, low, high)
    price, _ = dual.minimise(problem, price, width)
    if size == n_members:
        return price, width
    margin = answer(pool, table.charge(price, pool.member), table, task.rules).margin
    moved = min(1.0, 6 * (int(table.real.sum()) / size) ** 0.5)
    return price, float(np.quantile(margin, min(moved, NEAR_SHARE)))


def _sample(task: Task, size: int) -> Pool:
    """Return members drawn evenly, always the same, in order."""
    n_members, k = task.matrices.n_members, task.table.n_offers
    drawn = np.sort(np.random.default_rng(SEED).choice(n_members, size, replace=False)) if size < n_members else np.arange(n_members)
    value, cost = np.empty((k, size)), np.empty((k, size))
    for pool in parts(task):
        first, last = np.searchsorted(drawn, (pool.member[0], pool.member[-1] + 1))
        at = drawn[first:last] - pool.member[0]
        value[:, first:last], cost[:, first:last] = pool.value[:, at], pool.cost[:, at]
    return Pool(value, cost, drawn)


def _settle(task: Task, price: FloatVector, margin: float) -> tuple[Holdings, FloatVector, float]:
    """Correct the prices pass by pass, among the members near a change, until no pass can lower the dual any more.

    Returns: what members hold at the best prices met, these prices, and the lowest bound.
    """
    n_members = task.matrices.n_members
    most = max(LEAST_NEAR, int(NEAR_SHARE * n_members))
    best, bound, expected, edge = price, np.inf, -np.inf, True
    for turn in range(MOST_PASSES):
        holdings = hold(parts(task), n_members, task.table, task.rules, price, Reach(margin, most))
        if holdings.bound <= bound:
            best, bound = price, holdings.bound
        else:
            margin /= 4
        print("  turn", turn, "bound", holdings.bound, "expected", expected, "near", len(holdings.margin), "margin", margin)
        if (not edge and holdings.bound - expected <= CLOSE_ENOUGH * holdings.bound) or not len(holdings.margin):
            break
        if turn == MOST_PASSES - 1:
            break
        price, expected, edge = _corrected(task, holdings, price, margin)
        if not edge: margin /= 2
    if price is not best:
        holdings = hold(parts(task), n_members, task.table, task.rules, best, Reach(margin, most))
    return holdings, best, bound


def _corrected(task: Task, holdings: Holdings, price: FloatVector, margin: float) -> tuple[FloatVector, float, bool]:
    """Minimise the dual among the members near a change, over prices at which the others are hardly near one.

    Returns: the prices; what the dual is there if the others have not changed, which is at most what it is; whether
        the prices would go further.
    """
    table = task.table
    left = np.where(table.real, table.amount - holdings.settled, 0.0)
    step = margin / (4 * _typical_weight(table, holdings.near))
    low, high = np.maximum(price - step, 0.0), np.where(table.real, price + step, 0.0)
    problem = dual.Problem(holdings.near, table, task.rules, left, low, high)
    # What settled members are worth changes with the prices by what they use.
    fixed = holdings.settled_worth + float(holdings.settled @ price)
    price, lowest = dual.minimise(problem, price, margin / 2)
    edge = bool((((price <= low) & (low > 0)) | ((price >= high) & table.real)).any())
    return price, lowest + fixed, edge


def _typical_weight(table: LimitTable, pool: Pool) -> FloatVector:
    """Return what a coupon adds to each row, in the mean, float64 (rows,), at least 1."""
    mean = {
        Unit.COST: float(np.abs(pool.cost[np.isfinite(pool.value)]).mean()) if np.isfinite(pool.value).any() else 1.0,
        Unit.LIABILITY: float(table.worst[:-1].mean()) if len(table.worst) > 1 else 1.0,
        Unit.COUPONS: 1.0,
    }
    sizes = [len(limit.amounts) + 1 for limit in table.limits]
    return np.repeat([max(mean[limit.unit], 1.0) for limit in table.limits], sizes)


def _repair(task: Task, holdings: Holdings, price: FloatVector) -> None:
    """Bring the holdings within every limit, and use what is left."""
    if len(holdings.margin) > REPAIRED:
        some = np.sort(np.argpartition(holdings.margin, REPAIRED)[:REPAIRED])
        holdings.near, holdings.margin = holdings.near.part(some), holdings.margin[some]
    exchange = Exchange(holdings, task.table, task.rules, price)
    meet_offer_limits(exchange)
    meet_other_limits(exchange)
    exchange.write(holdings)
    if exchange.exceeded().any():
        cut(holdings, task.table)
        exchange = Exchange(holdings, task.table, task.rules, price)
    fill(exchange)
    polish(exchange, CLOSE_ENOUGH * holdings.bound)
    exchange.write(holdings)


def _plan(task: Task, holdings: Holdings, price: FloatVector, bound: float) -> Plan:
    """Read values and costs of what is held once more, count, and make sure that every limit is kept."""
    table = task.table
    member, place = np.nonzero(holdings.offer.T < table.n_offers)
    offer = holdings.offer[place, member].astype(np.int32)
    order = np.lexsort((offer, member))
    member, offer = member[order], offer[order]
    value, cost = _amounts(task.matrices, member, offer)
    used = table.usage(member, offer, cost.astype(np.float64))
    assert not ((used > table.amount) & table.real).any()
    cuts = [slice(start, start + len(limit.amounts)) for limit, start in zip(table.limits, table.start, strict=True)]
    return Plan(
        member.astype(np.int32),
        offer,
        value,
        cost,
        math.fsum(value),
        int(cost.sum()),
        bound,
        table.limits,
        tuple(price[cut] for cut in cuts),
        tuple(used[cut].astype(np.int64) for cut in cuts),
    )


def _amounts(matrices: Matrices, member: IntVector, offer: npt.NDArray[np.int32]) -> tuple[FloatVector, IntVector]:
    """Read value and cost of pairs, which are sorted by member."""
    value, cost = np.empty(len(member)), np.empty(len(member), np.int64)
    start = 0
    for values, costs in matrices.chunks():
        first, last = np.searchsorted(member, (start, start + len(values)))
        at = member[first:last] - start, offer[first:last]
        value[first:last], cost[first:last] = values[at], costs[at]
        start += len(values)
    return value, cost
