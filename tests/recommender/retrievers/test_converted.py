"""Converted: purchases of those who browsed the same, asked by what was browsed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.events import KIND_CODES, EventKind
from recommender.query import Context, Scenario
from recommender.retrievers.converted import ConvertedRetriever
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights

BROWSING = replace(
    plain_weights(),
    by_kind=tuple(
        0.0 if code == KIND_CODES[EventKind.PURCHASE] else weight for code, weight in enumerate(plain_weights().by_kind)
    ),
)


def converted(purchases: list[list[float]], history_items: int = 100) -> ConvertedRetriever:
    return ConvertedRetriever(BROWSING, history_items, sp.csr_matrix(np.array(purchases, np.float32)))


class TestContract(RetrieverContract):
    def retriever(self) -> ConvertedRetriever:
        rng = np.random.default_rng(7)
        near = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.2, rng.choice([0.125, 0.25, 0.5], (N_ITEMS, N_ITEMS)), 0)
        np.fill_diagonal(near, 0)
        return converted(near.tolist(), history_items=4)


TOY = [
    [0, 0.5, 0, 0.25],
    [0, 0, 0.25, 0],
    [0, 0.25, 0, 0],
    [0, 0, 0, 0],
]


def test_what_was_browsed_asks() -> None:
    # Item 0 was viewed 10 days ago, two half-lives: sqrt(1/4). Item 2 was bought: it does not ask.
    assert answer(converted(TOY), ask((0, 10, VIEW), (2, 0))) == pytest.approx({1: 0.25, 3: 0.125})
    assert answer(converted(TOY), ask((0, 10))) == {}


def test_a_basket_item_counts_more_often_browsed() -> None:
    # Viewed and put into the basket just now: sqrt(2).
    found = answer(converted(TOY), ask((1, 0, VIEW), (1, 0, EventKind.BASKET_ADD)))
    assert found == pytest.approx({2: 0.25 * 2**0.5})


def test_the_items_of_a_request_ask_instead() -> None:
    query = replace(ask((0, 0, VIEW)), scenario=Scenario.SESSION, context=Context.of([1]))
    assert answer(converted(TOY), query) == pytest.approx({2: 0.25})
