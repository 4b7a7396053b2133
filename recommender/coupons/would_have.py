"""What members outside of a plan would have got in it: the choice at its prices, and lots drawn as it drew them.

A control group is like the treated one only if its members are those who would have been sent something. A plan's
prices say who that is: at them everybody who was planned for chose what they got (allocation.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recommender.coupons.allocation import Terms
from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.exploring import ExploringPlan
from recommender.coupons.fairness import FLOOR, Tenure, floor_rows
from recommender.coupons.limits import FloatVector, Limit, LimitTable
from recommender.coupons.matrices import Arrays

RowVector = npt.NDArray[np.int64]
FORBIDDING = 1e9
"""A price, in cents per thousandth of a cent of cost, at which nothing is worth anything."""


@dataclass(frozen=True, slots=True, eq=False)
class WouldHave:
    """What each of some members would have got: offer, int64, (n,), -1 = none; and by which chance, float64, (n,)."""

    offer_row: RowVector
    propensity: npt.NDArray[np.float64]


def would_have_got(
    arrays: Arrays,
    explored: ExploringPlan,
    terms: Terms,
    members: int,
    rng: np.random.Generator,
    tenure: Tenure | None = None,
) -> WouldHave:
    """Say what members who were not planned for would have got, at most one offer each.

    Args:
        arrays: their profits and costs, as those of the plan.
        explored: the plan.  terms: what it kept to.  members: how many it was made for.
        rng: of the lots.
        tenure: who of them is new, in the classes of the plan; None where the plan has no loyalty floor.
    """
    k = arrays.n_offers
    worst = np.array([0] * k if terms.worst_case_cents is None else terms.worst_case_cents, np.int64)
    # Other limits that name members of the plan say nothing of others; their prices are left out.
    priced = zip(explored.plan.limits, explored.plan.prices, strict=True)
    known = [pair for pair in priced if pair[0].member_row is None or (pair[0].name == FLOOR and tenure is not None)]
    price = np.concatenate([np.zeros(0), *(np.append(_price(*pair), 0.0) for pair in known)])
    share = len(explored.explorers) / max(members, 1)
    by_lot = np.append(explored.tickets / max(len(explored.explorers), 1), 0.0)
    found, start = np.full(arrays.n_members, -1, np.int64), 0
    chance = np.ones(arrays.n_members)
    for value, cost in arrays.chunks():
        here = slice(start, start + len(value))
        rows = np.arange(len(value))
        pool = Pool(np.where(np.isnan(value), -np.inf, value).T.astype(np.float64), cost.T.astype(np.float64), rows)
        table = LimitTable.of([_for_others(limit, tenure, here) for limit, _ in known], len(value), worst)
        planned = answer(pool, table.charge(price, rows), table, Rules(1, tuple(range(k)))).chosen[0].astype(np.int64)
        lots = _lots(len(value), by_lot, rng)
        lots[~np.isfinite(pool.value[np.minimum(lots, k - 1), rows])] = k
        got = np.where(rng.random(len(value)) < share, lots, planned)
        blank = 1.0 - by_lot[:-1] @ np.isfinite(pool.value)
        chance[here] = (1 - share) * (planned == got) + share * np.where(got < k, by_lot[got], blank)
        found[here] = np.where(got < k, got, -1)
        start += len(value)
    return WouldHave(found, chance)


def _price(limit: Limit, price: FloatVector) -> FloatVector:
    """Return the prices of a limit; a floor that leaves no room at all has none in the plan, and forbids here."""
    if limit.name != FLOOR:
        return price
    found: FloatVector = np.where(limit.amounts == 0, FORBIDDING, price)
    return found


def _for_others(limit: Limit, tenure: Tenure | None, here: slice) -> Limit:
    """Return a limit as it holds for members who were not planned for."""
    if limit.member_row is None or tenure is None:
        return limit
    return replace(limit, member_row=floor_rows(tenure, len(limit.amounts))[here])


def _lots(size: int, by_lot: npt.NDArray[np.float64], rng: np.random.Generator) -> RowVector:
    """Draw an offer for each, the number of offers = a blank."""
    bounds = np.cumsum(by_lot[:-1])
    return np.searchsorted(bounds, rng.random(size), side="right").astype(np.int64)
