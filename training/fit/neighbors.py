"""Fit item-item neighbours with `implicit`."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from recommender.interactions import Weights, heaviest
from recommender.retrievers.neighbors import ItemNeighborRetriever, damped
from training.parallel import apart


def fit_item_neighbors(
    matrix: sp.csr_matrix,
    weights: Weights,
    browse_weight: float,
    *,
    neighbors: int,
    shrinkage: float,
    history_items: int,
    threads: int,
) -> ItemNeighborRetriever:
    """Keep for each item its nearest others by the cosine of their damped columns.

    Args:
        matrix: float32 CSR, (n_members, n_items), interaction weights.
        weights, browse_weight: how the matrix was weighed; kept for scoring.
        neighbors: nearest items kept per item.
        history_items: the heaviest items of a history that count, in the fit and in scoring.
        shrinkage: exponent of an item's length in the divisor: 0.5 is the cosine, less favours popular items.
        threads: threads `implicit` may use.
    """
    similarity = nearest_items(
        matrix, neighbors=neighbors, shrinkage=shrinkage, history_items=history_items, threads=threads
    )
    return ItemNeighborRetriever(weights, browse_weight, history_items, similarity)


def nearest_items(
    matrix: sp.csr_matrix, *, neighbors: int, shrinkage: float, history_items: int, threads: int
) -> sp.csr_matrix:
    """Return for each item its nearest others by the cosine of their damped columns, float32 CSR, (n_items, n_items).

    Args:
        as for fit_item_neighbors().
    """
    from implicit.nearest_neighbours import all_pairs_knn

    matrix = damped(heaviest(matrix, history_items))
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    scale = np.divide(1.0, length ** (2 * shrinkage), out=np.zeros_like(length), where=length > 0)
    scaled = (matrix @ sp.diags(scale.astype(np.float32))).tocsr()
    wide = scaled.astype(np.float64)
    similarity = apart(lambda: all_pairs_knn(wide, neighbors + 1, show_progress=False, num_threads=threads)).tocsr()
    similarity.setdiag(0)
    similarity = similarity.astype(np.float32)
    similarity.eliminate_zeros()
    similarity.sort_indices()
    return similarity
