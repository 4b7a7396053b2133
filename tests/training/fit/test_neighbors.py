"""Fitted neighbours of items, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.neighbors import ItemNeighborRetriever
from tests.learning import answer, ask, plain_weights
from training.fit.neighbors import fit_item_neighbors

WEIGHTS = plain_weights()


def matrix_of(*rows: list[float]) -> sp.csr_matrix:
    return sp.csr_matrix(np.array(rows, np.float32))


def neighbors(matrix: sp.csr_matrix, **changes: float) -> ItemNeighborRetriever:
    options = {"neighbors": 10, "shrinkage": 0.5, "history_items": 50, "threads": 1} | changes
    return fit_item_neighbors(matrix, WEIGHTS, 0.5, **options)  # type: ignore[arg-type]


def checkerboard() -> sp.csr_matrix:
    return matrix_of(*([float((i + j) % 2 == 0) for j in range(6)] for i in range(8)))


def test_similarity_is_the_cosine_of_columns() -> None:
    # Damped columns (1, 2, 0), (2, 0, 0), (0, 0, 3): lengths sqrt(5), 2, 3. Products: 0 and 1 share 2, others nothing.
    part = neighbors(matrix_of([1, 4, 0], [4, 0, 0], [0, 0, 9]))
    cosine = 2 / (5**0.5 * 2)
    assert part.similarity.toarray() == pytest.approx(np.array([[0, cosine, 0], [cosine, 0, 0], [0, 0, 0]]))


def test_less_shrinkage_favours_popular_items() -> None:
    # Shrinkage 0.25: product over (length ** 0.5 * length ** 0.5): 2 / (5 ** 0.25 * 2 ** 0.5).
    part = neighbors(matrix_of([1, 4, 0], [4, 0, 0], [0, 0, 9]), shrinkage=0.25)
    assert part.similarity[0, 1] == pytest.approx(2 / (5**0.25 * 2**0.5))
    # Nobody's item has a length of 0, and no neighbours.
    assert neighbors(matrix_of([1, 1, 0])).similarity.toarray().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_only_the_nearest_are_kept() -> None:
    # Item 0 shares two members with item 1 and one with item 2, whose columns are equally long.
    part = neighbors(matrix_of([1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 1]), neighbors=1)
    assert part.similarity[0].indices.tolist() == [1]
    assert part.similarity[2].indices.tolist() == [0]


def test_the_checkerboard_keeps_its_halves() -> None:
    part = neighbors(checkerboard())
    assert list(answer(part, ask((0, 1)))) == [2, 4]
    assert list(answer(part, ask((1, 1)))) == [3, 5]
    assert part.similarity.diagonal().tolist() == [0] * 6
    assert part.similarity.has_sorted_indices
    assert part.similarity.dtype == np.float32


def test_long_histories_count_by_their_heaviest_items() -> None:
    # The first member's lightest item is 2: cut to two items, items 0 and 2 share nobody any more.
    part = neighbors(matrix_of([3, 2, 1], [0, 1, 1]), history_items=2)
    assert part.similarity[0, 2] == 0
    assert part.similarity[0, 1] > 0
    assert part.history_items == 2


def test_items_nobody_touched() -> None:
    assert neighbors(sp.csr_matrix((0, 4), dtype=np.float32)).similarity.shape == (4, 4)
    assert answer(neighbors(sp.csr_matrix((3, 4), dtype=np.float32)), ask((1, 1))) == {}
