"""Holdings: which coupons members hold at given prices, found in one pass over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import Demand, OfferMatrix, OfferVector, Pool, Rules, answer, mark_error
from recommender.coupons.limits import FloatVector, IntVector, LimitTable

ROUNDING = 2.0**-49
"""More than the rounding of one value after charges, as a part of the largest amount that enters it."""
SUM_ROUNDING = 1e-12
"""More than the rounding of the sums, as a part of them."""


@dataclass(slots=True, eq=False)
class Holdings:
    """The coupons of n members, and what they use; changed in place while a plan is repaired.

    offer: int16, (cap, n); k = none.  value: float32, (cap, n), cents.  cost: float64, (cap, n), whole cents.
    used: float64, (rows,), whole numbers.
    bound: no feasible plan is worth more, whatever was rounded.
    near: the members who would most nearly choose something else, and how nearly: float64, (m,), see closeness().
    worth: cents, the sum over members of what their choice is worth after charges.
    """

    offer: OfferMatrix
    value: npt.NDArray[np.float32]
    cost: npt.NDArray[np.float64]
    used: FloatVector
    bound: float
    near: Pool
    closeness: FloatVector
    worth: float


@dataclass(frozen=True, slots=True)
class Reach:
    """Which members a pass keeps: those closer than `closeness`, at most `most` of them.

    typical_cost: cents, of a coupon, see closeness().
    """

    closeness: float
    most: int
    typical_cost: float


def closeness(pool: Pool, demand: Demand, typical_cost: float) -> FloatVector:
    """Return by what change of prices members would choose something else, float64 (m,), in cents for a typical coupon.

    This is the margin of the choice, over how much more than a typical coupon it feels a change of the price of a cent.
    """
    enter, leave = demand.next_best(np.arange(len(pool.member)))
    moved = np.abs(costs_of(pool, enter) - costs_of(pool, leave))
    return demand.margin / (1.0 + moved / typical_cost)


def hold(
    parts: Iterable[Pool], n_members: int, table: LimitTable, rules: Rules, price: FloatVector, reach: Reach
) -> Holdings:
    """Let every member choose at given prices.

    Args:
        parts: all members, in order, as tiles.
        price: float64, (rows,), not negative.
    """
    shape = (rules.cap, n_members)
    offer = np.full(shape, table.n_offers, np.int16)
    value, cost = np.zeros(shape, np.float32), np.zeros(shape)
    used = np.zeros(len(price))
    keeper = _Keeper(table.n_offers, reach)
    worths, rounded = [], 0.0
    for pool in parts:
        demand = answer(pool, table.charge(price, pool.member), table, rules)
        at = slice(int(pool.member[0]), int(pool.member[-1]) + 1)
        offer[:, at] = demand.chosen
        value[:, at], cost[:, at] = held_amounts(pool, demand.chosen)
        for place in range(rules.cap):
            used += table.usage(pool.member, offer[place, at], cost[place, at])
        worths.append(math.fsum(demand.worth))
        rounded += len(pool.member) * _largest(pool, price)
        keeper.look(pool, demand)
    exact = math.fsum((*worths, *(price * table.amount)))
    bound = exact + abs(exact) * SUM_ROUNDING + rules.cap * rounded * (ROUNDING + mark_error(table.n_offers))
    near, close = keeper.kept()
    return Holdings(offer, value, cost, used, bound, near, close, math.fsum(worths))


def held_amounts(pool: Pool, chosen: OfferMatrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return value and cost, float64 (cap, m), of what members have chosen; 0 for no offer."""
    nothing = len(pool.value)
    real = chosen < nothing
    at = (np.where(real, chosen, 0), np.arange(chosen.shape[1]))
    if not nothing:
        return np.zeros(chosen.shape), np.zeros(chosen.shape)
    return np.where(real, pool.value[at], 0.0), np.where(real, pool.cost[at], 0.0)


def costs_of(pool: Pool, offer: OfferVector) -> FloatVector:
    """Return the cost, float64 (m,), of one offer for each member; 0 for no offer."""
    cost = pool.cost[np.minimum(offer, len(pool.cost) - 1), np.arange(len(offer))]
    cost[offer == len(pool.cost)] = 0.0
    return cost


def _largest(pool: Pool, price: FloatVector) -> float:
    """Return the largest amount in a value after charges above zero: its value, and what a cost below zero adds."""
    given = max(-float(pool.cost.min(initial=0.0)), 0.0)
    return max(float(pool.value.max(initial=0.0)), 0.0) + given * 2 * float(price.sum())


class _Keeper:
    """Collects the members near a change, tile by tile."""

    def __init__(self, n_offers: int, reach: Reach) -> None:
        self._n_offers, self._reach = n_offers, reach
        self._pools: list[Pool] = []
        self._closeness: list[FloatVector] = []
        self._count = 0

    def look(self, pool: Pool, demand: Demand) -> None:
        """Keep the members of a tile that are near a change."""
        close = closeness(pool, demand, self._reach.typical_cost)
        at = np.flatnonzero(close < self._reach.closeness)[: self._reach.most - self._count]
        self._count += len(at)
        self._pools.append(pool.part(at))
        self._closeness.append(close[at])

    def kept(self) -> tuple[Pool, FloatVector]:
        """Return all that were kept, in order."""
        k = self._n_offers
        value = np.empty((k, self._count))
        cost = np.empty((k, self._count))
        member: IntVector = np.empty(self._count, np.int64)
        close = np.empty(self._count)
        end = self._count
        while self._pools:
            pool, own = self._pools.pop(), self._closeness.pop()
            part = slice(end - len(own), end)
            value[:, part], cost[:, part], member[part], close[part] = pool.value, pool.cost, pool.member, own
            end -= len(own)
        return Pool(value, cost, member), close
