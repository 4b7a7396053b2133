"""Effects: against figures worked out by hand, against other software, and where the data cannot say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recommender.campaigns.effect import (
    NO_EFFECT_KNOWN,
    Units,
    Verdict,
    adjust,
    difference,
    effect_of,
    group_mean,
    judge,
    measure,
    ratio_p,
    sum_units,
)
from recommender.intervals import Estimate, sample_ratio_p


def units_of(treated: list[int], members: list[float] | None = None, propensity: float | list[float] = 0.5) -> Units:
    size = len(treated)
    return Units(
        np.array(treated, bool),
        np.array([1.0] * size if members is None else members),
        np.array([propensity] * size if isinstance(propensity, float) else propensity),
    )


def test_a_difference_by_hand() -> None:
    # Means 3 and 1, variances 2/2 + 2/2 of the means over 2 units each: s^2 = 2 and 2, error sqrt(1 + 1).
    found = effect_of(units_of([1, 1, 0, 0]), np.array([2.0, 4.0, 0.0, 2.0]))
    half = float(stats.t.ppf(0.975, 2)) * math.sqrt(2)
    assert (found.treated_mean, found.control_mean) == (3, 1)
    assert found.per_member == Estimate(2, pytest.approx(2 - half), pytest.approx(2 + half))
    assert found.total == Estimate(4, pytest.approx(4 - 2 * half), pytest.approx(4 + 2 * half))
    assert found.relative.value == 2
    assert found.verdict is Verdict.UNDETERMINED


def test_it_agrees_with_welch() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.gamma(1.0, 3.0, 300), rng.gamma(1.0, 2.0, 70)
    found = effect_of(units_of([1] * 300 + [0] * 70, propensity=0.8), np.concatenate([left, right]))
    wanted = stats.ttest_ind(left, right, equal_var=False)
    bounds = wanted.confidence_interval()
    assert found.per_member == Estimate(
        pytest.approx(left.mean() - right.mean()), pytest.approx(bounds.low), pytest.approx(bounds.high)
    )
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.verdict is Verdict.RISE


def test_members_of_a_household_are_one_draw() -> None:
    # Ten households of four who do the same: as certain as ten people, not forty.
    rng = np.random.default_rng(4)
    alone, treated = rng.normal(5, 1, 20), [1, 0] * 10
    single = effect_of(units_of(treated), alone)
    together = effect_of(units_of(treated, members=[4.0] * 20), alone * 4)
    assert together.per_member.value == pytest.approx(single.per_member.value)
    assert together.error == pytest.approx(single.error)
    assert together.total.value == pytest.approx(4 * single.total.value)


def test_members_are_added_up_to_units() -> None:
    found = sum_units(np.array([0, 2, 0]), 3, np.array([1.0, 5.0, 2.0]))
    assert found.tolist() == [3, 0, 5]


def test_weights_undo_a_share_that_varies() -> None:
    # Heavy buyers (10) are treated 3 times of 4, light ones (2) 1 time of 4; nothing works.
    treated = [1, 1, 1, 0, 1, 0, 0, 0]
    units = units_of(treated, propensity=[0.75] * 4 + [0.25] * 4)
    outcome = np.array([10.0] * 4 + [2.0] * 4)
    assert outcome[units.treated].mean() - outcome[~units.treated].mean() == 4
    found = difference(units, outcome)
    assert found is not None
    assert found.value == pytest.approx(0)


def test_cuped_by_hand() -> None:
    # y = 3 x + effect 2 + residuals that are orthogonal to x within each group: theta is 3.
    before = np.array([0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0])
    rest = np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0])
    units = units_of([1, 1, 1, 1, 0, 0, 0, 0])
    outcome = 3 * before + rest + 2 * units.treated
    found = adjust(units, outcome, before[:, None])
    assert found == pytest.approx(rest + 2 * units.treated + 3 * before.mean())
    both = measure(units, outcome, before[:, None])
    assert both.adjusted.per_member.value == pytest.approx(2)
    assert both.raw.per_member.value == pytest.approx(2 - 3)
    assert both.narrowed is not None
    assert both.narrowed > 0.7


def test_several_covariates_and_useless_ones() -> None:
    rng = np.random.default_rng(6)
    one, other, rest = rng.normal(size=(3, 2000))
    units = units_of(list(rng.integers(0, 2, 2000)))
    covariates = np.column_stack([one, other, one + other, np.full(2000, 7.0)])
    outcome = 2 * one - other + 0.1 * rest
    found = measure(units, outcome, covariates)
    assert found.adjusted.error == pytest.approx(0.2 / math.sqrt(2000), rel=0.1)
    constant = measure(units, outcome, np.ones((2000, 1)))
    assert constant.adjusted == constant.raw


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.integers(1, 4)), min_size=4, max_size=30))
def test_cuped_keeps_the_mean_and_scales(rows: list[tuple[bool, float, int]]) -> None:
    treated, before, members = (np.array(column) for column in zip(*rows, strict=True))
    units = Units(treated.astype(bool), members.astype(float), np.full(len(rows), 0.5))
    outcome = before * members + members
    found = adjust(units, outcome, (before * members)[:, None])
    assert found.sum() == pytest.approx(outcome.sum(), rel=1e-6, abs=1e-6)
    assert adjust(units, outcome, (5 * before * members)[:, None]) == pytest.approx(found, rel=1e-6, abs=1e-6)


def test_a_group_of_one_says_nothing() -> None:
    units = units_of([1, 0, 0])
    assert effect_of(units, np.array([1.0, 0.0, 2.0])) == NO_EFFECT_KNOWN
    found = measure(units, np.array([1.0, 0.0, 2.0]), np.zeros((3, 1)))
    assert (found.adjusted.verdict, found.narrowed) == (Verdict.UNDETERMINED, None)
    assert group_mean(units_of([0, 0]), np.zeros(2), True) is None


def test_nobody_bought_anything() -> None:
    found = measure(units_of([1, 1, 0, 0]), np.zeros(4))
    assert found.adjusted.per_member == Estimate(0, 0, 0)
    assert (found.adjusted.p_value, found.adjusted.relative) == (None, Estimate(None))
    assert (found.adjusted.verdict, found.cut, found.skewed) == (Verdict.UNDETERMINED, None, False)


def test_verdicts() -> None:
    assert judge(Estimate(2, 1, 3)) is Verdict.RISE
    assert judge(Estimate(-2, -3, -1)) is Verdict.FALL
    assert judge(Estimate(0.5, 0, 1)) is Verdict.UNDETERMINED
    assert judge(Estimate(5)) is Verdict.UNDETERMINED


def test_the_winsorised_figure_cuts_what_few_bought() -> None:
    outcome = np.ones(2000)
    outcome[0] = 1_000_000
    units = units_of([1, 0] * 1000)
    found = measure(units, outcome)
    assert found.cut == 1
    assert found.winsorised.per_member.value == 0
    assert found.raw.per_member.value == pytest.approx(999.999)
    assert found.skewed
    assert not measure(units, np.random.default_rng(1).normal(10, 1, 2000)).skewed


def test_the_ratio_check_with_equal_shares_is_chi_square() -> None:
    units = units_of([1] * 930 + [0] * 70, propensity=0.9)
    assert ratio_p(units) == pytest.approx(sample_ratio_p((930, 70), (0.9, 0.1)))
    assert ratio_p(units_of([1] * 900 + [0] * 100, propensity=0.9)) == pytest.approx(1)
    assert ratio_p(units_of([])) is None


def test_the_ratio_check_knows_shares_that_vary() -> None:
    # 4 expected of 8; variance 8 * 3/16 = 1.5; 6 are 2 more: chi-square 4 / 1.5.
    units = units_of([1, 1, 1, 1, 1, 1, 0, 0], propensity=[0.75] * 4 + [0.25] * 4)
    assert ratio_p(units) == pytest.approx(float(stats.chi2.sf(4 / 1.5, 1)))
