"""allocate: which member gets which offer, for the most expected profit within every limit.

    maximise    sum of value[i, j] over the pairs of a plan
    subject to  at most `cap` coupons per member, at most one offer of an exclusive group per member,
                and every row of every limit (budget, liability, stock, store budgets, capacity)

A multiple-choice knapsack with many side constraints, in which giving nothing is always possible. Prices on the limits
are found on samples, then among the members who are near a change at these prices (prices.py, dual.py); every member
chooses at the prices (holdings.py); the few coupons too many or too few are exchanged (repair.py), and budgets are
spent to the cent (polish.py). All passes over the members are sequential, in tiles; few of them are in memory at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.demand import OfferMatrix, Rules
from recommender.coupons.exchange import Exchange
from recommender.coupons.holdings import Holdings
from recommender.coupons.limits import FloatVector, IntVector, Limit, LimitTable
from recommender.coupons.matrices import Matrices, alike, check
from recommender.coupons.polish import polish
from recommender.coupons.prices import Task, first_prices, settle
from recommender.coupons.repair import cut, fill, meet_offer_limits, meet_other_limits
from recommender.errors import InputError

LIFT, LIFT_ALIKE = 2.0**-24, 2.0**-17
"""Largest lift of a value that makes equal members differ, part of the mean value: where few are equal, and many."""
LEAST_REPAIRED, REPAIRED_PER_ROW = 4000, 100
"""Members near a change among whom a plan is repaired."""


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
    task = task_of(matrices, terms)
    if not (matrices.n_members and matrices.n_offers):
        return _plan(task, np.empty((0, 0), np.int16), np.zeros(len(task.table.amount)), 0.0)
    price, nearness = first_prices(task)
    holdings, price, bound = settle(task, price, nearness)
    _repair(task, holdings, price)
    return _plan(task, holdings.offer, price, min(bound, holdings.bound))


def task_of(matrices: Matrices, terms: Terms) -> Task:
    """Check the input and choose the lift.

    Raises: InputError, see allocate().
    """
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
    equal = alike(matrices)
    table = LimitTable.of(terms.limits, matrices.n_members, np.array(worst, np.int64))
    return Task(matrices, table, Rules(cap, tuple(group)), lowest < 0, mean * (LIFT_ALIKE if equal else LIFT), equal)


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
    polish(exchange, task.close_enough * holdings.bound)
    exchange.write(holdings)


def _plan(task: Task, held: OfferMatrix, price: FloatVector, bound: float) -> Plan:
    """Read values and costs of what is held once more, count, and make sure that every limit is kept."""
    table = task.table
    member, place = np.nonzero((held < table.n_offers).T)
    offer = held[place, member].astype(np.int32)
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
