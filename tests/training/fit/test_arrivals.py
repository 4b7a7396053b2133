"""Fitted arrivals: what is new, and of what kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.learning import plain_weights
from tests.training.datasets import dataset_of, minute_of
from training.dataset import Snapshot, snapshot
from training.fit.arrivals import HEAD_SCORE, fit_arrivals, price_levels

WEIGHTS = plain_weights(n_channels=1)
NEVER = int(np.iinfo(np.int32).max)


def first_sold(*days: float | None, as_of: float = 100) -> Snapshot:
    """Items "i0", "i1", ... first sold on these days; None = nothing is known."""
    data = snapshot(dataset_of([("p", "i0", 1)], items=[f"i{row}" for row in range(len(days))]), minute_of(as_of))
    starts = [NEVER if day is None else minute_of(day) for day in days]
    return replace(data, facts=replace(data.facts, available_from=np.array(starts, np.int32)))


def test_items_of_the_last_days_are_new() -> None:
    # Day 72 is exactly four weeks ago, day 101 has not come yet.
    part = fit_arrivals(first_sold(72, 72.1, 100, 101, None, 10, 86), WEIGHTS, 0.5, window_days=28, most=10)
    assert part.arrival_row.tolist() == [1, 2, 6]


def test_newer_items_lead_but_by_less_than_any_taste() -> None:
    part = fit_arrivals(first_sold(100, 86, 93), WEIGHTS, 0.5, window_days=28, most=10)
    assert part.arrival_score.tolist() == pytest.approx([HEAD_SCORE, HEAD_SCORE * 0.75, HEAD_SCORE * 0.875])


def test_the_newest_are_kept() -> None:
    part = fit_arrivals(first_sold(90, 95, 99, 95), WEIGHTS, 0.5, window_days=28, most=2)
    assert part.arrival_row.tolist() == [1, 2]


def test_there_may_be_none() -> None:
    assert fit_arrivals(first_sold(1, None), WEIGHTS, 0.5, window_days=28, most=2).arrival_row.tolist() == []


def test_contents_are_numbered_with_none_first() -> None:
    data = first_sold(99, 99, 99, 99)
    facts = replace(
        data.facts,
        categories=("drinks", "food", ""),
        category_row=np.array([0, 1, 2, 1], np.int32),
        brands=("A", ""),
        brand_row=np.array([0, 0, 0, 0], np.int32),
    )
    part = fit_arrivals(replace(data, facts=facts), WEIGHTS, 0.5, window_days=28, most=10)
    assert part.category_row.tolist() == [1, 2, 0, 2]
    assert part.brand_row.tolist() == [1, 1, 1, 1]


def test_price_levels_are_thirds_of_a_categorys_prices() -> None:
    data = first_sold(*[1] * 9)
    facts = replace(
        data.facts,
        categories=("drinks", "food", ""),
        category_row=np.array([0, 0, 0, 0, 0, 0, 1, 1, 2], np.int32),
        price_cents=np.array([400, 100, 100, 200, 300, np.nan, 5, 6, 7], np.float64),
    )
    # Drinks cost 100, 200, 300 or 400: the thirds are (100, 200), (300) and (400). Food has two prices only.
    assert price_levels(facts).tolist() == [3, 1, 1, 1, 2, 0, 0, 0, 0]
    assert price_levels(replace(facts, price_cents=np.full(9, np.nan))).tolist() == [0] * 9
