"""The linear model: coefficients summed over the damped history."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.linear import LinearRetriever
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import VIEW, answer, ask, plain_weights


def linear(coefficients: list[list[float]], history_items: int = 100) -> LinearRetriever:
    return LinearRetriever(plain_weights(), 0.5, history_items, sp.csr_matrix(np.array(coefficients, np.float32)))


class TestContract(RetrieverContract):
    def retriever(self) -> LinearRetriever:
        rng = np.random.default_rng(7)
        says = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.3, rng.choice([-0.125, 0.25, 0.5], (N_ITEMS, N_ITEMS)), 0)
        np.fill_diagonal(says, 0)
        return linear(says.tolist(), history_items=4)


TOY = [
    [0, 0.5, -0.25, 0.25],
    [0, 0, 0, 0],
    [0, 0.25, 0, -0.75],
    [0, 0, 0, 0],
]


def test_coefficients_are_summed_over_the_damped_history() -> None:
    # Item 0 weighs sqrt(1/4) (bought 20 days ago), item 2 sqrt(0.5 * 1/2) (viewed 5 days ago): 1/2 both.
    # Item 1: 1/2 * 0.5 + 1/2 * 0.25 = 0.375. Items 2 and 3 come out below zero and are not shown.
    assert answer(linear(TOY), ask((0, 20), (2, 5, VIEW))) == pytest.approx({1: 0.375})


def test_what_the_history_speaks_for_is_shown_whether_bought_or_not() -> None:
    # Item 1 was bought and says nothing; item 0 says 1/2 * 0.5 and 1/2 * 0.25.
    assert answer(linear(TOY), ask((0, 20), (1, 10))) == pytest.approx({1: 0.25, 3: 0.125})


def test_only_the_heaviest_items_of_the_history_are_asked() -> None:
    assert answer(linear(TOY, history_items=1), ask((0, 20), (2, 5))) == pytest.approx({1: 0.25 * 2**-0.25})
