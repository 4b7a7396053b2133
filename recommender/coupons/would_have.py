"""What members outside of a plan would have got in it: the choice at its prices, and lots drawn as it drew them.

A control group is like the treated one only if its members are those who would have been sent something. A plan's
prices say who that is: at them everybody who was planned for chose what they got (allocation.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.coupons.allocation import Terms
from recommender.coupons.demand import Pool, Rules, answer
from recommender.coupons.exploring import ExploringPlan
from recommender.coupons.limits import LimitTable
from recommender.coupons.matrices import Arrays

RowVector = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WouldHave:
    """What each of some members would have got: offer, int64, (n,), -1 = none; and by which chance, float64, (n,)."""

    offer_row: RowVector
    propensity: npt.NDArray[np.float64]


def would_have_got(
    arrays: Arrays, explored: ExploringPlan, terms: Terms, members: int, rng: np.random.Generator
) -> WouldHave:
    """Say what members who were not planned for would have got, at most one offer each.

    Args:
        arrays: their profits and costs, as those of the plan.
        explored: the plan.  terms: what it kept to.  members: how many it was made for.
        rng: of the lots.
    """
    k = arrays.n_offers
    worst = np.array([0] * k if terms.worst_case_cents is None else terms.worst_case_cents, np.int64)
    # Limits that name members of the plan say nothing of others; their prices are left out.
    priced = zip(explored.plan.limits, explored.plan.prices, strict=True)
    common = [(limit, part) for limit, part in priced if limit.member_row is None]
    limits = tuple(limit for limit, _ in common)
    price = np.concatenate([np.zeros(0), *(np.append(part, 0.0) for _, part in common)])
    share = len(explored.explorers) / max(members, 1)
    by_lot = np.append(explored.tickets / max(len(explored.explorers), 1), 0.0)
    found, start = np.full(arrays.n_members, -1, np.int64), 0
    chance = np.ones(arrays.n_members)
    for value, cost in arrays.chunks():
        here = slice(start, start + len(value))
        rows = np.arange(len(value))
        pool = Pool(np.where(np.isnan(value), -np.inf, value).T.astype(np.float64), cost.T.astype(np.float64), rows)
        table = LimitTable.of(limits, len(value), worst)
        planned = answer(pool, table.charge(price, rows), table, Rules(1, tuple(range(k)))).chosen[0].astype(np.int64)
        lots = _lots(len(value), by_lot, rng)
        lots[~np.isfinite(pool.value[np.minimum(lots, k - 1), rows])] = k
        got = np.where(rng.random(len(value)) < share, lots, planned)
        blank = 1.0 - by_lot[:-1] @ np.isfinite(pool.value)
        chance[here] = (1 - share) * (planned == got) + share * np.where(got < k, by_lot[got], blank)
        found[here] = np.where(got < k, got, -1)
        start += len(value)
    return WouldHave(found, chance)


def _lots(size: int, by_lot: npt.NDArray[np.float64], rng: np.random.Generator) -> RowVector:
    """Draw an offer for each, the number of offers = a blank."""
    bounds = np.cumsum(by_lot[:-1])
    return np.searchsorted(bounds, rng.random(size), side="right").astype(np.int64)
