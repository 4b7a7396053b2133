"""Similar items and substitutes: lists of the items that a request is about."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.similar import SimilarRetriever
from recommender.retrievers.substitutes import SubstituteRetriever
from tests.contracts import N_ITEMS, RetrieverContract
from tests.learning import answer, ask, batch, lists_of


def some_likeness(seed: int) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    near = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.2, rng.choice([0.125, 0.25, 0.5], (N_ITEMS, N_ITEMS)), 0)
    np.fill_diagonal(near, 0)
    return sp.csr_matrix(near.astype(np.float32))


class TestSimilarContract(RetrieverContract):
    def retriever(self) -> SimilarRetriever:
        return SimilarRetriever(some_likeness(7))


class TestSubstituteContract(RetrieverContract):
    def retriever(self) -> SubstituteRetriever:
        return SubstituteRetriever(some_likeness(8))


TOY = SimilarRetriever(
    sp.csr_matrix(np.array([[0, 0.5, 0, 0.25], [0.5, 0, 0.25, 0], [0, 0.25, 0, 0], [0.25, 0, 0, 0]], np.float32))
)


def test_items_are_scored_by_the_context_and_not_by_the_history() -> None:
    assert answer(TOY, ask((2, 1), context=[0])) == pytest.approx({1: 0.5, 3: 0.25})
    assert answer(TOY, ask((2, 1))) == {}


def test_scores_are_summed_over_a_basket() -> None:
    assert answer(TOY, ask(context=[0, 2])) == pytest.approx({1: 0.75, 3: 0.25})


def test_queries_about_one_history_have_contexts_of_their_own() -> None:
    first = ask((2, 1), context=[3])
    asked = batch(first, ask((2, 1), context=[0]), ask(), first)
    assert lists_of(TOY.retrieve(asked, 10)) == [[0], [1, 3], [], [0]]
