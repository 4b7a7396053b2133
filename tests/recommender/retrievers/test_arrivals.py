"""Arrivals: new items, those of the member's categories and brands first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from recommender.retrievers.arrivals import ArrivalRetriever
from recommender.retrievers.base import State
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def arrivals(
    category_row: Sequence[int],
    brand_row: Sequence[int],
    new: dict[int, float],
    level_row: Sequence[int] | None = None,
) -> ArrivalRetriever:
    return ArrivalRetriever(
        WEIGHTS,
        0.5,
        np.array(category_row, np.int32),
        np.array(brand_row, np.int32),
        np.array(level_row or [0] * len(category_row), np.int32),
        np.array(list(new), np.int32),
        np.array(list(new.values()), np.float32),
        np.array([1000 + row for row in new], np.int32),
    )


class TestContract(RetrieverContract):
    def retriever(self) -> ArrivalRetriever:
        rng = np.random.default_rng(3)
        new = np.sort(rng.permutation(N_ITEMS)[:25])
        return arrivals(
            rng.integers(0, 6, N_ITEMS).tolist(),
            rng.integers(0, 9, N_ITEMS).tolist(),
            dict(zip(new.tolist(), rng.choice([0.05, 0.08, 0.1], 25).tolist(), strict=True)),
            rng.integers(0, 4, N_ITEMS).tolist(),
        )


def test_strangers_get_the_newest() -> None:
    part = arrivals([1, 1, 2, 0], [0, 0, 0, 0], {1: 0.05, 2: 0.1, 3: 0.08})
    assert answer(part, ask()) == pytest.approx({2: 0.1, 3: 0.08, 1: 0.05})


def test_taste_is_the_share_of_category_and_brand() -> None:
    # The history weighs 1/2 (item 0, 10 days ago), 1/4 (item 1, 20 days ago), and 0.5 * 1/2 = 1/4 (item 2,
    # viewed 5 days ago): category 1 (items 0 and 1) has 3/4 of it, category 2 has 1/4. Of item 1 no brand is
    # known: brand 1 (items 0 and 2) has all the rest.
    category, brand = [1, 1, 2, 1, 2, 0], [1, 0, 1, 0, 1, 2]
    part = arrivals(category, brand, {3: 0.1, 4: 0.05, 5: 0.1})
    found = answer(part, ask((0, 10), (1, 20), (2, 5, VIEW)))
    # Item 3: 0.1 + 3/4. Item 4: 0.05 + 1/4 + 1. Item 5: 0.1, since having no category is nobody's taste.
    assert found == pytest.approx({4: 1.3, 3: 0.85, 5: 0.1})
    assert list(found) == [4, 3, 5]


def test_all_items_may_have_a_category() -> None:
    # 0 means none, and nobody has it: categories 1 and 2 are both tastes like any other.
    part = arrivals([1, 2, 1, 2], [0, 0, 0, 0], {2: 0.1, 3: 0.1})
    assert answer(part, ask((1, 10))) == pytest.approx({3: 1.1, 2: 0.1})
    assert answer(part, ask((0, 10))) == pytest.approx({2: 1.1, 3: 0.1})


def test_a_price_level_counts_a_quarter() -> None:
    # The history weighs 1/2 (cheap) and 1/4 (dear): two thirds and a third of price levels, no category, no brand.
    part = arrivals([0] * 5, [0] * 5, {2: 0.1, 3: 0.1, 4: 0.1}, level_row=[1, 3, 3, 1, 0])
    found = answer(part, ask((0, 10), (1, 20)))
    assert found == pytest.approx({3: 0.1 + 0.25 * 2 / 3, 2: 0.1 + 0.25 / 3, 4: 0.1})


def test_bundles_without_price_levels_are_read() -> None:
    state = arrivals([1, 1, 2, 0], [0, 0, 0, 0], {1: 0.05, 2: 0.1, 3: 0.08}, level_row=[1, 2, 1, 1]).state()
    older = State({name: array for name, array in state.arrays.items() if name != "level_row"}, state.settings)
    assert answer(ArrivalRetriever.from_state(older), ask((0, 10))) == pytest.approx({1: 1.05, 2: 0.1, 3: 0.08})


def test_new_items_know_since_when() -> None:
    part = arrivals([0] * 6, [0] * 6, {2: 0.1, 4: 0.1})
    assert [part.since(row) for row in (1, 2, 4, 5)] == [None, 1002, 1004, None]
    state = part.state()
    without = {name: array for name, array in state.arrays.items() if name != "arrival_minute"}
    assert ArrivalRetriever.from_state(replace(state, arrays=without)).since(2) is None
