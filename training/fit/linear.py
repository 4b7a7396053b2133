"""Fit the linear item-item model in closed form, over a bounded number of items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recommender.candidates import head
from recommender.interactions import Weights
from recommender.retrievers.linear import LinearRetriever
from recommender.retrievers.neighbors import damped

FloatMatrix = npt.NDArray[np.float32]
RowVector = npt.NDArray[np.int32]

ROWS_AT_ONCE = 8192
"""Members whose products are summed at once."""
DENSE_FROM = 0.01
"""Share of filled cells from which products are cheaper without a sparse layout."""


def fit_linear(
    matrix: sp.csr_matrix,
    weights: Weights,
    browse_weight: float,
    *,
    items: int,
    kept: int,
    regularization: float,
    history_items: int,
    threads: int,
) -> LinearRetriever:
    """Predict each column of the damped matrix from the others by ridge regression.

    Memory is about 4 * 4 * items ** 2 bytes, and time grows with items ** 3, whatever the number of members.

    Args:
        matrix: float32 CSR, (n_members, n_items), interaction weights.
        weights, browse_weight: how the matrix was weighed; kept for scoring.
        items: most items that take part, those of most members; > 0.
        kept: largest coefficients kept per item, by their size; > 0.
        regularization: L2 weight, as a multiple of the mean squared length of the columns; > 0.
        history_items: the heaviest items of a history that count in scoring.
        threads: threads of the linear algebra.
    Source: Steck (2019), "Embarrassingly shallow autoencoders for sparse data" (EASE), equation 8.
    """
    members = matrix.getnnz(axis=0)
    chosen = np.sort(np.lexsort((np.arange(len(members)), -members))[:items])
    chosen = chosen[members[chosen] > 1].astype(np.int32)
    with threadpool_limits(threads, "blas"):
        coefficients = solve(gram_of(damped(matrix[:, chosen])), regularization)
    return LinearRetriever(weights, browse_weight, history_items, largest(coefficients, chosen, matrix.shape[1], kept))


def gram_of(matrix: sp.csr_matrix) -> FloatMatrix:
    """Return the products of all pairs of columns, float32, (n, n).

    Args:
        matrix: float32 CSR, (n_members, n).
    """
    n = matrix.shape[1]
    total = np.zeros((n, n), np.float32)
    for start in range(0, matrix.shape[0], ROWS_AT_ONCE):
        part = matrix[start : start + ROWS_AT_ONCE]
        if part.nnz > DENSE_FROM * part.shape[0] * n:
            dense = part.toarray()
            total += dense.T @ dense
        else:
            product = (part.T @ part).tocoo()
            total[product.row, product.col] += product.data
    return total


def solve(gram: FloatMatrix, regularization: float) -> FloatMatrix:
    """Return the coefficients, float32, (n, n): column j predicts item j; the diagonal is 0.

    Args:
        gram: float32, (n, n), overwritten.
        regularization: as a multiple of the mean of its diagonal; > 0.
    Raises: FloatingPointError if the system is not positive definite as float32.
    """
    n = len(gram)
    if n == 0:
        return gram
    diagonal = gram.reshape(-1)[:: n + 1]
    diagonal += np.float32(regularization * float(diagonal.mean(dtype=np.float64)))
    # Symmetric, so that its transpose is itself in the order LAPACK wants, and nothing is copied.
    factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too or not np.isfinite(inverse.diagonal()).all():
        raise FloatingPointError("The linear model cannot be solved; a larger linear.regularization is needed.")
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    found: FloatMatrix = inverse / -inverse.diagonal()[None, :]
    found.reshape(-1)[:: n + 1] = 0
    return found


def largest(coefficients: FloatMatrix, chosen: RowVector, n_items: int, kept: int) -> sp.csr_matrix:
    """Return what matters most for each item, laid out over all items.

    Args:
        coefficients: float32, (n, n).
        chosen: int32, (n,), the item row of each of them, rising.
        n_items: items of the catalogue.
        kept: most entries per row; > 0.
    Returns: float32 CSR, (n_items, n_items), without explicit zeros, columns rising.
    """
    columns, values, sizes = [], [], np.zeros(n_items, np.int64)
    for place, row in enumerate(coefficients):
        best = np.sort(head(np.abs(row), chosen, kept))
        best = best[row[best] != 0]
        columns.append(chosen[best])
        values.append(row[best])
        sizes[chosen[place]] = len(best)
    indptr = np.concatenate(([0], np.cumsum(sizes)))
    data = np.concatenate(values) if values else np.empty(0, np.float32)
    indices = np.concatenate(columns) if columns else np.empty(0, np.int32)
    found = sp.csr_matrix((data, indices, indptr), shape=(n_items, n_items), dtype=np.float32)
    found.has_sorted_indices = True
    return found
