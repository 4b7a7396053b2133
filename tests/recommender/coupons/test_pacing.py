"""Pacing: decisions from a plan's prices, and a budget that lasts as long as its time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.coupons.allocation import Terms, allocate
from recommender.coupons.limits import budget
from recommender.coupons.matrices import Arrays
from recommender.coupons.pacing import Multipliers, Pace, decide, paced_price
from recommender.coupons.plan_files import read_multipliers, write_multipliers
from recommender.errors import InputError

EVEN = Pace(1000, 500, 0.5)


def kept(cent_price: float = 1.0, coupon_cents: tuple[float, ...] = (0.0, 0.0)) -> Multipliers:
    offers = tuple(f"o{number}" for number in range(len(coupon_cents)))
    return Multipliers("c1", datetime(2026, 3, 2, tzinfo=UTC), "bundle", offers, coupon_cents, cent_price)


def test_the_offer_worth_most_after_charges_is_chosen() -> None:
    assert decide(kept(), EVEN, [30.0, 25.0], [20.0, 5.0]) == 1
    assert decide(kept(coupon_cents=(0.0, 12.0)), EVEN, [30.0, 25.0], [20.0, 5.0]) == 0
    assert decide(kept(cent_price=2.0), EVEN, [30.0, 9.0], [20.0, 5.0]) is None
    assert decide(kept(), EVEN, [float("nan"), 6.0], [0.0, 5.0]) == 1


def test_what_is_left_covers_the_cost_or_nothing_is_given() -> None:
    assert decide(kept(cent_price=0.0), Pace(1000, 990, 1.0), [900.0, 5.0], [11.0, 10.0]) == 1
    assert decide(kept(cent_price=0.0), Pace(1000, 1000, 1.0), [900.0, 5.0], [11.0, 10.0]) is None
    assert decide(kept(cent_price=0.0), Pace(0, 0, 0.5), [900.0, 5.0], [1.0, 0.0]) == 1


def test_a_cent_is_dearer_while_spending_is_ahead_of_time() -> None:
    assert paced_price(2.0, EVEN) == pytest.approx(2.0)
    assert paced_price(2.0, Pace(1000, 700, 0.5)) > 2.0 > paced_price(2.0, Pace(1000, 300, 0.5)) > 0
    assert paced_price(0.0, Pace(1000, 900, 0.1)) > 0 == paced_price(0.0, Pace(1000, 100, 0.9))
    assert paced_price(2.0, Pace(None, 500, 0.5)) == 0


@given(
    st.floats(0, 100), st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1),
    st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 10**6)), min_size=1, max_size=5),
)  # fmt: skip
def test_no_decision_costs_more_than_is_left(
    price: float, total: int, used: int, elapsed: float, offers: list[tuple[float, float]]
) -> None:
    pace = Pace(total, used, elapsed)
    value, cost = [offer[0] for offer in offers], [offer[1] for offer in offers]
    chosen = decide(kept(price, (0.0,) * len(offers)), pace, value, cost)
    if chosen is not None:
        assert cost[chosen] <= pace.left_cents
        assert value[chosen] > 0


def simulate(price: float, total: int, seed: int, steady: bool = True) -> tuple[float, int, float]:
    """Let 20,000 members come in waves; return profit, what was spent, and when the last tenth of it was."""
    value, cost = members(seed)
    rng = np.random.default_rng(seed)
    times = np.sort(np.concatenate((rng.random(10_000), rng.beta(2, 5, 10_000))))
    profit, used, late = 0.0, 0, 0.0
    for place, elapsed in enumerate(times.tolist()):
        pace = Pace(total, used, elapsed if steady else used / total)
        own = cost[place].tolist()
        chosen = decide(kept(price, (0.0,) * 4), pace, value[place].tolist(), own)
        if chosen is not None and used + own[chosen] <= total:
            used += own[chosen]
            profit += float(value[place, chosen])
            late = elapsed if used < 0.9 * total else late
    return profit, used, late


def members(seed: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    return rng.normal(0, 60, (20_000, 4)), rng.integers(20, 300, (20_000, 4))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_under_control_a_budget_lasts_and_earns_nearly_what_hindsight_would(seed: int) -> None:
    total = 300_000
    value, cost = members(seed)
    best = allocate(Arrays(value, cost), Terms((budget(total),)))
    right = float(best.prices[0][0])
    for price in (right, right / 2, right * 2):
        profit, used, late = simulate(price, total, seed)
        assert used <= total
        assert used > 0.95 * total
        assert profit > 0.85 * best.total_value_cents
        assert late > 0.6
    # Without control half the price spends everything on those who come first.
    careless, _, early = simulate(right / 2, total, seed, steady=False)
    assert careless < simulate(right / 2, total, seed)[0]
    assert early < 0.6


def test_multipliers_are_kept_by_campaign(tmp_path: Path) -> None:
    assert read_multipliers(tmp_path, "c1") is None
    path = write_multipliers(tmp_path, kept(1.5, (0.25,)))
    assert read_multipliers(tmp_path, "c1") == kept(1.5, (0.25,))
    assert read_multipliers(tmp_path, None) is None
    path.write_text("{}", "utf-8")
    with pytest.raises(InputError, match="not the multipliers"):
        read_multipliers(tmp_path, "c1")
    path.write_text("{", "utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        read_multipliers(tmp_path, "c1")
