"""Item neighbours: summed similarity to the history."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.neighbors import ItemNeighborRetriever
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights

WEIGHTS = plain_weights(purchase_half_life=10, browse_half_life=5)


def neighbors(similarity: list[list[float]], history_items: int = 100) -> ItemNeighborRetriever:
    return ItemNeighborRetriever(WEIGHTS, 0.5, history_items, sp.csr_matrix(np.array(similarity, np.float32)))


class TestContract(RetrieverContract):
    def retriever(self) -> ItemNeighborRetriever:
        rng = np.random.default_rng(7)
        near = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.2, rng.choice([0.125, 0.25, 0.5], (N_ITEMS, N_ITEMS)), 0)
        np.fill_diagonal(near, 0)
        return neighbors(near.tolist(), history_items=4)


TOY = [
    [0, 0.5, 0, 0.25],
    [0.5, 0, 0.25, 0],
    [0, 0.25, 0, 0],
    [0.25, 0, 0, 0],
]


def test_similarities_are_summed_over_the_history() -> None:
    # Item 0 weighs sqrt(1/4) (bought 20 days ago), item 2 weighs sqrt(0.5 * 1/8) = 1/4 (viewed 15 days ago).
    # Item 1: 1/2 * 0.5 + 1/4 * 0.25 = 0.3125. Item 3: 1/2 * 0.25 = 0.125.
    found = answer(neighbors(TOY), ask((0, 20), (2, 15, VIEW)))
    assert found == pytest.approx({1: 0.3125, 3: 0.125})
    assert list(found) == [1, 3]


def test_items_of_the_history_are_found_by_one_another() -> None:
    assert answer(neighbors(TOY), ask((0, 20), (1, 20))) == pytest.approx({0: 0.25, 1: 0.25, 2: 0.125, 3: 0.125})


def test_only_the_heaviest_items_of_the_history_are_asked() -> None:
    assert answer(neighbors(TOY, history_items=1), ask((0, 20), (2, 10))) == pytest.approx({1: 0.25 * 2**-0.5})


def test_the_checkerboard_keeps_its_halves() -> None:
    even = [[0.5 if i != j and (i + j) % 2 == 0 else 0.0 for j in range(6)] for i in range(6)]
    assert list(answer(neighbors(even), ask((0, 1)))) == [2, 4]
    assert list(answer(neighbors(even), ask((3, 1), (1, 1)))) == [5, 1, 3]
