"""Popularity: prepared lists, overall, by store and trending."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.retrievers.base import Retriever
from recommender.retrievers.popularity import (
    PopularityRetriever,
    RankedLists,
    StorePopularityRetriever,
    TrendingRetriever,
)
from tests.contracts import N_ITEMS, N_STORES, RetrieverContract
from tests.learning import answer, ask, batch, lists_of, mask_of


def lists(*parts: dict[int, float]) -> RankedLists:
    """Lay lists of score by row side by side."""
    return RankedLists(
        np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64),
        np.array([row for part in parts for row in part], np.int32),
        np.array([score for part in parts for score in part.values()], np.float32),
    )


def random_list(seed: int, size: int = N_ITEMS) -> dict[int, float]:
    rng = np.random.default_rng(seed)
    score = np.sort(rng.integers(0, 20, size))[::-1]
    row = rng.permutation(N_ITEMS)[:size]
    row = row[np.lexsort((row, np.arange(size)))]
    order = np.lexsort((row, -score))
    return dict(zip(row[order].tolist(), score[order].tolist(), strict=True))


class TestPopularityContract(RetrieverContract):
    def retriever(self) -> Retriever:
        return PopularityRetriever(lists(random_list(1)))


class TestStoreContract(RetrieverContract):
    def retriever(self) -> Retriever:
        return StorePopularityRetriever(lists(*(random_list(seed, 40) for seed in range(N_STORES))))


class TestTrendingContract(RetrieverContract):
    def retriever(self) -> Retriever:
        return TrendingRetriever(lists(random_list(5, 25)))


def test_everybody_gets_the_same_head() -> None:
    part = PopularityRetriever(lists({3: 5, 0: 4, 2: 4, 1: 0}))
    assert lists_of(part.retrieve(batch(ask(), ask((3, 1))), 2)) == [[3, 0], [3, 0]]
    assert part.order().tolist() == [3, 0, 2, 1]


def test_a_store_has_its_own_list_and_no_store_has_none() -> None:
    part = StorePopularityRetriever(lists({3: 0.5, 0: 0.25}, {}, {1: 0.75}))
    asked = batch(ask(store_row=0), ask(store_row=1), ask(store_row=2), ask())
    assert lists_of(part.retrieve(asked, 5)) == [[3, 0], [], [1], []]


def test_trends_are_listed_with_their_scores() -> None:
    assert answer(TrendingRetriever(lists({7: 2.5, 4: 1.5})), ask()) == pytest.approx({7: 2.5, 4: 1.5})
    assert answer(TrendingRetriever(lists({})), ask()) == {}


def test_allowed_items_are_found_however_far_down() -> None:
    part = PopularityRetriever(lists({row: 100 - row for row in range(100)}))
    deep = mask_of(100, 5, 98, 99)
    assert lists_of(part.retrieve(batch(ask(), allowed=[deep]), 2)) == [[5, 98]]
    assert lists_of(part.retrieve(batch(ask(), allowed=[deep]), 10)) == [[5, 98, 99]]
