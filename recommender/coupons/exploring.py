"""Exploring plans: a share of the members gets an offer by lot, with its chance recorded, and limits still hold.

Only what was given at random can teach a model, or any other policy, what it would have earned (Dudik, Langford and Li,
2011, "Doubly robust policy evaluation and learning"). A fixed number of members is drawn, all with the same chance; as
many tickets are mixed, a fixed number of each offer and the rest blank, and each of them draws one. So the chance of
everybody to be given an offer by lot is the number of its tickets over the number of members, exactly, and what the
tickets can cost at most is known before they are drawn: no more than the same share of every limit. What is left of the
limits is then allocated among all other members.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.coupons.allocation import Plan, Terms, allocate
from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.holdings import SUM_ROUNDING
from recommender.coupons.limits import MOST, FloatVector, IntVector, Limit, LimitTable, Unit
from recommender.coupons.matrices import Chunk, Matrices
from recommender.errors import InputError

MOST_SHARE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ExploringPlan:
    """A plan of which a part was drawn by lot.

    plan: everybody's coupons; its bound is for plans that need not explore: the gap counts what exploring costs.
    propensity: float64, (p,), the chance with which each coupon of the plan was given to its member.
    none_propensity: float64, (n,), the chance of each member to be given nothing.
    explorers: int64, (m,), the members for whom lots were drawn, in order.
    tickets: int64, (k,), how many of them drew each offer, had all been allowed to have it.
    """

    plan: Plan
    propensity: FloatVector
    none_propensity: FloatVector
    explorers: IntVector
    tickets: IntVector


@dataclass(frozen=True, slots=True, eq=False)
class Lots:
    """Who drew what.

    pool: those who drew.  tickets: int64, (k,), of each offer.  drawn: int64, (m,), offers; k = a blank.
    """

    pool: Pool
    tickets: IntVector
    drawn: IntVector

    @property
    def won(self) -> npt.NDArray[np.intp]:
        """Places in the pool of those who drew an offer."""
        return np.flatnonzero(self.drawn < len(self.tickets))

    def cost(self) -> IntVector:
        """Return the cost of what was won, int64."""
        return self.pool.cost[self.drawn[self.won], self.won].astype(np.int64)


def allocate_exploring(matrices: Matrices, terms: Terms, share: float, rng: np.random.Generator) -> ExploringPlan:
    """Allocate offers to members, some of them by lot.

    Args:
        share: the part of the members for whom lots are drawn; 0 = nobody.
        rng: of the lots; the same one gives the same plan.
    Raises: InputError if the share is out of range, or as allocate().
    """
    if not 0 <= share <= MOST_SHARE:
        raise InputError("A share is out of range.", field="share", value=share, accepted=f"0 to {MOST_SHARE}")
    n_members, k = matrices.n_members, matrices.n_offers
    worst = np.array([0] * k if terms.worst_case_cents is None else terms.worst_case_cents, np.int64)
    table = LimitTable.of(terms.limits, n_members, worst)
    explorers = np.sort(rng.choice(n_members, math.floor(share * n_members), replace=False))
    pool = _rows(matrices, explorers)
    tickets = tickets_of(pool, table, share)
    lots = Lots(pool, tickets, draw(pool, table, tickets, share, rng))
    used = table.usage(explorers[lots.won], lots.drawn[lots.won], lots.cost().astype(np.float64))
    rest = tuple(
        replace(limit, amounts=np.minimum(limit.amounts - _cut(limit, start, used), MOST))
        for limit, start in zip(table.limits, table.start, strict=True)
    )
    plan = allocate(_Without(matrices, explorers), replace(terms, limits=rest))
    return _merged(matrices, plan, lots, used, table, terms)


def tickets_of(pool: Pool, table: LimitTable, share: float) -> IntVector:
    """Return how many tickets of each offer are mixed, int64 (k,): as many of each as of blanks, if limits allow.

    Args:
        pool: those who draw.
        share: the part of every limit that the tickets may use up, whoever draws them.
    """
    k = table.n_offers
    tickets = np.full(k, len(pool.member) // (k + 1), np.int64)
    dearest = np.where(np.isfinite(pool.value), pool.cost, 0.0).max(axis=1, initial=0.0)
    most = {Unit.COST: dearest, Unit.LIABILITY: table.worst[:-1], Unit.COUPONS: np.ones(k)}
    for limit in table.limits:
        if limit.member_row is not None:
            continue
        row = np.zeros(k, np.int64) if limit.offer_row is None else limit.offer_row.astype(np.int64)
        needed = np.bincount(row, tickets * most[limit.unit], len(limit.amounts) + 1)
        allowed = np.append(np.floor(share * limit.amounts), np.inf)
        scale = np.where(needed > allowed, allowed / np.maximum(needed, 1.0), 1.0)
        tickets = np.floor(tickets * scale[row]).astype(np.int64)
    return tickets


def draw(pool: Pool, table: LimitTable, tickets: IntVector, share: float, rng: np.random.Generator) -> IntVector:
    """Let each member of a pool draw a ticket.

    A ticket for an offer that the member may not have is a blank; so is one that would use more than a share of a limit
    of the member's store or guide, of which the recorded chances do not know.

    Returns: int64, (m,), offers; k = a blank.
    """
    k = table.n_offers
    mixed = np.full(len(pool.member), k, np.int64)
    mixed[: tickets.sum()] = np.repeat(np.arange(k), tickets)
    mixed = rng.permutation(mixed)
    if k:
        mixed[~np.isfinite(pool.value[np.minimum(mixed, k - 1), np.arange(len(mixed))])] = k
    left = np.where(table.real, np.floor(share * table.amount), np.inf)
    own = [at for at, limit in enumerate(table.limits) if limit.member_row is not None]
    for place in rng.permutation(np.flatnonzero(mixed < k)).tolist() if own else []:
        member, offer = int(pool.member[place]), int(mixed[place])
        rows = [table.row(at, member, offer) for at in own]
        needed = [table.weight(at, offer, float(pool.cost[offer, place])) for at in own]
        if any(left[row] < amount for row, amount in zip(rows, needed, strict=True)):
            mixed[place] = k
            continue
        for row, amount in zip(rows, needed, strict=True):
            left[row] -= amount
    return mixed


def _merged(
    matrices: Matrices, plan: Plan, lots: Lots, used: FloatVector, table: LimitTable, terms: Terms
) -> ExploringPlan:
    """Put the coupons that were won into a plan of the others, and write the chances down."""
    pool, won = lots.pool, lots.won
    member = np.concatenate((plan.member_row, pool.member[won])).astype(np.int32)
    offer = np.concatenate((plan.offer_row, lots.drawn[won])).astype(np.int32)
    value = np.concatenate((plan.value_cents, pool.value[lots.drawn[won], won]))
    cost = np.concatenate((plan.cost_cents, lots.cost()))
    price = np.concatenate([np.zeros(0), *(np.append(part, 0.0) for part in plan.prices)])
    group = tuple(range(table.n_offers) if terms.group is None else terms.group)
    rules = Rules(min(terms.cap, max(table.n_offers, 1)), group)
    would = answer(pool, table.charge(price, pool.member), table, rules)
    order = np.lexsort((offer, member))
    whole = replace(
        plan,
        member_row=member[order],
        offer_row=offer[order],
        value_cents=value[order],
        cost_cents=cost[order],
        total_value_cents=math.fsum(value),
        total_cost_cents=int(cost.sum()),
        bound_cents=(plan.bound_cents + math.fsum(would.worth) + float(price @ used)) * (1 + SUM_ROUNDING),
        limits=terms.limits,
        used=tuple(
            part + _cut(limit, start, used)
            for part, limit, start in zip(plan.used, table.limits, table.start, strict=True)
        ),
    )
    n_members = max(matrices.n_members, 1)
    kept, by_lot = 1 - len(pool.member) / n_members, lots.tickets / n_members
    planned = np.concatenate((np.ones(len(plan.offer_row)), (would.chosen[:, won] == lots.drawn[won]).any(axis=0)))
    nothing = np.ones(matrices.n_members)
    nothing[plan.member_row] = 0.0
    nothing[pool.member] = (would.chosen == table.n_offers).all(axis=0)
    none = kept * nothing + (1 - kept) - _won_at_all(matrices, by_lot)
    return ExploringPlan(whole, (kept * planned + by_lot[offer])[order], none, pool.member, lots.tickets)


def _won_at_all(matrices: Matrices, by_lot: FloatVector) -> FloatVector:
    """Return the chance of each member to be given any offer by lot, float64, (n,)."""
    chances = [np.zeros(0), *(~np.isnan(value) @ by_lot for value, _ in matrices.chunks())]
    return np.concatenate(chances)


def _cut(limit: Limit, start: int, used: FloatVector) -> IntVector:
    """Return what is used of one limit, int64."""
    return used[start : start + len(limit.amounts)].astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Without:
    """Matrices in which some members may have nothing."""

    matrices: Matrices
    left_out: IntVector

    @property
    def n_members(self) -> int:
        return self.matrices.n_members

    @property
    def n_offers(self) -> int:
        return self.matrices.n_offers

    def chunks(self) -> Iterator[Chunk]:
        start = 0
        for value, cost in self.matrices.chunks():
            first, last = np.searchsorted(self.left_out, (start, start + len(value)))
            own = value.copy()
            own[self.left_out[first:last] - start] = np.nan
            start += len(value)
            yield own, cost


def _rows(matrices: Matrices, members: IntVector) -> Pool:
    """Read some members, whose rows are sorted."""
    shape = (matrices.n_offers, len(members))
    value, cost, start = np.empty(shape), np.empty(shape), 0
    for values, costs in matrices.chunks():
        first, last = np.searchsorted(members, (start, start + len(values)))
        at = members[first:last] - start
        value[:, first:last], cost[:, first:last] = values[at].T, costs[at].T
        start += len(values)
    value[np.isnan(value)] = -np.inf
    return Pool(value, cost, members)
