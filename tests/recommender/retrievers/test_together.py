"""Together: partners of the basket, or of the last orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.query import Context, Query, Scenario
from recommender.retrievers.together import TogetherRetriever
from tests.contracts import N_ITEMS, N_STORES, RetrieverContract
from tests.learning import VIEW, answer, ask, batch, lists_of, plain_weights, random_queries


def together(affinity: list[list[float]], history_items: int = 100) -> TogetherRetriever:
    return TogetherRetriever(plain_weights(), history_items, sp.csr_matrix(np.array(affinity, np.float32)))


def about(query: Query, *rows: int) -> Query:
    return replace(query, scenario=Scenario.BASKET, context=Context.of(rows))


class TestContract(RetrieverContract):
    def retriever(self) -> TogetherRetriever:
        rng = np.random.default_rng(7)
        near = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.2, rng.choice([0.125, 0.25, 0.5], (N_ITEMS, N_ITEMS)), 0)
        np.fill_diagonal(near, 0)
        return together(near.tolist(), history_items=4)

    @pytest.fixture
    def queries(self) -> list[Query]:
        """Every third query has a basket."""
        plain = random_queries(np.random.default_rng(11), 40, N_ITEMS, N_STORES)
        return [about(query, i % N_ITEMS, (i + 7) % N_ITEMS) if i % 3 == 0 else query for i, query in enumerate(plain)]


TOY = [
    [0, 0.5, 0, 0.25],
    [0.5, 0, 0.25, 0],
    [0, 0.25, 0, 0],
    [0.25, 0, 0, 0],
]


def test_a_basket_asks_for_the_partners_of_its_items() -> None:
    # Items 0 and 2 weigh 1 each: item 1 gets 0.5 + 0.25, item 3 gets 0.25. The history says nothing then.
    assert answer(together(TOY), about(ask((1, 0)), 0, 2)) == pytest.approx({1: 0.75, 3: 0.25})


def test_without_a_basket_the_last_purchases_ask() -> None:
    # Item 0 was bought 20 days ago: sqrt(1/4). Views do not share an order.
    assert answer(together(TOY), ask((0, 20), (2, 0, VIEW))) == pytest.approx({1: 0.25, 3: 0.125})
    assert answer(together(TOY, history_items=1), ask((0, 20), (2, 0))) == pytest.approx({1: 0.25})


def test_queries_with_and_without_a_basket_share_a_batch() -> None:
    found = together(TOY).retrieve(batch(ask((2, 0)), about(ask((2, 0)), 3), ask(), about(ask(), 1)), 5)
    assert lists_of(found) == [[1], [0], [], [0, 2]]
