"""The profit curve: what other budgets would earn, all other limits unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recommender.coupons.allocation import Terms, task_of
from recommender.coupons.demand import answer
from recommender.coupons.limits import Limit, Unit
from recommender.coupons.matrices import Matrices
from recommender.coupons.prices import sample, sample_prices
from recommender.errors import InputError

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
"""Budgets of a curve, as parts of the budget planned with."""
FIRST_PART = 0.1


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One budget: what the best plan could earn with it, and what one more cent would add, all in cents."""

    budget_cents: int
    profit_cents: float
    price: float


def profit_curve(matrices: Matrices, terms: Terms, budgets: Sequence[int] | None = None) -> list[CurvePoint]:
    """Return the profit at other budgets: the dual of a sample of the members, scaled to all of them.

    With few enough members all of them are the sample, and each point is an upper bound that plans come close to.

    Args:
        terms: with one limit on the cost of all coupons.
        budgets: cents; None: from nothing to several times the planned budget.
    Raises: InputError if there is no budget, or as allocate().
    """
    # Coupons that alone exceed the planned budget belong to other points of the curve: nothing is left out.
    task = replace(task_of(matrices, terms), give=True)
    at = next((at for at, limit in enumerate(task.table.limits) if _is_budget(limit)), None)
    if at is None:
        raise InputError(
            "A profit curve needs a budget.", field="limits", accepted="a limit on the cost of all coupons"
        )
    row = task.table.start[at]
    planned = int(task.table.amount[row])
    pool = sample(task, task.most_near)
    share = len(pool.member) / max(matrices.n_members, 1)
    free = answer(pool, task.table.charge(np.zeros(len(task.table.amount)), pool.member), task.table, task.rules)
    width = max(float(free.worth.mean()), 1e-6) if len(pool.member) else 1.0
    typical = 1.0 + (float(np.abs(pool.cost).mean()) if pool.cost.size else 0.0)
    price, points = np.zeros(len(task.table.amount)), []
    for budget in sorted(
        {*(budgets if budgets is not None else (int(part * planned) for part in SHARES))}, reverse=True
    ):
        amount = task.table.amount.copy()
        # Without any money every price that is high enough is right: that of the first part of a coupon is meant.
        amount[row] = max(budget, int(FIRST_PART * typical))
        if len(pool.member):
            left = share * amount.astype(np.float64)
            price = sample_prices(task, pool, left, price, width, typical)
        amount[row] = budget
        worth = answer(pool, task.table.charge(price, pool.member), task.table, task.rules).worth.sum()
        profit = float(price @ amount + worth / share) if share else 0.0
        points.append(CurvePoint(budget, profit, float(price[row])))
    return points[::-1]


def _is_budget(limit: Limit) -> bool:
    return limit.unit is Unit.COST and limit.member_row is None and limit.offer_row is None
