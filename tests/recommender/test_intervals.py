"""Intervals: against figures worked out by hand or by simulation, and where the data cannot say anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recommender.intervals import (
    Difference,
    Estimate,
    Sums,
    mean_difference,
    proportion,
    ratio,
    sample_ratio_p,
    unit_mean,
    wilson,
)


def sums_of(n: list[float], y: list[float]) -> Sums:
    a, b = np.array(n, float), np.array(y, float)
    return Sums(len(a), a.sum(), b.sum(), (a * a).sum(), (a * b).sum(), (b * b).sum())


def test_wilson_as_published() -> None:
    # Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662.
    found = wilson(81 / 263, 263)
    assert found.low == pytest.approx(0.2553, abs=5e-5)
    assert found.high == pytest.approx(0.3662, abs=5e-5)


def test_a_ratio_by_hand() -> None:
    # Units (2, 1), (4, 1), (4, 3): ratio 0.5, residuals 0, -1, 1; variance 3/2 * 2 / 100.
    found = ratio(sums_of([2, 4, 4], [1, 1, 3]))
    half = 1.959963984540054 * math.sqrt(0.03)
    assert found == Estimate(0.5, pytest.approx(0.5 - half), pytest.approx(0.5 + half))


def test_customers_who_act_alike_count_as_one_trial_each() -> None:
    # Each customer takes all ten items or none: there are as many trials as customers, but for m / (m - 1).
    clustered = proportion(sums_of([10] * 40, [10] * 10 + [0] * 30))
    alone = wilson(0.25, 40 * 39 / 40)
    assert clustered == Estimate(0.25, pytest.approx(alone.low), pytest.approx(alone.high))
    nobody = proportion(sums_of([10] * 40, [0] * 40))
    assert nobody.low == 0
    assert nobody.high == pytest.approx(wilson(0.0, 40).high)


def test_without_data_there_is_no_interval() -> None:
    assert proportion(Sums(0, 0, 0, 0, 0, 0)) == Estimate(None)
    assert ratio(sums_of([3], [2])) == Estimate(2 / 3)
    assert mean_difference(sums_of([1], [1]), sums_of([1, 1], [0, 1])) == Difference(
        Estimate(None), Estimate(None), None
    )
    assert unit_mean(Sums(0, 0, 0, 0, 0, 0)) == Estimate(None)
    assert unit_mean(sums_of([1], [4])) == Estimate(4)
    assert mean_difference(sums_of([1, 1], [1, 1]), sums_of([1, 1], [0, 0])).relative == Estimate(None)


def test_a_difference_agrees_with_welch() -> None:
    rng = np.random.default_rng(5)
    left, right = rng.gamma(1.0, 3.0, 3000), rng.gamma(1.0, 2.8, 2500)
    found = mean_difference(sums_of([1] * 3000, list(left)), sums_of([1] * 2500, list(right)))
    wanted = stats.ttest_ind(left, right, equal_var=False)
    bounds = wanted.confidence_interval()
    assert found.absolute.low == pytest.approx(bounds.low, abs=1e-3)
    assert found.absolute.high == pytest.approx(bounds.high, abs=1e-3)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=0.02)


def test_intervals_of_shares_and_lifts_cover_the_truth() -> None:
    rng = np.random.default_rng(11)
    held = {"share": 0, "lift": 0}
    rounds = 400
    for _ in range(rounds):
        size, taste = rng.integers(1, 20, 300), rng.beta(0.5, 9.5, 300)
        hits = rng.binomial(size, taste)
        share = proportion(sums_of(list(size), list(hits)))
        held["share"] += share.low <= 0.05 <= share.high  # type: ignore[operator]
        treated, control = rng.exponential(1.1, 400), rng.exponential(1.0, 400)
        lift = mean_difference(sums_of([1] * 400, list(treated)), sums_of([1] * 400, list(control))).relative
        held["lift"] += lift.low <= 0.1 <= lift.high  # type: ignore[operator]
    assert held["share"] / rounds > 0.92
    assert held["lift"] / rounds > 0.92


def test_the_sample_ratio_check_is_the_chi_square_test() -> None:
    wanted = stats.chisquare([5200, 4800], [5000, 5000]).pvalue
    assert sample_ratio_p((5200, 4800), (0.5, 0.5)) == pytest.approx(wanted)
    assert sample_ratio_p((100, 300), (1, 3)) == 1.0
    assert sample_ratio_p((0, 0), (1, 1)) is None
