"""Power: the published figures of two designs, what would help, and designs that compare nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recommender.campaigns.power import (
    Change,
    Design,
    correlation_of,
    design_of,
    longer_window,
    power_of,
    remedies,
    smallest_effect,
    units_needed,
)
from recommender.errors import InputError


def test_a_tenth_more_of_three_percent() -> None:
    # The usual unpooled formula, 80 % power at 95 %: 53,207 per group; with a tenth held out 28,470 of 284,702.
    halves = units_needed(Design(1, 1, 0.03), 0.003)
    tenth = units_needed(Design(9, 1, 0.03), 0.003)
    assert (int(halves / 2), int(tenth / 10), int(tenth)) == (53_207, 28_470, 284_702)


@pytest.mark.parametrize(("treated", "control"), [(53_207.56, 53_207.56), (256_231.9, 28_470.2)])
def test_the_smallest_lift_is_the_inverse(treated: float, control: float) -> None:
    found = smallest_effect(Design(treated, control, 0.03))
    assert found.relative == pytest.approx(0.1, rel=1e-4)
    assert found.per_unit == pytest.approx(0.003, rel=1e-4)
    assert found.total == pytest.approx(0.003 * treated, rel=1e-4)
    assert power_of(Design(treated, control, 0.03), 0.003) == pytest.approx(0.8, abs=1e-4)


def test_the_smallest_amount_by_hand() -> None:
    # (1.96 + 0.8416) * 50 * sqrt(1/800 + 1/200) of a mean of 100.
    design = Design(800, 200, 100.0, 50.0)
    found = smallest_effect(design)
    wanted = (float(stats.norm.ppf(0.975)) + float(stats.norm.ppf(0.8))) * 50 * math.sqrt(1 / 800 + 1 / 200)
    assert found.per_unit == pytest.approx(wanted)
    assert found.relative == pytest.approx(wanted / 100)
    assert power_of(design, wanted) == pytest.approx(0.8, abs=1e-5)
    assert power_of(design, 0) == pytest.approx(0.05)
    assert power_of(design, -wanted) == pytest.approx(power_of(design, wanted))


def test_cuped_with_a_correlation_of_0_6_is_worth_36_percent_of_the_units() -> None:
    plain, foretold = Design(1, 1, 100.0, 50.0), Design(1, 1, 100.0, 50.0, 0.6)
    assert units_needed(foretold, 5) / units_needed(plain, 5) == pytest.approx(0.64)


def test_an_effect_that_varies_adds_to_the_noise_of_the_treated() -> None:
    design = Design(900, 100, 100.0, 30.0, effect_deviation=40.0)
    assert design.error() == pytest.approx(math.sqrt(2500 / 900 + 900 / 100))


def test_remedies_by_hand() -> None:
    design = Design(900, 100, 100.0, 50.0)
    base = smallest_effect(design).relative or 0
    found = {one.change: one for one in remedies(design, 0.6)}
    assert found[Change.LARGER_HOLDOUT].relative == pytest.approx(base * math.sqrt((1 / 800 + 1 / 200) * 90))
    assert found[Change.POOLED_CAMPAIGNS].relative == pytest.approx(base / 2)
    assert found[Change.CUPED].relative == pytest.approx(base * 0.8)
    # Two windows correlated by 0.6: the deviation of the sum is sqrt(3.2), of a mean of 2.
    assert found[Change.LONGER_WINDOW].relative == pytest.approx(base * math.sqrt(3.2) / 2)
    order = [one.relative for one in remedies(design, 0.6)]
    assert order == sorted(order, key=float)


def test_what_is_done_already_is_no_remedy() -> None:
    found = {one.change for one in remedies(Design(500, 500, 100.0, 50.0, 0.6), 0.6)}
    assert found == {Change.LONGER_WINDOW, Change.POOLED_CAMPAIGNS}
    assert {one.change for one in remedies(Design(900, 100, 0.03), 0.0)} == {
        Change.LARGER_HOLDOUT,
        Change.POOLED_CAMPAIGNS,
    }


def test_a_longer_window_agrees_with_sums_of_windows() -> None:
    rng = np.random.default_rng(5)
    lasting = rng.normal(0, 30, 200_000)
    months = lasting + rng.normal(0, 40, (4, 200_000)) + 100
    one = design_of(months[1], months[0], 0.9)
    two = design_of(months[2] + months[3], months[0] + months[1], 0.9)
    found = longer_window(one, one.correlation, 2)
    assert found.mean == pytest.approx(two.mean, rel=0.01)
    assert found.deviation == pytest.approx(two.deviation, rel=0.01)
    assert found.correlation == pytest.approx(two.correlation, rel=0.02)


def test_designs_from_history() -> None:
    found = design_of(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), 0.9)
    assert (found.treated, found.control) == (pytest.approx(2.7), pytest.approx(0.3))
    assert (found.mean, found.deviation) == (2, 2)
    assert found.correlation == pytest.approx(1)
    assert correlation_of(np.array([1.0, 2.0]), np.array([3.0, 3.0])) == 0


def test_what_even_certainty_would_not_show() -> None:
    found = smallest_effect(Design(3, 2, 0.5))
    assert (found.per_unit, found.total, found.relative) == (None, None, None)


@pytest.mark.parametrize(
    ("treated", "control", "mean", "deviation", "correlation", "field"),
    [
        (0, 5, 0.5, None, 0.0, "control"),
        (5, 0, 0.5, None, 0.0, "control"),
        (5, 5, 0.0, None, 0.0, "mean"),
        (5, 5, 1.5, None, 0.0, "mean"),
        (5, 5, 1.5, 2.0, 1.0, "correlation"),
    ],
)
def test_designs_that_compare_nothing(
    treated: float, control: float, mean: float, deviation: float | None, correlation: float, field: str
) -> None:
    with pytest.raises(InputError) as error:
        Design(treated, control, mean, deviation, correlation)
    assert error.value.field == field


def test_no_units_find_nothing() -> None:
    with pytest.raises(InputError, match="at least two units"):
        design_of(np.array([1.0]), None, 0.9)
    with pytest.raises(InputError, match="effect of nothing"):
        units_needed(Design(5, 5, 0.5), 0)
