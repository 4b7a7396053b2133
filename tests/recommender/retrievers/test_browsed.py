"""Browsed items: the decayed weight of a member's own views, favourites and baskets."""

from __future__ import annotations

import pytest

from recommender.events import EventKind
from recommender.retrievers.browsed import BrowsedRetriever
from tests.contracts import RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights


class TestContract(RetrieverContract):
    def retriever(self) -> BrowsedRetriever:
        return BrowsedRetriever(plain_weights())


def test_browsing_decays() -> None:
    # Half-life 5 days. Item 2: viewed 5 and 10 days ago, 1/2 + 1/4. Item 0: in the basket 5 days ago, 1/2.
    entries = ((2, 5, VIEW), (2, 10, VIEW), (0, 5, EventKind.BASKET_ADD))
    found = answer(BrowsedRetriever(plain_weights(browse_half_life=5)), ask(*entries))
    assert found == pytest.approx({2: 0.75, 0: 0.5})
    assert list(found) == [2, 0]


def test_bought_items_count_only_by_their_views() -> None:
    found = answer(BrowsedRetriever(plain_weights()), ask((1, 3), (2, 3), (2, 5, VIEW)))
    assert found == pytest.approx({2: 0.5})


def test_equal_interest_is_ordered_by_row() -> None:
    assert list(answer(BrowsedRetriever(plain_weights()), ask((4, 1, VIEW), (1, 1, VIEW), (3, 1, VIEW)))) == [1, 3, 4]
