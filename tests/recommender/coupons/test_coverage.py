"""What offers cover, and what a member's history says of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.coupons.coverage import Bought, bought_of, buys_anyway, chance_of
from recommender.history import MINUTES_PER_DAY, Histories
from recommender.interactions import PURCHASE_CODE
from recommender.touches import Touch

DAY = MINUTES_PER_DAY
TODAY = 1000 * DAY


def history(*entries: tuple[int, int, bool]) -> Histories:
    """Return a history of (item row, days ago, bought)."""
    ordered = sorted(entries, key=lambda one: -one[1])
    n = len(ordered)
    return Histories(
        np.array([0, n], np.int64),
        np.array([row for row, _, _ in ordered], np.int32),
        np.array([TODAY - ago * DAY for _, ago, _ in ordered], np.int32),
        np.array([PURCHASE_CODE if bought else PURCHASE_CODE + 1 for _, _, bought in ordered], np.uint8),
        np.zeros(n, np.uint8),
        np.ones(n, np.uint8),
    )


def test_days_with_a_purchase_of_covered_goods_are_counted() -> None:
    covered = np.array([True, True, False])
    past = history((0, 3, True), (1, 3, True), (0, 10, True), (2, 1, True), (1, 1, False), (0, 200, True))
    assert bought_of(past, covered, TODAY, 0) == Bought(2, TODAY - 3 * DAY)
    assert bought_of(past, np.zeros(3, bool), TODAY, 0) == Bought(0, None)


def test_the_chance_is_that_of_the_member_s_own_rate() -> None:
    assert chance_of(Bought(0, None), 14.0) == 0.0
    assert chance_of(Bought(18, TODAY), 10.0) == pytest.approx(1 - math.exp(-1.0))
    assert chance_of(Bought(18, TODAY), 500.0) == chance_of(Bought(18, TODAY), 14.0)


@pytest.mark.parametrize(
    ("touch", "expected"),
    [
        (None, 0.0),
        (Touch(2, TODAY - 14 * DAY, TODAY - 7 * DAY), 0.0),  # no rhythm yet
        (Touch(5, TODAY - 35 * DAY, TODAY - 7 * DAY), 1 - math.exp(-2.0)),  # every 7 days, due: 7 days / 3.5
        (Touch(5, TODAY - 28 * DAY, TODAY), 1 - math.exp(-1.0)),  # bought today, due in 7 days
        (Touch(5, TODAY - 60 * DAY, TODAY - 32 * DAY), 0.0),  # given up: more than three times 7 days ago
    ],
)
def test_what_is_bought_anyway_follows_the_item_s_rhythm(touch: Touch | None, expected: float) -> None:
    assert buys_anyway(touch, TODAY, 7.0) == pytest.approx(expected)
