"""Sections and their best sellers, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.retrievers.sections import SectionRetriever
from tests.learning import plain_weights
from tests.training.datasets import Line, dataset_of, minute_of
from training.dataset import ItemFacts, snapshot
from training.fit.sections import fit_sections, sections_of

LINES: list[Line] = [("p", "a", 9), ("q", "a", 9), ("r", "a", 9), ("p", "b", 9), ("p", "c", 9), ("p", "d", -11)]


def facts_of(categories: tuple[str, ...], category: list[int], brands: tuple[str, ...], brand: list[int]) -> ItemFacts:
    plain = dataset_of(LINES).facts
    return replace(
        plain,
        categories=categories,
        category_row=np.array(category, np.int32),
        brands=brands,
        brand_row=np.array(brand, np.int32),
    )


FOOD = facts_of(("drinks", "food", ""), [0, 0, 1, 2], ("A", "B", ""), [0, 1, 0, 2])


def fit(facts: ItemFacts) -> SectionRetriever | None:
    data = replace(snapshot(dataset_of(LINES), minute_of(9)), as_of=minute_of(9), facts=facts)
    entries = snapshot(dataset_of(LINES), minute_of(10)).entries
    data = replace(data, entries=entries)
    return fit_sections(data, plain_weights(), 0.5, half_life_days=20, history_sections=5)


def test_sections_are_categories_and_brands_within_them() -> None:
    rows, count = sections_of(FOOD)
    # Two categories, then (drinks, A), (drinks, B), (food, A) and (none, none); the seventh means none.
    assert rows.tolist() == [[0, 2], [0, 3], [1, 4], [6, 6]]
    assert count == 7


def test_best_sellers_by_sales_over_the_root_of_the_sections() -> None:
    part = fit(FOOD)
    assert part is not None
    # Drinks sold a 3 times and b once: 3 / sqrt(4), 1 / sqrt(4). Alone in its section a has 3 / sqrt(3).
    expected = np.zeros((7, 4))
    expected[0, :2] = [1.5, 0.5]
    expected[2, 0] = 3**0.5
    expected[[3, 1, 4], [1, 2, 2]] = 1
    assert part.sales.toarray() == pytest.approx(expected)


def test_old_sales_count_less() -> None:
    part = fit(facts_of(("x", "y", ""), [0, 0, 0, 1], ("",), [0, 0, 0, 0]))
    assert part is not None
    # d sold once, a half-life ago: 1/2 over sqrt(1/2).
    assert part.sales[1, 3] == pytest.approx(0.5**0.5)


def test_a_catalogue_without_sections() -> None:
    assert fit(facts_of(("",), [0] * 4, ("",), [0] * 4)) is None
    assert fit(facts_of(("all", ""), [0] * 4, ("",), [0] * 4)) is None
    assert fit(facts_of(("",), [0] * 4, ("A", "B", ""), [0, 0, 1, 1])) is not None
