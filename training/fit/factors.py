"""Fit matrix factors with `implicit`: take its arrays and leave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recommender.interactions import Weights
from recommender.retrievers.factors import FactorRetriever
from recommender.retrievers.neighbors import damped
from training.parallel import apart

FloatMatrix = npt.NDArray[np.float32]


def fit_factors(
    matrix: sp.csr_matrix,
    weights: Weights,
    browse_weight: float,
    *,
    factors: int,
    iterations: int,
    alpha: float,
    regularization: float,
    min_members: int,
    seed: int,
    threads: int,
    warm: FactorRetriever | None = None,
) -> FactorRetriever | None:
    """Factorise the weighted members x items matrix by alternating least squares.

    Args:
        matrix: float32 CSR, (n_members, n_items), interaction weights.
        weights, browse_weight: how the matrix was weighed; kept for folding in.
        factors, iterations: as in `implicit`.
        alpha: confidence = alpha * sqrt(weight).
        regularization: L2 weight, as a multiple of noise_level(): what is weaker than noise is not learned.
        min_members: items with fewer members have no factors.
        seed, threads: for repeatable results.
        warm: an earlier fit over the same items, whose item factors are the starting point.
    Returns: the retriever, or None if no item has enough members.
    """
    from implicit.als import AlternatingLeastSquares

    item_row = np.flatnonzero(matrix.getnnz(axis=0) >= min_members).astype(np.int32)
    if len(item_row) == 0:
        return None
    position = np.full(matrix.shape[1], len(item_row), np.int32)
    position[item_row] = np.arange(len(item_row), dtype=np.int32)
    confidence = (damped(matrix[:, item_row].tocsr()) * np.float32(alpha)).tocsr()
    penalty = regularization * noise_level(confidence)
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=penalty,
        alpha=1.0,
        iterations=iterations,
        random_state=seed,
        num_threads=threads,
        use_gpu=False,
    )
    if warm is not None:
        model.item_factors = _warm_start(warm, item_row, factors, seed)
        model.user_factors = np.zeros((matrix.shape[0], factors), np.float32)

    def fitted() -> FloatMatrix:
        model.fit(confidence, show_progress=False)
        return np.ascontiguousarray(model.item_factors, np.float32)

    item_factors = apart(fitted)
    if not np.isfinite(item_factors).all():
        raise FloatingPointError("The factorisation produced values that are not finite.")
    return FactorRetriever(
        weights,
        browse_weight,
        alpha,
        penalty,
        item_factors,
        item_row,
        position,
        item_factors.T @ item_factors,
    )


def noise_level(matrix: sp.csr_matrix) -> float:
    """Return the largest singular value that a matrix without any structure, but of the same weight, would have.

    So a penalty that grows with it neither vanishes beside much data nor drowns little.

    Args:
        matrix: float32 CSR, (n, p), n and p > 0.
    Source: Marchenko and Pastur (1967): s * (sqrt(n) + sqrt(p)) for entries of variance s ** 2.
    """
    weight = float((matrix.data.astype(np.float64) ** 2).sum())
    return float(np.sqrt(weight / matrix.shape[0]) + np.sqrt(weight / matrix.shape[1]))


def _warm_start(warm: FactorRetriever, item_row: npt.NDArray[np.int32], factors: int, seed: int) -> FloatMatrix:
    """Return starting item factors: those of the earlier fit, small random ones for items new since."""
    start = np.random.default_rng(seed).normal(0, 0.01, (len(item_row), factors)).astype(np.float32)
    place = warm.position[item_row]
    known = place < len(warm.item_row)
    start[known] = warm.item_factors[place[known]]
    return start
