"""Fitted popularity: decayed buyers, shares of a store, trends, all by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.retrievers.popularity import RankedLists
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import Dataset, Sales, Snapshot, snapshot
from training.fit.popularity import fit_popularity, fit_trending
from training.fit.store_popularity import fit_store_popularity

FOREVER = 1e9
"""A half-life without decay."""


def on_day(day: float, *lines: Line, **changes: list[str]) -> Snapshot:
    return snapshot(dataset_of(lines, **changes), minute_of(day))


def named(dataset: Dataset | Snapshot, lists: RankedLists, number: int = 0) -> list[tuple[str, object]]:
    """Return one list as (item, score); items of these tests are "a", "b", "c", ... by row."""
    part = slice(int(lists.indptr[number]), int(lists.indptr[number + 1]))
    return [
        (chr(ord("a") + row), score) for row, score in zip(lists.row[part], lists.score[part].tolist(), strict=True)
    ]


def test_popularity_counts_decayed_buyers() -> None:
    # Half-life 10 days, as of day 30. b: bought 10 and 20 days ago, 1/2 + 1/4. c: 10 days ago, 1/2. d is viewed
    # only, a is in the catalogue only: both come last, by id.
    data = on_day(30, ("p", "b", 20), ("q", "b", 10), ("p", "c", 20), ("p", "d", 29, "view"), items=["a"])
    found = named(data, fit_popularity(data, 10).lists)
    assert [item for item, _ in found] == ["b", "c", "a", "d"]
    assert [score for _, score in found] == pytest.approx([0.75, 0.5, 0, 0])


def test_people_who_must_not_shape_the_models_do_not_count() -> None:
    data = on_day(30, ("p", "a", 20), ("staff", "b", 20), ("staff", "b", 21), not_learned=["staff"])
    assert named(data, fit_popularity(data, 10).lists) == [("a", 0.5), ("b", 0.0)]


def test_sales_to_unknown_customers_count_up_to_the_present() -> None:
    dataset = dataset_of([("p", "a", 20), ("p", "b", 20)], items=["c"])
    at = np.array([minute_of(20), minute_of(20), minute_of(30)], np.int32)
    sales = Sales(np.array([2, 2, 1], np.int32), np.zeros(3, np.int32), at)
    data = snapshot(replace(dataset, sales=sales), minute_of(30))
    assert named(data, fit_popularity(data, 10).lists) == [("c", 1.0), ("a", 0.5), ("b", 0.5)]


def test_scores_that_are_equal_as_kept_are_ordered_by_row() -> None:
    # b was bought a minute later than a: more by less than a float32 can tell.
    data = on_day(30, ("p", "a", 20), ("p", "b", 20 + 1 / 1440))
    lists = fit_popularity(data, 1e6).lists
    assert lists.score[0] == lists.score[1]
    assert lists.row.tolist() == [0, 1]


STORES: list[Line] = [
    ("p", "a", 1, "purchase", "s0"),
    ("q", "a", 1, "purchase", "s0"),
    ("p", "b", 1, "purchase", "s0"),
    ("r", "b", 1, "purchase", "s1"),
    ("r", "c", 1, "purchase", ""),
    ("r", "c", 1, "view", "s2"),
]


def test_a_store_is_shrunk_towards_all_stores() -> None:
    # Of 5 sales a has 2, b 2, c 1: shares 0.4, 0.4, 0.2. All stores are worth 5 sales.
    # s0 has 3 sales. a: (2 + 5 * 0.4) / (3 + 5) = 0.5; b: (1 + 2) / 8 = 0.375.
    # s1 has 1 sale. b: (1 + 2) / (1 + 5) = 0.5. s2 sold nothing.
    data = on_day(3, *STORES)
    lists = fit_store_popularity(data, FOREVER, prior=5, depth=10).lists
    assert named(data, lists, 0) == [("a", pytest.approx(0.5)), ("b", pytest.approx(0.375))]
    assert named(data, lists, 1) == [("b", pytest.approx(0.5))]
    assert named(data, lists, 2) == []
    assert lists.indptr.tolist() == [0, 2, 3, 3]


def test_a_stores_list_has_a_depth() -> None:
    data = on_day(3, *STORES)
    lists = fit_store_popularity(data, FOREVER, prior=5, depth=1).lists
    assert named(data, lists, 0) == [("a", pytest.approx(0.5))]
    assert lists.indptr.tolist() == [0, 1, 2, 2]


def test_a_stores_sales_decay() -> None:
    # As of day 21, half-life 10: a sold 10 days ago (1/2), b 20 days ago (1/4). Shares 2/3 and 1/3; prior 3/4.
    # a: (1/2 + 3/4 * 2/3) / (3/4 + 3/4) = 2/3; b: (1/4 + 1/4) / 1.5 = 1/3.
    data = on_day(21, ("p", "a", 11, "purchase", "s0"), ("p", "b", 1, "purchase", "s0"))
    lists = fit_store_popularity(data, 10, prior=0.75, depth=10).lists
    assert named(data, lists) == [("a", pytest.approx(2 / 3)), ("b", pytest.approx(1 / 3))]


def in_regions(data: Snapshot, *regions: int) -> Snapshot:
    """Place the stores into regions; the highest number means none."""
    return replace(data, store_region=np.array(regions, np.int32), n_regions=3)


def test_a_store_is_shrunk_towards_its_region_and_lists_what_leads_there() -> None:
    # Shares of all stores: a 0.4, b 0.4, c 0.2. Region 0 has s0 and s2, all sales of which are s0's: a (2 + 5 * 0.4)
    # / (3 + 5) = 0.5, b 3 / 8. So s0 has a: (2 + 5 * 0.5) / 8, b: (1 + 5 * 3 / 8) / 8, and s2 what the region has.
    # s1 is of no known region: b: (1 + 5 * 0.4) / 6.
    lists = fit_store_popularity(in_regions(on_day(3, *STORES), 0, 2, 0), FOREVER, prior=5, depth=10).lists
    assert named(on_day(3), lists, 0) == [
        ("a", pytest.approx(4.5 / 8)),
        ("b", pytest.approx((1 + 15 / 8) / 8)),
    ]
    assert named(on_day(3), lists, 1) == [("b", pytest.approx(0.5))]
    assert named(on_day(3), lists, 2) == [("a", pytest.approx(0.5)), ("b", pytest.approx(3 / 8))]


def test_what_sells_next_door_enters_a_stores_list() -> None:
    # s1 sold b once; s0, in the same region, a twice and b once.
    lists = fit_store_popularity(in_regions(on_day(3, *STORES), 1, 1, 2), FOREVER, prior=5, depth=10).lists
    assert [item for item, _ in named(on_day(3), lists, 1)] == ["b", "a"]
    # Region 1: a (2 + 2) / 9. In s1: (0 + 5 * 4 / 9) / 6.
    assert named(on_day(3), lists, 1)[1][1] == pytest.approx(20 / 54)
    assert named(on_day(3), lists, 2) == []


def test_equal_shares_of_a_store_are_ordered_by_row() -> None:
    lines: list[Line] = [("p", item, 20 + order / 1440, "purchase", "s0") for order, item in enumerate("abc")]
    assert fit_store_popularity(on_day(30, *lines), 1e6, 5, 10).lists.row.tolist() == [0, 1, 2]


def test_no_stores() -> None:
    assert fit_store_popularity(on_day(3, ("p", "a", 1)), 10, 5, 10).lists.indptr.tolist() == [0]


def sold(item: str, *days: float) -> list[Line]:
    return [(f"p{number}", item, day) for number, day in enumerate(days)]


def test_trends_exceed_what_the_four_periods_before_let_expect() -> None:
    # As of day 100 with weeks. a: 5 sales in the last week, 4 in the four weeks before, so 1 expected:
    # (5 - 1) / sqrt(1 + 1) = 2.83. b: 1 against 1, no trend. c: 3 against none: 3 / sqrt(0 + 1) = 3.
    # d: 0 against 2. e: 1 sale exactly a week ago counts as recent, 2 sales exactly five weeks ago as before:
    # (1 - 0.5) / sqrt(0.5 + 1) = 0.41; its sales more than five weeks ago say nothing.
    data = on_day(
        100,
        *sold("a", 99, 98, 97, 96, 95, 90, 80, 75, 70),
        *sold("b", 99, 92, 91, 90, 89),
        *sold("c", 99, 98, 97),
        *sold("d", *range(80, 88)),
        *sold("e", 93, 65, 65, 64, 64, 64, 64),
    )
    found = named(data, fit_trending(data, 7, prior=1).lists)
    assert [item for item, _ in found] == ["c", "a", "e"]
    assert [score for _, score in found] == pytest.approx([3, 4 / 2**0.5, 0.5 / 1.5**0.5])


def test_an_empty_history() -> None:
    data = on_day(1, ("p", "a", 5), ("p", "b", 6))
    assert named(data, fit_popularity(data, 10).lists) == [("a", 0.0), ("b", 0.0)]
    assert named(data, fit_trending(data, 7, 1).lists) == []
