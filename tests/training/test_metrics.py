"""Metrics against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training import metrics
from training.metrics import Ragged

# Three members: two truth items of which one is shown second; one truth item shown first; no truth at all.
LISTS = Ragged.of([[5, 3, 8], [2, 1], [4]])
TRUTH = Ragged.of([[3, 7], [2], []])


def test_hit_matrix_marks_positions() -> None:
    hits = metrics.hit_matrix(LISTS, TRUTH, 3)
    assert hits.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_hits_beyond_the_depth_do_not_count() -> None:
    assert not metrics.hit_matrix(LISTS, TRUTH, 1)[0].any()


def test_measures_by_hand() -> None:
    scores = metrics.measure(LISTS, TRUTH, (2, 3))
    discount = 1 / math.log2(3)
    ideal = 1 + discount
    assert scores["recall@2"][:2] == pytest.approx([0.5, 1.0])
    assert scores["hit_rate@2"][:2] == pytest.approx([1.0, 1.0])
    assert scores["ndcg@2"][:2] == pytest.approx([discount / ideal, 1.0])
    assert scores["map@2"][:2] == pytest.approx([0.5 / 2, 1.0])
    assert all(np.isnan(values[2]) for values in scores.values())


def test_ideal_is_cut_at_k_and_at_the_number_of_truth_items() -> None:
    lists = Ragged.of([[1, 2, 3], [9, 1, 8]])
    truth = Ragged.of([[1, 2, 3, 4, 5], [1]])
    scores = metrics.measure(lists, truth, (3,))
    assert scores["ndcg@3"] == pytest.approx([1.0, 1 / math.log2(3)])
    assert scores["map@3"] == pytest.approx([1.0, 0.5])
    assert scores["recall@3"] == pytest.approx([3 / 5, 1.0])


def test_map_by_hand() -> None:
    # Hits at positions 1 and 3 of two truth items: (1/1 + 2/3) / 2.
    scores = metrics.measure(Ragged.of([[1, 9, 2]]), Ragged.of([[1, 2]]), (3,))
    assert scores["map@3"] == pytest.approx([(1 + 2 / 3) / 2])


def test_a_member_without_a_list_scores_zero() -> None:
    scores = metrics.measure(Ragged.of([[], [1]]), Ragged.of([[1], [1]]), (10,))
    assert scores["ndcg@10"].tolist() == [0.0, 1.0]


def test_nothing_at_all() -> None:
    scores = metrics.measure(Ragged.of([]), Ragged.of([]), (10,))
    assert len(scores["recall@10"]) == 0


def test_perfect_lists_score_one_whatever_the_sizes() -> None:
    rng = np.random.default_rng(7)
    truth = Ragged.of([rng.permutation(50)[: rng.integers(1, 12)] for _ in range(40)])
    scores = metrics.measure(truth, truth, (20,))
    for values in scores.values():
        assert values == pytest.approx(1.0)


def test_ragged_keep_select_contains() -> None:
    lists = Ragged.of([[5, 3], [], [8, 2, 1]])
    assert lists.keep(lists.row > 2).indptr.tolist() == [0, 2, 2, 3]
    chosen = lists.select(np.array([2, 0]))
    assert chosen.indptr.tolist() == [0, 3, 5]
    assert chosen.row.tolist() == [8, 2, 1, 5, 3]
    other = Ragged.of([[3], [3], [1, 9]])
    assert lists.contains(other).tolist() == [True, False, True, False]


def test_bootstrap_of_a_constant_has_no_width() -> None:
    values = np.array([[0.5, 1.0], [0.5, np.nan], [0.5, 1.0]])
    half, one = metrics.bootstrap(values, np.random.default_rng(1), rounds=100)
    assert (half.mean, half.low, half.high, half.members) == (0.5, 0.5, 0.5, 3)
    assert (one.mean, one.low, one.high, one.members) == (1.0, 1.0, 1.0, 2)


def test_bootstrap_width_matches_the_standard_error() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 1))
    interval = metrics.bootstrap(values, rng, rounds=2000)[0]
    error = 1.96 * values.std() / math.sqrt(400)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * error, rel=0.1)


def test_paired_bootstrap_sees_a_small_constant_difference() -> None:
    rng = np.random.default_rng(5)
    noisy = rng.normal(size=300)
    difference = (noisy + 0.01) - noisy
    interval = metrics.bootstrap(difference[:, None], rng, rounds=200)[0]
    assert interval.low > 0.0099
    assert interval.text == "0.0100 [0.0100, 0.0100]"


def test_bootstrap_repeats_with_the_same_seed() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    first = metrics.bootstrap(values, np.random.default_rng(9), rounds=120)
    assert first == metrics.bootstrap(values, np.random.default_rng(9), rounds=120)


def test_bootstrap_without_members() -> None:
    interval = metrics.bootstrap(np.full((3, 1), np.nan), np.random.default_rng(0), rounds=10)[0]
    assert math.isnan(interval.mean)
    assert math.isnan(interval.low)
    assert interval.members == 0
