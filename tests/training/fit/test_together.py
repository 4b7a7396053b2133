"""Joint orders beyond chance, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.retrievers.together import TogetherRetriever
from tests.learning import plain_weights
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import snapshot
from training.fit.together import fit_together, orders_of


def together(lines: list[Line], **changes: float) -> TogetherRetriever:
    data = snapshot(dataset_of(lines), minute_of(100))
    options = {"half_life_days": 1e6, "items": 10, "kept": 10, "prior": 0.0, "largest_order": 9, "history_items": 5}
    return fit_together(data, plain_weights(), 0, **(options | changes))  # type: ignore[arg-type]


def orders(*baskets: str) -> list[Line]:
    """Return one order a day, of one-letter items."""
    return [("p", item, day) for day, basket in enumerate(baskets) for item in basket]


def test_the_strength_is_the_excess_over_chance() -> None:
    # Of five orders, a is in 4, b in 2, c in 3, d in 2. Joint: ab 2, ac 2, cd 2, ad 1, bc 0.
    found = together(orders("ab", "ab", "ac", "acd", "cd")).affinity.toarray()
    # a and b: expected 4 * 2 / 5 = 1.6, excess 0.4. c and d: expected 3 * 2 / 5 = 1.2, excess 0.8.
    assert found[0, 1] == pytest.approx(0.4 / (4**0.7 * 2**0.3), rel=1e-4)
    assert found[1, 0] == pytest.approx(0.4 / (2**0.7 * 4**0.3), rel=1e-4)
    assert found[2, 3] == pytest.approx(0.8 / (3**0.7 * 2**0.3), rel=1e-4)
    # a and c share two orders and chance lets expect 4 * 3 / 5 = 2.4; a and d share a single one.
    assert sorted(zip(*found.nonzero(), strict=True)) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_rare_pairs_need_more_evidence() -> None:
    found = together(orders("ab", "ab", "ac", "acd", "cd"), prior=10).affinity
    assert found[0, 1] == pytest.approx(0.4 / (14**0.7 * 12**0.3), rel=1e-4)


def test_old_orders_count_less() -> None:
    # Two new orders and one a half-life old: a and b are joint in 1 + 1/2 of 2.5 orders, c and d in none of theirs.
    lines: list[Line] = [("p", "a", 100), ("p", "b", 100), ("q", "c", 100), ("q", "d", 100)]
    lines += [("q", "a", 90), ("q", "b", 90)]
    data = snapshot(dataset_of(lines), minute_of(100) + 1)
    options = {"items": 10, "kept": 10, "prior": 0.0, "largest_order": 9, "history_items": 5}
    part = fit_together(data, plain_weights(), 0, half_life_days=10, **options)  # type: ignore[arg-type]
    assert part.affinity[0, 1] == pytest.approx((1.5 - 1.5 * 1.5 / 2.5) / 1.5, rel=1e-3)
    assert part.affinity.nnz == 2


def test_orders_end_with_the_local_day_and_hold_what_was_bought() -> None:
    lines: list[Line] = [("p", "a", 1.9), ("p", "b", 2.1), ("q", "b", 1.9), ("p", "c", 1.9, "view")]
    entries = snapshot(dataset_of(lines), minute_of(100)).entries
    assert orders_of(entries, minute_of(100), 3, 0, 10, 9).items.shape[0] == 0
    # Four hours further west the day ends later: a and b are one order.
    found = orders_of(entries, minute_of(100), 3, -240, 10, 9)
    assert found.items.toarray().tolist() == [[1, 1, 0]]


def test_huge_orders_say_nothing() -> None:
    assert set(together(orders("abe", "abe", "cd", "cd", "fg", "fg")).affinity.nonzero()[0]) == set(range(7))
    part = together(orders("abe", "abe", "cd", "cd", "fg", "fg"), largest_order=2)
    assert set(part.affinity.nonzero()[0]) == {2, 3, 5, 6}


def test_only_the_strongest_partners_of_the_most_bought_items_are_kept() -> None:
    lines = orders("ab", "ab", "abx", "ac", "ac", "de", "de", "de", "fg", "fg", "fg")
    # b shares three orders with a, c two.
    assert together(lines, kept=1).affinity[0].indices.tolist() == [1]
    # Five orders hold a; three each of b, d, e, f and g: the lowest rows.
    part = together(lines, items=3)
    assert set(part.affinity.nonzero()[0]) == {0, 1}
    assert part.affinity.shape == (8, 8)
    assert part.affinity.has_sorted_indices
    assert part.affinity.dtype == np.float32


def test_no_orders_no_partners() -> None:
    assert together([("p", "a", 1), ("q", "b", 1, "view")]).affinity.nnz == 0
