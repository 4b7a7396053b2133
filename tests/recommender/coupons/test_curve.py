"""The profit curve over budgets: rises, bends down, and passes through the plan."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.coupons.allocation import Terms, allocate
from recommender.coupons.curve import profit_curve
from recommender.coupons.limits import budget, stock
from recommender.coupons.matrices import Arrays
from recommender.errors import InputError


def test_each_point_is_what_the_best_plan_would_earn() -> None:
    arrays = Arrays(np.array([[30.0], [20.0], [10.0]]), np.full((3, 1), 10))
    points = profit_curve(arrays, Terms((budget(10),)), [0, 10, 20, 30, 40])
    assert [point.budget_cents for point in points] == [0, 10, 20, 30, 40]
    assert [point.profit_cents for point in points] == pytest.approx([0, 30, 50, 60, 60], abs=1e-3)
    assert points[-1].price == pytest.approx(0, abs=1e-6)


def test_more_budget_earns_more_but_ever_less_per_cent() -> None:
    rng = np.random.default_rng(5)
    arrays = Arrays(rng.normal(20, 100, (3000, 5)), rng.integers(20, 400, (3000, 5)))
    terms = Terms((budget(80_000), stock([400] * 5)))
    points = profit_curve(arrays, terms)
    profit = [point.profit_cents for point in points]
    assert profit == sorted(profit)
    assert [point.price for point in points] == sorted((point.price for point in points), reverse=True)
    planned = next(point for point in points if point.budget_cents == 80_000)
    assert planned.profit_cents == pytest.approx(allocate(arrays, terms).bound_cents, rel=1e-6)


def test_without_a_budget_there_is_no_curve() -> None:
    with pytest.raises(InputError, match="needs a budget"):
        profit_curve(Arrays(np.ones((2, 1)), np.ones((2, 1), np.int64)), Terms((stock([1]),)))
