"""The fitted linear model, by hand and against the textbook formula."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recommender.retrievers.linear import LinearRetriever
from tests.learning import answer, ask, plain_weights
from training.fit.linear import fit_linear, gram_of, largest, solve

WEIGHTS = plain_weights()


def matrix_of(*rows: list[float]) -> sp.csr_matrix:
    return sp.csr_matrix(np.array(rows, np.float32))


def linear(matrix: sp.csr_matrix, **changes: float) -> LinearRetriever:
    options = {"items": 10, "kept": 10, "regularization": 0.5, "history_items": 50, "threads": 1} | changes
    return fit_linear(matrix, WEIGHTS, 0.5, **options)  # type: ignore[arg-type]


def textbook(matrix: sp.csr_matrix, regularization: float) -> np.ndarray:
    """Return -P[i, j] / P[j, j] in double precision, P the inverse of the regularised products."""
    dense = np.sqrt(matrix.toarray().astype(np.float64))
    gram = dense.T @ dense
    inverse = np.linalg.inv(gram + regularization * gram.diagonal().mean() * np.eye(len(gram)))
    found = -inverse / inverse.diagonal()[None, :]
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def test_two_items_by_hand() -> None:
    # Roots of the weights (2, 1), (2, 0), (0, 1): products 8, 2; 2, 2. Mean diagonal 5, L2 weight 2.5.
    # Alone, item 1 from item 0: 2 / (8 + 2.5); item 0 from item 1: 2 / (2 + 2.5).
    part = linear(matrix_of([4, 1], [4, 0], [0, 1]))
    assert part.coefficients.toarray() == pytest.approx(np.array([[0, 2 / 10.5], [2 / 4.5, 0]]))


@pytest.mark.parametrize("regularization", [0.05, 5.0])
def test_it_is_the_textbook_model(regularization: float) -> None:
    rng = np.random.default_rng(7)
    matrix = sp.random(300, 40, 0.2, random_state=rng, dtype=np.float32, format="csr")
    part = linear(matrix, items=40, kept=40, regularization=regularization)
    assert part.coefficients.toarray() == pytest.approx(textbook(matrix, regularization), abs=1e-5)
    assert part.coefficients.dtype == np.float32
    assert part.coefficients.has_sorted_indices


def test_an_item_explained_by_another_does_not_count_twice() -> None:
    # Items 0 and 1 are always bought together, and item 2 half of the time with both: together they say of it
    # what one of them would say alone.
    both = matrix_of(*[[1, 1, 1]] * 4, *[[1, 1, 0]] * 4)
    one = matrix_of(*[[1, 0, 1]] * 4, *[[1, 0, 0]] * 4)
    pair = answer(linear(both, regularization=0.01), ask((0, 0), (1, 0)))[2]
    alone = answer(linear(one, regularization=0.01), ask((0, 0)))[2]
    assert pair == pytest.approx(alone, rel=0.02) == pytest.approx(0.5, rel=0.02)


def test_the_checkerboard_keeps_its_halves() -> None:
    part = linear(matrix_of(*([float((i + j) % 2 == 0) for j in range(6)] for i in range(8))))
    assert set(answer(part, ask((0, 1)))) == {2, 4}
    assert set(answer(part, ask((1, 1)))) == {3, 5}


def test_items_of_few_members_take_no_part() -> None:
    # Four, three, three and one members: the items 0, 1 and 2 at most, then 0 and 1.
    matrix = matrix_of([1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0])
    assert set(linear(matrix).coefficients.nonzero()[0]) == {0, 1, 2}
    assert set(linear(matrix, items=2).coefficients.nonzero()[0]) == {0, 1}


def test_the_largest_coefficients_are_kept_whatever_their_sign() -> None:
    coefficients = np.array([[0, -0.5, 0.25], [0.125, 0, -0.125], [0, 0, 0]], np.float32)
    found = largest(coefficients, np.array([1, 2, 4], np.int32), 5, 1)
    # Row 1 keeps -0.5 of item 2; in row 2 both are equal, and the lower row stays.
    assert found.toarray()[1].tolist() == [0, 0, -0.5, 0, 0]
    assert found.toarray()[2].tolist() == [0, 0.125, 0, 0, 0]
    assert found.nnz == 2


def test_products_are_the_same_dense_and_sparse() -> None:
    rng = np.random.default_rng(7)
    for density in (0.5, 0.001):
        matrix = sp.random(9000, 30, density, random_state=rng, dtype=np.float32, format="csr")
        exact = matrix.toarray().astype(np.float64)
        assert gram_of(matrix) == pytest.approx(exact.T @ exact, rel=1e-4)


def test_a_system_that_float32_cannot_solve_is_told() -> None:
    gram = np.array([[1, 2], [2, 1]], np.float32)
    with pytest.raises(FloatingPointError, match=r"linear\.regularization"):
        solve(gram, 0.01)


def test_no_members_no_coefficients() -> None:
    for matrix in (sp.csr_matrix((0, 4), dtype=np.float32), sp.csr_matrix((3, 4), dtype=np.float32)):
        part = linear(matrix)
        assert part.coefficients.shape == (4, 4)
        assert answer(part, ask((1, 1))) == {}
