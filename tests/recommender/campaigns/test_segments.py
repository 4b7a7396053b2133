"""Segments: Holm's correction as published, and many segments in which nothing happened."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recommender.campaigns.effect import Units, Verdict, effect_of
from recommender.campaigns.segments import effect_by_segment, holm


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_each_segment_is_a_comparison_of_its_own() -> None:
    rng = np.random.default_rng(2)
    treated = rng.random(3000) < 0.5
    segment = np.repeat([0, 1, -1], 1000)
    outcome = rng.normal(10, 1, 3000) + 3.0 * (treated & (segment == 0))
    units = Units(treated, np.ones(3000), np.full(3000, 0.5))
    found = effect_by_segment(units, outcome, segment, ("new", "loyal"))
    first, second = found.rows
    inside = segment == 0
    assert first.effect == effect_of(units.where(inside), outcome[inside])
    assert first.treated_units + first.control_units == 1000
    assert (first.verdict, second.verdict) == (Verdict.RISE, Verdict.UNDETERMINED)
    assert first.corrected_p == pytest.approx(2 * (first.effect.p_value or 0))
    assert (found.comparisons, found.by_chance) == (2, pytest.approx(0.1))
    assert found.any_by_chance == pytest.approx(0.0975)
    assert found.differ_p is not None
    assert found.differ_p < 1e-6


def test_cochran_by_hand() -> None:
    # Effects 0 and 2, variances of the differences 1 and 1: Q = 2.
    treated = np.array([1, 1, 0, 0] * 2, bool)
    outcome = np.array([0.0, 2, 0, 2, 2, 4, 0, 2]) / np.sqrt(2)
    found = effect_by_segment(Units(treated, np.ones(8), np.full(8, 0.5)), outcome, np.repeat([0, 1], 4), ("a", "b"))
    assert found.rows[0].effect.error == pytest.approx(1)
    assert found.differ_p == pytest.approx(float(stats.chi2.sf(1, 1)))


def test_segments_too_small_to_say_anything_are_no_comparisons() -> None:
    units = Units(np.array([1, 0, 1, 1, 0, 0], bool), np.ones(6), np.full(6, 0.5))
    found = effect_by_segment(units, np.arange(6.0), np.array([0, 0, 1, 1, 1, 1]), ("small", "large", "empty"))
    assert [row.corrected_p is None for row in found.rows] == [True, False, True]
    assert (found.comparisons, found.differ_p) == (1, None)


def test_twenty_segments_of_nothing_seldom_raise_an_alarm() -> None:
    rng, before, after, rounds = np.random.default_rng(9), 0, 0, 200
    segment, names = np.repeat(np.arange(20), 40), [str(number) for number in range(20)]
    for _ in range(rounds):
        treated = rng.random(800) < 0.5
        found = effect_by_segment(Units(treated, np.ones(800), np.full(800, 0.5)), rng.normal(size=800), segment, names)
        before += any(row.effect.verdict is not Verdict.UNDETERMINED for row in found.rows)
        after += any(row.verdict is not Verdict.UNDETERMINED for row in found.rows)
    # One expects 64 % without a correction and at most 5 % with it; four standard errors are 14 and 6 points.
    assert before / rounds > 0.5
    assert after / rounds < 0.11
