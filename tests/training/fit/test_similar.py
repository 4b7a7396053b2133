"""Likeness of items: by content, by behaviour, and what can stand in for what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from tests.training.datasets import Line, dataset_of, minute_of
from tests.training.fit.market import SETTINGS, market
from training.dataset import Dataset, ItemFacts
from training.fit.contents import like_contents, sections_of, strongest
from training.fit.recommender import fit_recommender
from training.settings import SimilarSettings

NO_PRICE = np.full(6, np.nan)
FACTS = ItemFacts(
    categories=("food > dairy > milk", "food > dairy > yoghurt", "tools", ""),
    brands=("a", "b", ""),
    category_row=np.array([0, 0, 0, 1, 2, 3], np.int32),
    brand_row=np.array([0, 0, 1, 0, 2, 2], np.int32),
    price_cents=np.array([100, 100, 200, 100, 100, 100], np.float64),
    available_from=np.zeros(6, np.int32),
    product_row=np.arange(6, dtype=np.int32),
)
"""Three milks, a yoghurt, a tool, and something of which nothing is known."""
SOLD = np.array([4.0, 4.0, 1.0, 1.0, 9.0, 9.0])


def likeness(kept: int = 5, facts: ItemFacts = FACTS) -> list[dict[int, float]]:
    matrix = like_contents(facts, SOLD, kept)
    return [dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in matrix]


def test_content_is_category_brand_price_and_worth() -> None:
    found = likeness()
    # One category (0.3), brand and price the same (0.2 each), the best seller (0.3).
    assert found[0][1] == pytest.approx(1.0)
    # Another brand, twice the price (0.2 / 2), a quarter of the sales (0.3 * sqrt(1 / 4)).
    assert found[0][2] == pytest.approx(0.3 + 0.1 + 0.15)
    # Yoghurt is of the section only (0.3 of it all): same brand and price, a quarter of the sales.
    assert found[0][3] == pytest.approx(0.3 * (0.3 + 0.2 + 0.2 + 0.15))
    assert found[3].keys() == {0, 1, 2}
    assert found[4] == found[5] == {}


def test_unknown_prices_are_neither_near_nor_far() -> None:
    assert likeness(facts=replace(FACTS, price_cents=NO_PRICE))[0][1] == pytest.approx(0.9)


def test_only_the_most_alike_are_kept_and_sections_fill_what_categories_lack() -> None:
    assert [list(row) for row in likeness(kept=1)] == [[1], [0], [0], [0], [], []]
    assert len(set(sections_of(FACTS)[:4])) == 1
    assert len(set(sections_of(FACTS)[3:])) == 3
    assert sections_of(FACTS)[5] == -1


def test_ties_go_to_the_lower_row() -> None:
    even = sp.csr_matrix(np.array([[0.0, 1, 1, 2], [0, 0, 0, -1]], np.float32))
    assert strongest(even, 2).toarray().tolist() == [[0, 1, 0, 2], [0, 0, 0, 0]]


def lists_of(dataset: Dataset, name: str) -> list[dict[int, float]]:
    settings = replace(SETTINGS, similar=SimilarSettings(behaviour=1.0))
    fitted = fit_recommender(dataset, dataset.until_minute, settings)
    part = next(part for part in fitted.retrievers if part.name == name)
    matrix = part.likeness  # type: ignore[attr-defined]
    return [dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in matrix]


LINES: list[Line] = [
    (f"p{person}", item, day, kind)
    for person in range(30)
    for day, kind in enumerate(("view", "purchase"))
    for item in (("i0", "i3") if person % 2 else ("i1", "i2"))
]
"""Milk i0 goes with yoghurt i3, milk i1 with milk i2."""


def test_what_the_same_members_take_is_alike_and_content_speaks_for_the_unknown() -> None:
    dataset = dataset_of([*LINES, ("p99", "i4", 1), ("p98", "i5", 1)])
    found = lists_of(replace(dataset, facts=FACTS), "similar")
    assert max(found[1], key=found[1].__getitem__) == 2
    assert found[0][3] > found[0][2]
    assert 4 not in found[0]
    assert set(lists_of(dataset, "similar")[0]) == {3}


def test_stand_ins_are_of_the_section_and_named_ones_come_first() -> None:
    dataset = dataset_of([*LINES, ("p99", "i4", 1), ("p98", "i5", 1)])
    facts = replace(
        FACTS,
        product_row=np.array([0, 1, 0, 3, 4, 5], np.int32),
        substitutes=np.array([[0, 5], [4, 4]], np.int32),
    )
    found = lists_of(replace(dataset, facts=facts), "substitutes")
    assert sorted(found[0], key=found[0].__getitem__, reverse=True) == [5, 2, 1, 3]
    assert found[4] == {}
    assert 0 not in found[5]
    assert lists_of(dataset, "substitutes")[0] == {}


def test_views_count_where_members_view() -> None:
    viewed = [(person, item, day, "view") for person, item, day, _ in LINES]
    found = lists_of(dataset_of(viewed), "similar")  # type: ignore[arg-type]
    assert [max(row, key=row.__getitem__) for row in found] == [3, 2, 1, 0]


def test_lists_are_no_longer_than_asked() -> None:
    fitted = fit_recommender(market(), minute_of(60), replace(SETTINGS, similar=SimilarSettings(listed=3)))
    for part in fitted.retrievers:
        if part.name in ("similar", "substitutes"):
            assert np.diff(part.likeness.indptr).max() == 3  # type: ignore[attr-defined]
