"""Prices: the shadow prices of an allocation, found on samples of growing size and corrected on all members.

A sample of a few thousand members gives prices that are off by its chance error. At these prices most members are far
from choosing anything else, so that the correction needs only those who are near a change: it minimises the dual over
them, the others taken as settled, inside a box in which that is nearly true. A pass over everybody then says what the
dual is there, and whether the box may grow, as in trust region methods (Conn, Gould and Toint, 2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recommender.coupons import dual
from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.holdings import Holdings, Reach, closeness, held_amounts, hold
from recommender.coupons.limits import FloatVector, IntVector, LimitTable, Unit
from recommender.coupons.matrices import Matrices, tiles

SEED = 20
"""Of the sample; a plan must not depend on chance."""
LEAST_SAMPLE = 4000
SAMPLE_PER_ROW = 100
GROWTH = 5
"""Size of a sample over that of the one before."""
NEAR_SHARE = 1 / 12
LEAST_NEAR = 20_000
"""Members held in memory at once, at most: a share of all of them, or a number."""
KEPT_PER_ROW = 100
"""Members near a change that are kept for the repair of a plan, for each row of a limit."""
MOST_PASSES = 10
FIRST_TRUST = 4.0
FEW_ROWS = 64
CLOSE_ENOUGH, CLOSE_ENOUGH_MANY = 1e-8, 1e-5
"""With few rows and with many: passes end when the dual can fall by no larger part, polishing when less is left."""
FIRST_FINE = 1e-4
"""With many rows: how closely the first correction minimises the dual, as a part of it; later ones more closely."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """An allocation whose input has been checked: how to read its members, and what holds.

    give: some cost is below zero.  lift: see tiles().  alike: many members have the same values as others.
    """

    matrices: Matrices
    table: LimitTable
    rules: Rules
    give: bool
    lift: float
    alike: bool

    @property
    def close_enough(self) -> float:
        """How close to the optimum prices and plan are brought, as a part of its value."""
        return CLOSE_ENOUGH if int(self.table.real.sum()) <= FEW_ROWS else CLOSE_ENOUGH_MANY

    @property
    def most_near(self) -> int:
        """Members that may be held in memory at once."""
        return min(max(int(NEAR_SHARE * self.matrices.n_members), LEAST_NEAR), self.matrices.n_members)

    def parts(self) -> Iterator[Pool]:
        """Read all members in order."""
        return tiles(self.matrices, self.table, self.give, self.lift)


@dataclass(frozen=True, slots=True)
class Nearness:
    """Which members may be near a change: closer than `moving` where prices are sought, than `kept` where plans are.

    most: members that may be kept.  typical_cost: cents, of a coupon.
    """

    moving: float
    kept: float
    most: int
    typical_cost: float


def first_prices(task: Task) -> tuple[FloatVector, Nearness]:
    """Find prices on samples of growing size.

    Returns: float64, (rows,); which members may be near a change at the right prices.
    """
    table, n_members, largest = task.table, task.matrices.n_members, task.most_near
    rows = int(table.real.sum())
    if not rows:
        return np.zeros(len(table.amount)), Nearness(0.0, 0.0, 0, 1.0)
    everyone = sample(task, largest)
    typical_cost = _typical_cost(everyone)
    price, size, close, width = np.zeros(len(table.amount)), 0, np.ones(1), 1.0
    while size < largest:
        size = min(max(size * GROWTH, LEAST_SAMPLE, SAMPLE_PER_ROW * rows), largest)
        pool = everyone if size == largest else everyone.part(_evenly(largest, size))
        if not price.any():
            free = answer(pool, table.charge(price, pool.member), table, task.rules)
            width = max(float(free.worth.mean()), 1e-6)
        price = sample_prices(
            task, pool, (size / n_members) * table.amount.astype(np.float64), price, width, typical_cost
        )
        close = closeness(pool, answer(pool, table.charge(price, pool.member), table, task.rules), typical_cost)
        chance = 3 * (rows / size) ** 0.5
        width = min(width, max(float(np.quantile(close, min(0.5, chance))), 1e-9))
    most = 0.9 * largest / max(n_members, 1)
    chance = 3 * (rows / max(size, 1)) ** 0.5
    share = min(1.0, most, max(chance, KEPT_PER_ROW * max(rows, 20) / max(n_members, 1)))
    kept = np.inf if largest == n_members else max(float(np.quantile(close, share)), 1e-9)
    return price, Nearness(min(width, kept), kept, largest, typical_cost)


def sample_prices(
    task: Task, pool: Pool, left: FloatVector, price: FloatVector, width: float, typical_cost: float
) -> FloatVector:
    """Find the prices of a sample.

    Args:
        left: float64, (rows,), the sample's share of the limits.
        price, width: where to begin, see dual.minimise().
    """
    table, size = task.table, len(pool.member)
    alone = size == task.matrices.n_members
    problem = dual.Problem(
        pool,
        table,
        task.rules,
        left,
        np.zeros(len(price)),
        np.where(table.real, np.inf, 0.0),
        _typical_weight(table, typical_cost),
        0 if alone else int(0.25 * (int(table.real.sum()) * size) ** 0.5),
        0.1 * task.close_enough * width * size,
        task.alike,
    )
    return dual.minimise(problem, price, width)[0]


def _evenly(n_members: int, size: int) -> IntVector:
    """Return `size` of the numbers below n_members, drawn evenly, always the same, in order."""
    if size == n_members:
        return np.arange(n_members)
    return np.sort(np.random.default_rng(SEED).choice(n_members, size, replace=False))


def sample(task: Task, size: int) -> Pool:
    """Return members drawn evenly, always the same, in order."""
    n_members, k = task.matrices.n_members, task.table.n_offers
    drawn = _evenly(n_members, size)
    value, cost = np.empty((k, size)), np.empty((k, size))
    for pool in task.parts():
        first, last = np.searchsorted(drawn, (pool.member[0], pool.member[-1] + 1))
        at = drawn[first:last] - pool.member[0]
        value[:, first:last], cost[:, first:last] = pool.value[:, at], pool.cost[:, at]
    return Pool(value, cost, drawn)


def settle(task: Task, price: FloatVector, nearness: Nearness) -> tuple[Holdings, FloatVector, float]:
    """Correct the prices pass by pass, among the members near a change, until no pass can lower the dual any more.

    Returns: what members hold at the best prices met, these prices, and the lowest bound.
    """
    reach = Reach(nearness.kept, nearness.most, nearness.typical_cost)
    best, bound, expected, edge = price, np.inf, -np.inf, True
    finest = task.close_enough / 8
    trust, fine = FIRST_TRUST, finest if task.close_enough == CLOSE_ENOUGH else FIRST_FINE
    for turn in range(MOST_PASSES):
        holdings = hold(task.parts(), task.matrices.n_members, task.table, task.rules, price, reach)
        gained, missed = bound - holdings.bound, holdings.bound - expected
        if gained >= 0:
            best, bound = price, holdings.bound
        if turn:
            trust *= 2.0 if missed <= gained / 4 else 0.5
        close = task.close_enough * holdings.bound
        found = not edge and missed <= close and fine <= task.close_enough
        if found or turn == MOST_PASSES - 1 or not (holdings.closeness < nearness.moving).any():
            break
        fine = max(min(fine, abs(gained) / max(holdings.bound, 1e-9)) / 32, finest)
        price, expected, edge = _corrected(task, holdings, price, nearness, trust, fine * holdings.bound)
        del holdings
    if price is not best:
        holdings = hold(task.parts(), task.matrices.n_members, task.table, task.rules, best, reach)
    return holdings, best, bound


def _corrected(
    task: Task, holdings: Holdings, price: FloatVector, nearness: Nearness, trust: float, close_enough: float
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
    problem = dual.Problem(pool, table, task.rules, left, low, high, typical, 0, close_enough, task.alike)
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
