"""Candidates: ordered, cut, restricted and united."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates import Candidates, either, head, keep_best, only_allowed, segment_numbers, unite
from tests.learning import CHEAP, lists_of, mask_of


def found(*lists: dict[int, float]) -> Candidates:
    """Make candidates from score by row per query."""
    query = np.repeat(np.arange(len(lists)), [len(part) for part in lists])
    row = np.array([row for part in lists for row in part], np.int32)
    score = np.array([score for part in lists for score in part.values()], np.float32)
    return keep_best(query, row, score, len(lists), 100)


def test_segment_numbers() -> None:
    assert segment_numbers(np.array([0, 2, 2, 3])).tolist() == [0, 0, 2]
    assert segment_numbers(np.array([0])).tolist() == []


def test_head_takes_the_highest_and_of_equals_the_lowest_rows() -> None:
    score, row = np.array([1, 3, 1, 2, 1], np.float32), np.array([8, 4, 2, 9, 5], np.int32)
    assert sorted(head(score, row, 2).tolist()) == [1, 3]
    assert sorted(head(score, row, 3).tolist()) == [1, 2, 3]
    assert sorted(head(score, row, 4).tolist()) == [1, 2, 3, 4]
    assert head(score, row, 5).tolist() == [0, 1, 2, 3, 4]
    assert head(score[:0], row[:0], 3).tolist() == []


@CHEAP
@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 12), st.randoms(use_true_random=False))
def test_head_is_the_front_of_a_full_sort(levels: list[int], count: int, random: object) -> None:
    score = np.array(levels, np.float32)
    row = np.arange(len(levels), dtype=np.int32)
    random.shuffle(row)  # type: ignore[attr-defined]
    expected = np.lexsort((row, -score))[:count]
    assert sorted(head(score, row, count).tolist()) == sorted(expected.tolist())


def test_keep_best_orders_and_cuts_each_query() -> None:
    query = np.array([2, 0, 0, 2, 0, 2])
    row = np.array([5, 3, 1, 4, 2, 9], np.int32)
    score = np.array([1, 0.5, 0.5, 2, 0.75, 1], np.float32)
    best = keep_best(query, row, score, 4, 2)
    assert lists_of(best) == [[2, 1], [], [4, 5], []]
    assert best.score.tolist() == [0.75, 0.5, 2, 1]
    assert best.indptr.tolist() == [0, 2, 2, 4, 4]


def test_keep_best_of_nothing() -> None:
    none = keep_best(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 2, 3)
    assert none.indptr.tolist() == [0, 0, 0]


@CHEAP
@given(st.permutations(range(8)))
def test_keep_best_does_not_depend_on_the_order_given(order: list[int]) -> None:
    query = np.array([0, 0, 0, 1, 1, 1, 1, 1])[order]
    row = np.array([1, 2, 3, 1, 2, 3, 4, 5], np.int32)[order]
    score = np.array([1, 1, 2, 1, 1, 1, 3, 0], np.float32)[order]
    assert lists_of(keep_best(query, row, score, 2, 3)) == [[3, 1, 2], [4, 1, 2]]


def test_only_allowed() -> None:
    query, row = np.array([0, 0, 2, 2, 3]), np.array([0, 1, 0, 1, 0], np.int32)
    kept = only_allowed(query, row, [mask_of(3, 1), mask_of(3), None, mask_of(3, 1, 2)])
    assert kept.tolist() == [False, True, True, True, False]


def test_unite() -> None:
    pool = unite({"a": found({3: 2.0, 1: 1.0}, {}, {0: 5.0}), "b": found({1: 7.0, 2: 6.0}, {4: 1.0}, {})})
    assert pool.retrievers == ("a", "b")
    assert pool.indptr.tolist() == [0, 3, 4, 5]
    assert pool.query.tolist() == [0, 0, 0, 1, 2]
    assert pool.row.tolist() == [1, 2, 3, 4, 0]
    expected = [[1, 7], [np.nan, 6], [2, np.nan], [np.nan, 1], [5, np.nan]]
    assert pool.scores == pytest.approx(np.array(expected), nan_ok=True)
    places = [[1, 0], [np.nan, 1], [0, np.nan], [np.nan, 0], [0, np.nan]]
    assert pool.ranks == pytest.approx(np.array(places), nan_ok=True)


def test_unite_nothing() -> None:
    pool = unite({"a": found({}, {}), "b": found({}, {})})
    assert pool.indptr.tolist() == [0, 0, 0]
    assert pool.scores.shape == (0, 2)


def test_keep_best_orders_scores_of_all_sorts() -> None:
    score = np.array([0.0, -1.0, 2.5, -0.0, 1e-40, -1e-40, 2.5, 3e30], np.float32)
    row = np.array([7, 6, 5, 4, 3, 2, 1, 0], np.int32)
    query = np.repeat(np.arange(2), len(row))
    found = keep_best(query, np.tile(row, 2), np.tile(score, 2), 2, 10)
    assert found.row.tolist() == [0, 1, 5, 3, 4, 7, 2, 6] * 2
    assert found.indptr.tolist() == [0, 8, 16]


def test_either_takes_each_query_from_one_side() -> None:
    left, right = found({1: 0.5}, {2: 0.5, 3: 0.25}, {}), found({}, {9: 0.5}, {4: 0.5, 5: 0.25})
    assert lists_of(either(np.array([True, True, False]), left, right)) == [[1], [2, 3], [4, 5]]
    assert lists_of(either(np.array([False, False, True]), left, right)) == [[], [9], []]
