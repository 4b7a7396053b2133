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
from recommender.coupons.holdings import Holdings, Reach, closeness, held_amounts, hold
from recommender.coupons.limits import FloatVector, IntVector, Limit, LimitTable, Unit
from recommender.coupons.matrices import Matrices, check, tiles
from recommender.coupons.polish import polish
from recommender.coupons.repair import cut, fill, meet_offer_limits, meet_other_limits
from recommender.errors import InputError

SEED = 20
"""Of the sample; a plan must not depend on chance."""
LEAST_SAMPLE = 4000
GROWTH = 5
SAMPLE_PER_ROW = 100
MOST_PASSES = 10
FIRST_TRUST = 4.0
FIRST_FINE = 1e-4
FEW_ROWS = 64
NEAR_SHARE = 1 / 12
LEAST_NEAR = 20_000
LEAST_REPAIRED = 4000
REPAIRED_PER_ROW = 100
"""Members near a change among whom a plan is repaired, for each row of a limit."""
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
    price, nearness = _first_prices(task)
    holdings, price, bound = _settle(task, price, nearness)
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


def _first_prices(task: Task) -> tuple[FloatVector, _Nearness]:
    """Find prices on samples of growing size; returns them, and which members may be near a change."""
    table, n_members = task.table, task.matrices.n_members
    rows = int(table.real.sum())
    price = np.zeros(len(table.amount))
    largest = min(max(int(NEAR_SHARE * n_members), LEAST_NEAR), n_members)
    everyone = _sample(task, largest)
    width, seen, close = 1.0, 0, np.ones(1)
    typical_cost = _typical_cost(everyone)
    while seen < largest:
        size = min(max(seen * GROWTH, LEAST_SAMPLE, SAMPLE_PER_ROW * rows), largest)
        pool = everyone.part(_evenly(largest, size))
        if not seen:
            free = answer(pool, table.charge(price, pool.member), table, task.rules)
            width = max(float(free.worth.mean()), 1e-6)
        problem = dual.Problem(
            pool,
            table,
            task.rules,
            table.amount * (size / n_members),
            np.zeros(len(price)),
            np.where(table.real, np.inf, 0.0),
            _typical_weight(table, typical_cost),
            int(0.25 * (rows * size) ** 0.5) if size < n_members else 0,
            0.1 * CLOSE_ENOUGH * width * size,
        )
        price, _ = dual.minimise(problem, price, width)
        close = closeness(pool, answer(pool, table.charge(price, pool.member), table, task.rules), typical_cost)
        seen = size
        width = float(np.quantile(close, min(0.5, 3 * (rows / size) ** 0.5)))
    most = min(1.0, 0.9 * largest / n_members)
    wanted = min(most, REPAIRED_PER_ROW * max(rows, 20) / max(n_members, 1))
    kept = float(np.quantile(close, max(wanted, min(most, 3 * (rows / max(seen, 1)) ** 0.5))))
    return price, _Nearness(min(width, kept), np.inf if largest == n_members else kept, largest, typical_cost)


@dataclass(frozen=True, slots=True)
class _Nearness:
    """Which members may be near a change: closer than `moving` where prices are sought, than `kept` where plans are.

    most: members that may be kept.  typical_cost: cents, of a coupon.
    """

    moving: float
    kept: float
    most: int
    typical_cost: float


def _evenly(n_members: int, size: int) -> IntVector:
    """Return `size` of the numbers below n_members, drawn evenly, always the same, in order."""
    if size == n_members:
        return np.arange(n_members)
    return np.sort(np.random.default_rng(SEED).choice(n_members, size, replace=False))


def _sample(task: Task, size: int) -> Pool:
    """Return members drawn evenly, always the same, in order."""
    n_members, k = task.matrices.n_members, task.table.n_offers
    drawn = _evenly(n_members, size)
    value, cost = np.empty((k, size)), np.empty((k, size))
    for pool in parts(task):
        first, last = np.searchsorted(drawn, (pool.member[0], pool.member[-1] + 1))
        at = drawn[first:last] - pool.member[0]
        value[:, first:last], cost[:, first:last] = pool.value[:, at], pool.cost[:, at]
    return Pool(value, cost, drawn)


def _settle(task: Task, price: FloatVector, nearness: _Nearness) -> tuple[Holdings, FloatVector, float]:
    """Correct the prices pass by pass, among the members near a change, until no pass can lower the dual any more.

    Returns: what members hold at the best prices met, these prices, and the lowest bound.
    """
    reach = Reach(nearness.kept, nearness.most, nearness.typical_cost)
    best, bound, expected, edge = price, np.inf, -np.inf, True
    few = int(task.table.real.sum()) <= FEW_ROWS
    trust, fine = FIRST_TRUST, CLOSE_ENOUGH / 8 if few else FIRST_FINE
    for turn in range(MOST_PASSES):
        holdings = hold(parts(task), task.matrices.n_members, task.table, task.rules, price, reach)
        gained, missed = bound - holdings.bound, holdings.bound - expected
        if gained >= 0:
            best, bound = price, holdings.bound
        if turn:
            trust *= 2.0 if missed <= gained / 4 else 0.5
        close = CLOSE_ENOUGH * holdings.bound
        if not edge and missed <= close and fine <= CLOSE_ENOUGH or not len(holdings.closeness):
            break
        if turn == MOST_PASSES - 1:
            break
        fine = max(min(fine, abs(gained) / holdings.bound) / 32, CLOSE_ENOUGH / 8)
        price, expected, edge = _corrected(task, holdings, price, nearness, trust, fine * holdings.bound)
    if price is not best:
        holdings = hold(parts(task), task.matrices.n_members, task.table, task.rules, best, reach)
    return holdings, best, bound


def _corrected(
    task: Task, holdings: Holdings, price: FloatVector, nearness: _Nearness, trust: float, close_enough: float
) -> tuple[FloatVector, float, bool]:
    """Minimise the dual among the members near a change, over prices at which the others are hardly near one.

    Args:
        trust: how far a price may move the worth of a typical coupon, in units of nearness.
        close_enough: cents, see dual.Problem.
    Returns: the prices; what the dual is there if the others have not changed, which is at most what it is; whether
        the prices would go further.
    """
    table = task.table
    pool = holdings.near.part(np.flatnonzero(holdings.closeness < nearness.moving))
    demand = answer(pool, table.charge(price, pool.member), table, task.rules)
    _, cost = held_amounts(pool, demand.chosen)
    settled = holdings.used.copy()
    for place, offer in enumerate(demand.chosen):
        settled -= table.usage(pool.member, offer, cost[place])
    left = np.where(table.real, table.amount - settled, 0.0)
    typical = _typical_weight(table, nearness.typical_cost)
    step = trust * nearness.moving / typical
    low, high = np.maximum(price - step, 0.0), np.where(table.real, price + step, 0.0)
    problem = dual.Problem(pool, table, task.rules, left, low, high, typical, 0, close_enough)
    # What settled members are worth changes with the prices by what they use.
    fixed = holdings.worth - float(demand.worth.sum()) + float(settled @ price)
    price, lowest = dual.minimise(problem, price, nearness.moving / 4)
    edge = bool((((price <= low) & (low > 0)) | ((price >= high) & table.real)).any())
    return price, lowest + fixed, edge


def _typical_cost(pool: Pool) -> float:
    """Return the mean cost of a coupon, cents, at least 1."""
    possible = np.isfinite(pool.value)
    return max(float(np.abs(pool.cost[possible]).mean()), 1.0) if possible.any() else 1.0


def _typical_weight(table: LimitTable, typical_cost: float) -> FloatVector:
    """Return what a typical coupon adds to each row, float64 (rows,), at least 1."""
    worst = float(table.worst[:-1].mean()) if table.n_offers else 1.0
    mean = {Unit.COST: typical_cost, Unit.LIABILITY: max(worst, 1.0), Unit.COUPONS: 1.0}
    sizes = [len(limit.amounts) + 1 for limit in table.limits]
    return np.repeat([mean[limit.unit] for limit in table.limits], sizes)


def _repair(task: Task, holdings: Holdings, price: FloatVector) -> None:
    """Bring the holdings within every limit, and use what is left."""
    wanted = max(LEAST_REPAIRED, REPAIRED_PER_ROW * int(task.table.real.sum()))
    if len(holdings.closeness) > wanted:
        some = np.sort(np.argpartition(holdings.closeness, wanted)[:wanted])
        holdings.near, holdings.closeness = holdings.near.part(some), holdings.closeness[some]
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
